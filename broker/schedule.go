package broker

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// schedule runs funcs at their time, on one goroutine: sessions that expire, wills
// that are due, clients that are too slow. What it runs must not take long.
type schedule struct {
	mu   sync.Mutex
	heap entries
	wake chan struct{}
}

// entry is one func that waits for its time.
type entry struct {
	at    time.Time
	do    func()
	index int // in the heap; -1 = not there any more
}

func newSchedule() *schedule { return &schedule{wake: make(chan struct{}, 1)} }

// after runs do once d has passed, if run is running then.
func (s *schedule) after(d time.Duration, do func()) *entry { return s.at(time.Now().Add(d), do) }

// at runs do at t.
func (s *schedule) at(t time.Time, do func()) *entry {
	e := &entry{at: t, do: do}
	s.mu.Lock()
	heap.Push(&s.heap, e)
	first := e.index == 0
	s.mu.Unlock()
	if first {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return e
}

// cancel takes an entry out; one that is running or has run is not affected.
func (s *schedule) cancel(e *entry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.index >= 0 {
		heap.Remove(&s.heap, e.index)
	}
}

// run runs what is due until ctx ends.
func (s *schedule) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		timer.Reset(s.runDue())
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-s.wake:
		}
	}
}

// runDue runs everything that is due and returns how long the next one has to wait.
func (s *schedule) runDue() time.Duration {
	for {
		s.mu.Lock()
		if len(s.heap) == 0 {
			s.mu.Unlock()
			return time.Hour
		}
		if wait := time.Until(s.heap[0].at); wait > 0 {
			s.mu.Unlock()
			return wait
		}
		e, _ := heap.Pop(&s.heap).(*entry)
		s.mu.Unlock()
		e.do()
	}
}

// entries is a heap by time.
type entries []*entry

func (e entries) Len() int           { return len(e) }
func (e entries) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e entries) Swap(i, j int) {
	e[i], e[j] = e[j], e[i]
	e[i].index, e[j].index = i, j
}

// Push is for container/heap.
func (e *entries) Push(v any) {
	if x, ok := v.(*entry); ok {
		x.index = len(*e)
		*e = append(*e, x)
	}
}

// Pop is for container/heap.
func (e *entries) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = nil
	*e = (*e)[:last]
	x.index = -1
	return x
}
