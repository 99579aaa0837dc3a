package emulator

import (
	"runtime"
	"time"
)

// scaleDelay is how long a call waits for one of the environments there are before
// another one is started. Starting a process costs more than that, and an
// environment that has just answered asks for the next event within microseconds.
const scaleDelay = 2 * time.Millisecond

// scale starts environments if the queue needs them, or sees to it that it is called
// again when it may. f.mu is held.
func (f *Function) scale(now time.Time) {
	if f.gen == nil || f.closed || !f.running {
		return
	}
	if f.crash.holds(now) {
		if f.gen.live == 0 {
			f.failQueue()
		}
		f.scaleAgain(f.crash.until.Sub(now))
		return
	}
	most := f.maxEnvironments()
	for f.gen.live < min(f.cfg.Prewarm, most) {
		f.spawn()
	}
	per := f.cfg.ConcurrencyPerEnvironment
	short := (f.queue.length + per - 1) / per
	short = min(short-f.starting, most-f.gen.live)
	if short <= 0 {
		return
	}
	if f.gen.live == 0 {
		f.spawn()
		short--
	} else if wait := scaleDelay - now.Sub(f.queue.first.queuedAt); wait <= 0 {
		// Double them, so that a burst of short calls does not start a crowd.
		for n := min(short, f.gen.live); n > 0; n-- {
			f.spawn()
			short--
		}
	}
	if short > 0 {
		f.scaleAgain(scaleDelay)
	}
}

// scaleAgain calls scale after d. f.mu is held.
func (f *Function) scaleAgain(d time.Duration) {
	if f.scaleArmed {
		return
	}
	f.scaleArmed = true
	if f.scaleTimer != nil {
		f.scaleTimer.Reset(d)
		return
	}
	f.scaleTimer = time.AfterFunc(d, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.scaleArmed = false
		f.scale(time.Now())
	})
}

// spawn asks the spawner for one more environment. f.mu is held.
func (f *Function) spawn() {
	e := newEnvironment(f, f.gen)
	f.gen.live++
	f.gen.processes++
	f.starting++
	f.all[e] = struct{}{}
	f.envs.Add(1)
	f.pending = append(f.pending, e)
	select {
	case f.wake <- struct{}{}:
	default: // it has been woken already
	}
}

// spawnLoop starts environments, all on one thread that lives as long as they do:
// the kernel ends a process with Pdeathsig when the thread that started it ends.
func (f *Function) spawnLoop(stop <-chan struct{}) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for {
		select {
		case <-stop:
			return
		case <-f.wake:
		}
		for {
			f.mu.Lock()
			if len(f.pending) == 0 {
				f.mu.Unlock()
				break
			}
			e := f.pending[0]
			f.pending = f.pending[1:]
			f.mu.Unlock()
			e.start()
		}
	}
}

// unpark takes e's connections off the idle stack. f.mu is held.
func (f *Function) unpark(e *environment) {
	kept := f.idle[:0]
	for _, c := range f.idle {
		if c.env != e {
			kept = append(kept, c)
		}
	}
	clear(f.idle[len(kept):])
	f.idle = kept
}

// failQueue answers everybody who waits with the failure that keeps environments
// from starting. f.mu is held.
func (f *Function) failQueue() {
	for c := f.queue.pop(); c != nil; c = f.queue.pop() {
		c.done <- f.crash.outcome(c.inv.RequestID)
	}
}

// swap makes gen the generation that serves from now on; the environments of the one
// before finish what they have begun.
func (f *Function) swap(gen *generation) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		gen.release()
		return
	}
	old := f.gen
	f.gen, f.unavailable, f.starting, f.crash = gen, nil, 0, crashLoop{}
	gen.current = true
	if old != nil {
		old.current = false
		warm := min(old.warm, max(f.cfg.Prewarm, 1))
		for e := range f.all {
			if e.gen == old {
				e.retire()
			}
		}
		old.release()
		for range warm {
			f.spawn() // what was warm becomes warm again, but not a whole crowd at once
		}
	}
	f.scale(time.Now())
}

// refuse makes invocations fail with err until there is a generation. One that is
// serving already carries on.
func (f *Function) refuse(err *UnavailableError) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.gen != nil {
		return
	}
	f.unavailable = err
	for c := f.queue.pop(); c != nil; c = f.queue.pop() {
		c.done <- outcome{err: err}
	}
}

// crashLoop holds environments back that fail before their first event.
type crashLoop struct {
	failures int       // in a row
	until    time.Time // no new environment before
	// document makes the failure's error document for a request.
	document  func(requestID string) []byte
	errorType string
}

const (
	firstBackoff = 100 * time.Millisecond
	maxBackoff   = 10 * time.Second
)

// failed notes one more failure. The first is forgiven: the next invocation may try
// at once.
func (l *crashLoop) failed(now time.Time, errorType string, document func(string) []byte) {
	l.failures++
	l.errorType, l.document = errorType, document
	if l.failures > 1 {
		l.until = now.Add(min(firstBackoff<<min(l.failures-2, 10), maxBackoff))
	}
}

// holds reports whether no environment may be started yet.
func (l *crashLoop) holds(now time.Time) bool { return now.Before(l.until) }

func (l *crashLoop) outcome(requestID string) outcome {
	return outcome{payload: l.document(requestID), errorType: l.errorType}
}
