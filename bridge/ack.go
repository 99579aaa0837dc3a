package bridge

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/outbox"
)

// When a rule's messages are acknowledged: see [RuleConfig.Ack].
const (
	ackStored = "stored"
	ackDone   = "done"
)

// ackTime is how long a publisher waits at most for the end of a rule's actions.
const ackTime = 30 * time.Second

// NotDoneError is why a publisher that waits for a rule's actions gets no positive
// acknowledgement.
type NotDoneError struct {
	// Err is what an action failed of.
	Err error
	// Code is the MQTT 5 reason code: 0x80 if the function failed, 0x83 if it cannot be
	// reached or takes the message not at all, 0x97 if it has too much to do.
	Code byte
}

// Error is that of the cause.
func (e *NotDoneError) Error() string { return e.Err.Error() }

// Unwrap is the cause.
func (e *NotDoneError) Unwrap() error { return e.Err }

// ReasonCode is the MQTT 5 reason code.
func (e *NotDoneError) ReasonCode() byte { return e.Code }

// ReasonString is the MQTT 5 Reason String: what a person is told who looks into the
// publisher's log.
func (e *NotDoneError) ReasonString() string { return e.Err.Error() }

func notDone(err error) *NotDoneError {
	e := &NotDoneError{Err: err, Code: 0x80}
	if already, ok := errors.AsType[*NotDoneError](err); ok {
		return already
	}
	var given *givenUpError
	switch class := function.Classify(err); {
	case errors.As(err, &given), errors.Is(err, outbox.ErrFull), class == function.Throttled, class == function.Open:
		e.Code = 0x97
	case class == function.Transient, class == function.Permanent, errors.Is(err, outbox.ErrClosed):
		e.Code = 0x83
	}
	return e
}

// acks are the publishers that wait for the end of actions.
type acks struct {
	mu      sync.Mutex
	waiting map[*waiter]struct{}
	closed  bool
}

// waiter is a publisher's acknowledgement that waits for the end of everything that
// rules with ack: done do with its message. A nil waiter waits for nothing.
type waiter struct {
	acks  *acks
	left  int // what has not ended yet, and the acceptance itself; guarded by acks.mu
	err   error
	then  func(error)
	over  bool
	timer *time.Timer
}

func (a *acks) new() *waiter {
	a.mu.Lock()
	defer a.mu.Unlock()
	w := &waiter{acks: a, left: 1}
	if a.waiting == nil {
		a.waiting = make(map[*waiter]struct{})
	}
	a.waiting[w] = struct{}{}
	return w
}

// close lets everybody go: nothing is done any more.
func (a *acks) close() {
	a.mu.Lock()
	a.closed = true
	var all []*waiter
	for w := range a.waiting {
		all = append(all, w)
	}
	a.mu.Unlock()
	for _, w := range all {
		w.fail(outbox.Closed())
	}
}

// add takes one more thing to wait for.
func (w *waiter) add() {
	if w == nil {
		return
	}
	w.acks.mu.Lock()
	defer w.acks.mu.Unlock()
	w.left++
}

// done takes one off, with what it failed of or nil.
func (w *waiter) done(err error) { w.settle(1, err) }

// fail ends the wait with a failure.
func (w *waiter) fail(err error) { w.settle(0, err) }

// settle takes n off. The first failure, or the end of everything, is told.
func (w *waiter) settle(n int, err error) {
	if w == nil {
		return
	}
	w.acks.mu.Lock()
	w.left -= n
	if w.err == nil && err != nil {
		w.err = notDone(err)
	}
	then := w.then
	if w.over || then == nil || w.left > 0 && w.err == nil {
		w.acks.mu.Unlock()
		return
	}
	w.end()
	err = w.err
	w.acks.mu.Unlock()
	then(err)
}

func (w *waiter) end() {
	w.over = true
	delete(w.acks.waiting, w)
	if w.timer != nil {
		w.timer.Stop()
	}
}

// forget gives the wait up: the message was refused.
func (w *waiter) forget() {
	if w == nil {
		return
	}
	w.acks.mu.Lock()
	defer w.acks.mu.Unlock()
	w.end()
}

// waiterFor is what tells the publisher how the rule's actions have ended; nil if it
// does not wait for them. Only those wait that a person or a device stands behind: a
// function whose answer runs a rule is not held up by it, so nothing can wait for
// itself.
func (r *run) waiterFor(rule *rule) *waiter {
	if !rule.ackDone || r.m.QoS == 0 || r.m.Hops > 0 {
		return nil
	}
	if r.ack == nil {
		r.ack = r.b.acks.new()
	}
	return r.ack
}

// pending is what the acknowledgement waits for: that the jobs are stored and, with
// ack: done, that they have ended.
func (r *run) pending(stored Pending) Pending {
	if r.ack == nil {
		if stored == nil {
			return nil
		}
		return stored
	}
	return &ended{w: r.ack, stored: stored}
}

// ended is a Pending that waits for the end of actions.
type ended struct {
	w      *waiter
	stored Pending
}

func (e *ended) Then(f func(error)) {
	w := e.w
	w.acks.mu.Lock()
	w.then = f
	if w.acks.closed {
		w.err = notDone(outbox.Closed())
	}
	w.timer = time.AfterFunc(ackTime, func() {
		w.fail(&NotDoneError{Err: fmt.Errorf("%w after %s: it stays in the outbox and goes on", errNotYet, ackTime), Code: 0x83})
	})
	w.acks.mu.Unlock()
	if e.stored == nil {
		w.done(nil)
		return
	}
	e.stored.Then(w.done)
}

var errNotYet = errors.New("the rule's actions have not ended")
