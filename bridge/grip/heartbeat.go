package grip

import (
	"sync"
	"time"
)

// heartbeat does something when nothing has been sent for a while, or every so often.
type heartbeat struct {
	every    time.Duration
	interval bool // whether or not something was sent
	do       func()

	mu    sync.Mutex
	timer *time.Timer
	last  time.Time // when something was sent
	ended bool
}

func newHeartbeat(every time.Duration, interval bool, do func()) *heartbeat {
	h := &heartbeat{every: every, interval: interval, do: do, last: time.Now()}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.timer = time.AfterFunc(every, h.tick)
	return h
}

// sent notes that something was sent.
func (h *heartbeat) sent() {
	if h.interval {
		return
	}
	h.mu.Lock()
	h.last = time.Now()
	h.mu.Unlock()
}

func (h *heartbeat) tick() {
	h.mu.Lock()
	if h.ended {
		h.mu.Unlock()
		return
	}
	now := time.Now()
	left := h.every - now.Sub(h.last)
	due := h.interval || left <= 0
	if due {
		h.last, left = now, h.every
	}
	h.timer.Reset(left)
	h.mu.Unlock()
	if due {
		h.do()
	}
}

func (h *heartbeat) stop() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ended = true
	h.timer.Stop()
}
