package function

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// Health is what is known of how a function or a host fares: a circuit breaker and a
// limit on how many calls may run at once. It is safe for concurrent use.
//
// The breaker opens when the target does not answer, or answers nothing but failures;
// then nothing is sent until a probe succeeds. The limit is halved when the target
// throttles and grows by one with every round of calls that are not throttled, up to
// what is configured.
type Health struct {
	name    string
	most    float64
	metrics *metrics

	mu       sync.Mutex
	limit    float64
	cut      time.Time // of the last halving
	last     [window]result
	next     int // place in last
	seen     int // filled places
	flying   int // calls begun and not ended
	open     bool
	until    time.Time     // while open: no call before
	pause    time.Duration // how long it opens next
	throttle time.Time     // the target asked to wait until then
}

// result is what a call says of its target.
type result byte

const (
	well    result = iota // it answered
	failed                // it answered, and its own code failed
	broken                // it did not answer, or could not work
	nothing               // the call says nothing of it
	limited               // it throttles
)

// When the breaker opens, and for how long. Of the last calls there must be enough, and
// almost all have to be failures: a function that fails a third of its calls is not
// broken. One whose code fails with every single event is left alone too, but later.
const (
	window      = 20
	fewest      = 5  // failures in a row, of a target that does not answer
	mostly      = 16 // of a full window
	firstPause  = time.Second
	longestRest = time.Minute
	longestWait = 5 * time.Minute // that a target may ask for
)

// newHealth is that of a target nobody has called yet. limit is how many calls may run
// at once, at least 1.
func newHealth(name string, limit int, m *metrics) *Health {
	return &Health{name: name, most: float64(limit), limit: float64(limit), pause: firstPause, metrics: m}
}

// OpenError says that a call was not made, because the breaker is open.
type OpenError struct {
	// Name is the function or host; Until is when the next call may be made.
	Name  string
	Until time.Time
}

// Error names the target.
func (e *OpenError) Error() string {
	return fmt.Sprintf("%s is left alone for a while: its last calls have failed", e.Name)
}

// Capacity is how many calls may run at once; with 0, until when none may.
func (h *Health) Capacity(now time.Time) (limit int, until time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.throttle.After(now):
		return 0, h.throttle
	case !h.open:
		return max(1, int(h.limit)), time.Time{}
	case h.until.After(now):
		return 0, h.until
	default:
		return 1, time.Time{} // a probe
	}
}

// begin counts a call in, or is why it must not be made.
func (h *Health) begin(now time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open && (h.until.After(now) || h.flying > 0) {
		until := h.until
		if !until.After(now) {
			until = now.Add(firstPause) // the probe is under way
		}
		return &OpenError{Name: h.name, Until: until}
	}
	h.flying++
	return nil
}

// end takes note of what became of a call that began at began.
func (h *Health) end(err error, began, now time.Time) {
	r, wait := judge(err)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.flying--
	switch r {
	case nothing:
		return
	case limited:
		h.throttled(wait, began, now)
		if h.limit > 1 || wait > 0 {
			return
		}
		r = broken // it has next to nothing to do and throttles on
	case well, failed, broken:
		if r == well {
			h.limit = min(h.most, h.limit+1/h.limit)
		}
	}
	h.last[h.next] = r
	h.next = (h.next + 1) % window
	h.seen = min(h.seen+1, window)
	switch {
	case h.open && r == broken || h.open && r == failed && h.tripped():
		h.trip(now)
	case h.open:
		h.heal()
	case r != well && h.tripped():
		h.trip(now)
	}
}

// throttled halves the limit, once for all calls that ran at the time.
func (h *Health) throttled(wait time.Duration, began, now time.Time) {
	if wait > 0 {
		if until := now.Add(min(wait, longestWait)); until.After(h.throttle) {
			h.throttle = until
		}
	}
	if began.Before(h.cut) {
		return
	}
	h.cut = now
	h.limit = max(1, h.limit/2)
}

// tripped reports whether the last calls are bad enough to leave the target alone.
func (h *Health) tripped() bool {
	bad, any, row := 0, 0, 0
	for i := range h.seen {
		switch h.last[(h.next-1-i+2*window)%window] {
		case broken:
			bad, any = bad+1, any+1
			if row == i {
				row++
			}
		case failed:
			any++
		default:
		}
	}
	return row >= fewest || bad >= mostly || any == window
}

func (h *Health) trip(now time.Time) {
	if !h.open {
		h.metrics.opened.WithLabelValues(h.name).Inc()
	}
	h.open = true
	h.until = now.Add(h.pause)
	h.pause = min(2*h.pause, longestRest)
}

// heal closes the breaker. What has waited does not come all at once.
func (h *Health) heal() {
	h.open, h.pause, h.seen = false, firstPause, 0
	h.limit = max(1, h.most/4)
}

// renew forgets what the target has done: it is another one now.
func (h *Health) renew() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open {
		h.heal()
	}
	h.seen, h.throttle = 0, time.Time{}
}

// state is what the metrics show: 1 while the breaker is open, and the limit.
func (h *Health) state() (open, limit float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.open {
		open = 1
	}
	return open, float64(int(h.limit))
}

// judge says what an outcome says of the target.
func judge(err error) (r result, wait time.Duration) {
	switch Classify(err) {
	case OK:
		return well, 0
	case Own:
		if errors.Is(err, ErrTimeout) {
			return broken, 0
		}
		return failed, 0
	case Throttled:
		t, ok := errors.AsType[*ThrottledError](err)
		switch {
		case ok && t.here:
			return nothing, 0
		case ok:
			wait = t.RetryAfter
		}
		return limited, wait
	case Transient:
		if errors.Is(err, context.Canceled) || errors.Is(err, ErrRetired) {
			return nothing, 0
		}
		return broken, RetryAfter(err)
	case Permanent:
		if status, ok := errors.AsType[*StatusError](err); ok && (status.Status == 403 || status.Status == 404) {
			return broken, 0 // it may not be there yet, or not any more
		}
		return nothing, 0
	case Open:
	}
	return nothing, 0
}
