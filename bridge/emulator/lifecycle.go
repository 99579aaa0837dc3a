package emulator

import (
	"fmt"
	"time"
)

// nextEvent decides what becomes of a connection that asks for an event.
type nextEvent int

const (
	eventLater   nextEvent = iota // it is on the idle stack: whoever takes it off sends
	eventNow                      // the call is assigned: send it
	eventNever                    // the environment is to end
	eventRefused                  // the runtime has not answered the one before
)

// next is the Runtime API's "next": the environment has finished with what it had.
// It returns a copy of the invocation to send, since the call is Invoke's again as
// soon as it is answered.
func (e *environment) next(c *conn) (nextEvent, Invocation, time.Time) {
	now := time.Now()
	f := e.f
	f.mu.Lock()
	defer f.mu.Unlock()
	c.answering = false
	if e.state == stateStarting {
		e.state = stateReady
		e.initTook = max(1, now.Sub(e.spawned))
		e.gen.warm++
		if e.gen.current {
			f.starting--
			f.crash = crashLoop{}
		}
		f.metrics.coldStart(e.initTook)
		e.disarm()
	}
	if e.finishing > 0 {
		e.finishing--
	}
	switch {
	case e.state == stateStopping:
		e.stopIfDone()
		return eventNever, Invocation{}, time.Time{}
	case len(e.active)+e.parked >= f.cfg.ConcurrencyPerEnvironment:
		return eventRefused, Invocation{}, time.Time{}
	}
	e.idleSince = now
	e.parked++
	if k := f.queue.pop(); k != nil {
		e.assign(c, k, now)
		return eventNow, k.inv, k.deadline
	}
	f.idle = append(f.idle, c)
	return eventLater, Invocation{}, time.Time{}
}

// initFailed notes what the runtime reports about its initialisation; false if that
// is over.
func (e *environment) initFailed(document []byte, errorType string) bool {
	e.f.mu.Lock()
	defer e.f.mu.Unlock()
	if e.state != stateStarting {
		return false
	}
	if e.initError == nil {
		e.initError = &initError{document: document, errorType: errorType}
	}
	// A runtime exits by itself after this; one that does not is of no use either.
	e.arm(time.Now().Add(shutdownGrace))
	return true
}

// retire lets e end as soon as it has finished what it has. f.mu is held.
func (e *environment) retire() {
	if e.state == stateStopping || e.state == stateGone {
		return
	}
	e.leave()
	e.stopIfDone()
}

// leave takes e out of the pool: it gets no more events. f.mu is held.
func (e *environment) leave() {
	if e.state == stateStarting && e.gen.current {
		e.f.starting--
	}
	if e.state == stateReady {
		e.gen.warm--
	}
	e.state = stateStopping
	e.f.unpark(e)
	e.parked = 0
	if e.counted {
		e.counted = false
		e.gen.live--
	}
}

// stopIfDone ends the process unless it is in the middle of something. f.mu is held.
func (e *environment) stopIfDone() {
	if e.busy() == 0 {
		e.signal()
	}
}

// stopNow ends the process, whatever it is doing. f.mu is held.
func (e *environment) stopNow() {
	if e.state == stateGone {
		return
	}
	if e.state != stateStopping {
		e.leave()
	}
	if e.proc != nil {
		e.proc.kill()
	}
}

// signal asks a process that registered an extension to end, and makes any other
// end, as AWS does. f.mu is held.
func (e *environment) signal() {
	if e.proc == nil || e.killTimer != nil {
		return // not started yet: start looks at the state; or asked already
	}
	reason := "spindown"
	if e.timedOut {
		reason = "timeout"
	}
	if !e.ext.registered() {
		e.proc.kill()
		return
	}
	e.killTimer = time.AfterFunc(shutdownGrace, e.proc.kill)
	e.ext.shutDown(reason, time.Now().Add(shutdownGrace))
	e.proc.terminate()
}

// arm sets the one timer of the environment. It is not moved for every invocation:
// when it fires too early it is set again for what is then due. f.mu is held.
func (e *environment) arm(due time.Time) {
	e.timerDue = due
	if e.timer == nil {
		e.timer = time.AfterFunc(time.Until(due), e.expire)
		return
	}
	e.timer.Reset(time.Until(due))
}

func (e *environment) disarm() {
	e.timerDue = time.Time{}
	if e.timer != nil {
		e.timer.Stop()
	}
}

