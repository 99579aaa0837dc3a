package outbox

import (
	"container/heap"
	"time"
)

// clock rings alarms. It has no goroutine of its own: see [Outbox.keepTime].
type clock struct {
	alarms alarms
	count  uint64        // how many were set
	kick   chan struct{} // the earliest alarm is another one
}

// alarm is something to do at a time. It is rung under the outbox's lock.
type alarm struct {
	at    time.Time
	nth   uint64
	index int // in the heap; -1 when it is out
	ring  func()
}

func newClock() clock { return clock{kick: make(chan struct{}, 1)} }

func (c *clock) set(at time.Time, ring func()) *alarm {
	c.count++
	a := &alarm{at: at, nth: c.count, ring: ring}
	heap.Push(&c.alarms, a)
	if a.index == 0 {
		c.wake()
	}
	return a
}

func (c *clock) wake() {
	select {
	case c.kick <- struct{}{}:
	default:
	}
}

// cancel takes an alarm back; nil and one that has rung are none.
func (c *clock) cancel(a *alarm) {
	switch {
	case a == nil:
	case a.index >= 0:
		heap.Remove(&c.alarms, a.index)
	default:
		a.ring = func() {} // it may be about to: see ringAll
	}
}

// ringUntil rings every alarm whose time has come.
func (c *clock) ringUntil(now time.Time) {
	for len(c.alarms) > 0 && !c.alarms[0].at.After(now) {
		a, _ := heap.Pop(&c.alarms).(*alarm)
		a.ring()
	}
}

// ringAll rings every alarm that there is now, and none that these set.
func (c *clock) ringAll() {
	var all []*alarm
	for len(c.alarms) > 0 {
		a, _ := heap.Pop(&c.alarms).(*alarm)
		all = append(all, a)
	}
	for _, a := range all {
		a.ring()
	}
}

// alarms is a heap, the earliest first and those of one time in the order in which
// they were set.
type alarms []*alarm

func (h alarms) Len() int { return len(h) }
func (h alarms) Less(i, k int) bool {
	if !h[i].at.Equal(h[k].at) {
		return h[i].at.Before(h[k].at)
	}
	return h[i].nth < h[k].nth
}

func (h alarms) Swap(i, k int) {
	h[i], h[k] = h[k], h[i]
	h[i].index, h[k].index = i, k
}

// Push implements heap.Interface.
func (h *alarms) Push(x any) {
	a, _ := x.(*alarm)
	a.index = len(*h)
	*h = append(*h, a)
}

// Pop implements heap.Interface.
func (h *alarms) Pop() any {
	last := len(*h) - 1
	a := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	a.index = -1
	return a
}
