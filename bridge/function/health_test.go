package function

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// patient is a target, and a caller that calls it whenever its health lets it.
type patient struct {
	h     *Health
	calls int
}

func newPatient(limit int) *patient {
	return &patient{h: newHealth("f", limit, newMetrics(prometheus.NewRegistry()))}
}

// call makes a call that ends in err, if it may be made.
func (p *patient) call(err error) bool {
	began := time.Now()
	if p.h.begin(began) != nil {
		return false
	}
	p.calls++
	p.h.end(err, began, time.Now())
	return true
}

var (
	errRefused = &StatusError{Status: 503}
	errOwn     = &Error{Type: "TypeError"}
)

// A target that is down is asked a few times a minute; when it is back it is used again.
func TestBreaker(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		most int // calls in an hour
	}{
		{"503", errRefused, 80},
		{"time-out", fmt.Errorf("f: %w", ErrTimeout), 80},
		{"404", &StatusError{Status: 404}, 80},
		{"throws always", errOwn, 90},
		{"throttles with nothing to do", &ThrottledError{}, 90},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				p := newPatient(8)
				for range 36_000 {
					p.call(c.err)
					<-time.After(100 * time.Millisecond)
				}
				if p.calls > c.most {
					t.Errorf("%d calls in an hour", p.calls)
				}
				for range 601 { // a probe a minute
					p.call(nil)
					<-time.After(100 * time.Millisecond)
				}
				if n, _ := p.h.Capacity(time.Now()); n < 2 {
					t.Errorf("%d may run after it has recovered", n)
				}
				if !p.call(nil) {
					t.Error("it has recovered and is not called")
				}
			})
		})
	}
}

// One that fails a third of its calls is not broken, and neither is one whose events
// are refused or whose callers go away.
func TestBreakerStaysClosed(t *testing.T) {
	for name, err := range map[string]error{
		"throws": errOwn, "refuses the event": &StatusError{Status: 422}, "too large": ErrPayloadTooLarge, "caller gone": context.Canceled,
	} {
		p := newPatient(8)
		for i := range 10_000 {
			var e error
			if i%3 == 0 || name != "throws" {
				e = err
			}
			if !p.call(e) {
				t.Fatalf("%s: call %d was not made", name, i)
			}
		}
	}
}

// While one probe is under way nothing else is sent.
func TestOneProbeAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(8)
		for range fewest {
			p.call(errRefused)
		}
		if n, until := p.h.Capacity(time.Now()); n != 0 || !until.After(time.Now()) {
			t.Errorf("%d may run until %s", n, until)
		}
		<-time.After(2 * firstPause)
		if n, _ := p.h.Capacity(time.Now()); n != 1 {
			t.Errorf("%d probes may run", n)
		}
		if err := p.h.begin(time.Now()); err != nil {
			t.Fatal(err)
		}
		open, ok := errors.AsType[*OpenError](p.h.begin(time.Now()))
		if !ok || !open.Until.After(time.Now()) {
			t.Errorf("a second probe: %v", open)
		}
	})
}

// The limit falls with throttles and grows back; Retry-After is kept to.
func TestAdaptiveConcurrency(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPatient(64)
		limit := func() int { n, _ := p.h.Capacity(time.Now()); return n }
		began := time.Now()
		for range 10 { // all of one round
			if err := p.h.begin(began); err != nil {
				t.Fatal(err)
			}
		}
		<-time.After(time.Millisecond)
		for range 10 {
			p.h.end(&ThrottledError{}, began, time.Now())
		}
		if n := limit(); n != 32 {
			t.Errorf("the limit is %d after one round of throttles, want 32", n)
		}
		for range 10_000 {
			p.call(nil)
		}
		if n := limit(); n != 64 {
			t.Errorf("the limit is %d when all is well, want 64", n)
		}
		p.call(&ThrottledError{RetryAfter: 7 * time.Second})
		if n, until := p.h.Capacity(time.Now()); n != 0 || !until.Equal(time.Now().Add(7*time.Second)) {
			t.Errorf("%d may run until %s", n, until)
		}
		<-time.After(7*time.Second + time.Millisecond)
		if n := limit(); n != 32 {
			t.Errorf("the limit is %d, want 32", n)
		}
	})
}

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Class
	}{
		{nil, OK},
		{errOwn, Own},
		{ErrTimeout, Own},
		{ErrResponseTooLarge, Own},
		{errors.New("odd"), Own},
		{&ThrottledError{}, Throttled},
		{errRefused, Transient},
		{&StatusError{Status: 500}, Transient},
		{&StatusError{Status: 408}, Transient},
		{&StatusError{Status: 409, Code: "ResourceConflictException"}, Transient},
		{ErrUnavailable, Own},
		{&StatusError{Status: 404}, Permanent},
		{&StatusError{Status: 403}, Permanent},
		{&StatusError{Status: 413}, Permanent},
		{&StatusError{Status: 301}, Permanent},
		{ErrPayloadTooLarge, Permanent},
		{ErrNotFound, Permanent},
		{&OpenError{}, Open},
	} {
		if got := Classify(fmt.Errorf("f: %w", c.err)); c.err != nil && got != c.want {
			t.Errorf("%v: class %d, want %d", c.err, got, c.want)
		}
	}
}