// expire is the timer: it ends the environment if something is overdue.
func (e *environment) expire() {
	f := e.f
	f.mu.Lock()
	defer f.mu.Unlock()
	now := time.Now()
	if e.state == stateGone || e.timerDue.IsZero() || now.Before(e.timerDue) {
		return
	}
	e.timerDue = time.Time{}
	if e.state == stateStarting {
		if e.initError == nil {
			limit := f.cfg.InitTimeout
			e.initError = &initError{
				document:  errorDocument(errorTimeout, fmt.Sprintf("Initialization timed out after %.2f seconds", limit.Seconds())),
				errorType: errorTimeout,
			}
			e.log.Error().Dur("limit", limit).Msg("the function's process did not ask for an event in time: it is ended; its init_timeout may need to be longer")
		}
		e.proc.kill()
		return
	}
	var due time.Time
	overdue := false
	for _, k := range e.active {
		if !k.deadline.After(now) {
			overdue = true
		} else if due.IsZero() || k.deadline.Before(due) {
			due = k.deadline
		}
	}
	if e.finishing > 0 {
		if !e.finishBy.After(now) {
			overdue = true
			e.log.Warn().Msg("the function answered and then did not finish within its timeout: its process is ended")
		} else if due.IsZero() || e.finishBy.Before(due) {
			due = e.finishBy
		}
	}
	if overdue {
		e.timeOut(now)
		return
	}
	if !due.IsZero() {
		e.arm(due)
	}
}

// timeOut answers what is overdue and ends the process; what else it was doing ends
// with it. f.mu is held.
func (e *environment) timeOut(now time.Time) {
	e.timedOut = true
	if e.state != stateStopping {
		e.leave()
	}
	e.output.drain()
	kept := e.active[:0]
	for _, k := range e.active {
		if k.deadline.After(now) {
			kept = append(kept, k)
			continue
		}
		e.log.Error().Str("request_id", k.inv.RequestID).Dur("timeout", e.f.cfg.Timeout).Msg("task timed out: its process is ended")
		out := outcome{
			payload: timeoutDocument(k.inv.RequestID, e.f.cfg.Timeout), errorType: errorTimeout,
			start: k.start, duration: now.Sub(k.start), cold: k.cold,
		}
		out.tail = e.report(k, out.duration)
		k.done <- out
	}
	clear(e.active[len(kept):])
	e.active = kept
	e.signal()
	e.f.scale(now)
}

// exited is the end of an environment: how says how its process ended ("" for exit
// status 0), failed why it could not be started.
func (e *environment) exited(how string, failed error) {
	f := e.f
	f.mu.Lock()
	defer f.envs.Done()
	defer f.mu.Unlock()
	was := e.state
	if was != stateStopping {
		e.leave()
	}
	e.state = stateGone
	e.disarm()
	if e.killTimer != nil {
		e.killTimer.Stop()
	}
	delete(f.all, e)
	if e.proc != nil {
		f.metrics.processEnded(e.proc.cpuTime())
	}
	if len(e.active) > 0 {
		e.log.Error().Str("request_id", e.active[0].inv.RequestID).Str("exit", orZero(how)).Msg("the function's process ended in the middle of an invocation")
		e.abort(errorExit, func(id string) []byte { return exitDocument(id, how) })
	}
	now := time.Now()
	if was == stateStarting && e.gen.current && !f.closed {
		e.notStarted(now, how, failed)
	}
	e.gen.processes--
	e.gen.release()
	f.scale(now)
}

// notStarted deals with an environment that ended before its first event: one
// waiting invocation fails with it, and when it happens again in a row all do.
// f.mu is held.
func (e *environment) notStarted(now time.Time, how string, failed error) {
	f := e.f
	errorType, document := errorExit, func(id string) []byte { return exitDocument(id, how) }
	switch {
	case e.initError != nil:
		fixed := e.initError.document
		errorType, document = e.initError.errorType, func(string) []byte { return fixed }
	case failed != nil:
		errorType, document = errorEntrypoint, func(id string) []byte { return entrypointDocument(id, failed) }
	}
	f.crash.failed(now, errorType, document)
	entry := e.log.Error().RawJSON("error", document(""))
	if failed == nil {
		entry.Str("exit", orZero(how))
	}
	if f.crash.holds(now) {
		entry.Dur("next_start", f.crash.until.Sub(now))
	}
	entry.Msg("the function's process did not start")
	if f.crash.failures > 1 && f.gen.live == 0 {
		f.failQueue()
	} else if k := f.queue.pop(); k != nil {
		k.done <- f.crash.outcome(k.inv.RequestID)
	}
}

func orZero(how string) string {
	if how == "" {
		return "exit status 0"
	}
	return how
}
