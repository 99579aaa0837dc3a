package bridge

import (
	"errors"
	"fmt"
	"time"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/outbox"
)

// judge decides what becomes of a job whose attempt has failed.
//
// The function's own failures are tried again a few times; throttles, server errors and
// connections that fail until the message is too old; what would be refused again, not
// at all. See [action.RetryConfig]. A QoS 0 message is tried once, unless its action has
// a retry of its own: its publisher has asked for no more.
func (b *Bridge) judge(w *outbox.Work, err error) {
	j, r, class := &w.Job, &w.Result, classify(&w.Job, err)
	took := r.Attempt.Took
	r.Attempt, r.Own = attemptOf(err), class == function.Own
	r.Attempt.Took = took
	if open, ok := errors.AsType[*function.OpenError](err); ok && mayRetry(j) {
		r.Verdict, r.Nothing = outbox.Again, true
		r.Wait = max(time.Until(open.Until), time.Millisecond)
		return
	}
	tried, own := w.Tries()+1, w.State.Own
	if r.Own {
		own++
	}
	if class == function.Permanent || !mayRetry(j) || !j.Delivery.MayTry(tried, own, r.Own) {
		r.Verdict, r.Condition = outbox.Dead, outbox.RetriesExhausted
		return
	}
	r.Verdict = outbox.Again
	r.Wait = max(j.Delivery.Wait(tried), function.RetryAfter(err))
	if time.Since(w.Born())+r.Wait > j.Delivery.Age() {
		r.Verdict, r.Wait, r.Condition = outbox.Dead, 0, outbox.EventAgeExceeded
	}
}

func mayRetry(j *outbox.Job) bool { return j.Message.QoS > 0 || j.Delivery.Retries() }

// classify tells the class of a failed action. One that only publishes can be tried
// until the broker takes it; a function that has run already should not run for hours
// because its answer finds no room. A store that takes nothing for a while is another
// matter: it comes back, and the answer must not have been given up by then.
func classify(j *outbox.Job, err error) function.Class {
	if errors.Is(err, action.ErrPublish) {
		if j.Spec.Republish != nil || temporary(err) {
			return function.Transient
		}
		return function.Own
	}
	return function.Classify(err)
}

// temporary reports a refusal that says of itself that it will pass.
func temporary(err error) bool {
	var t interface{ Temporary() bool }
	return errors.As(err, &t) && t.Temporary()
}

// attemptOf is a failed attempt as it is kept.
func attemptOf(err error) outbox.Attempt {
	a := outbox.Attempt{At: time.Now(), Outcome: outcomeOf(err), Error: err.Error()}
	if own, ok := errors.AsType[*function.Error](err); ok {
		a.Payload = own.Payload
	}
	const most = 4 << 10 // what is kept of an error, times ten attempts that are kept whole, times every letter
	a.Error = a.Error[:min(len(a.Error), most)]
	if len(a.Payload) > most {
		a.Payload = nil // half a document would be none
	}
	return a
}

// failedAttempt counts, logs and shows a failed attempt.
func (b *Bridge) failedAttempt(w *outbox.Work, err error) {
	j := &w.Job
	f := failure{
		m: j.Message, rule: j.Rule, action: kindOf(j), target: targetOf(j), err: err, outcome: outcomeOf(err),
		requestID: j.ID, took: w.Result.Attempt.Took, errorAction: j.Stage == outbox.ErrorAct,
	}
	if w.Result.Verdict == outbox.Again {
		f.again = max(w.Result.Wait, 1)
	}
	b.failed(f)
}

// outcomeGivenUp is the outcome, in metrics, of a job that was given up without an
// attempt.
const outcomeGivenUp = "given_up"

func outcomeOf(err error) string {
	if _, ok := errors.AsType[*givenUpError](err); ok {
		return outcomeGivenUp
	}
	if errors.Is(err, action.ErrItem) {
		return "item_failure"
	}
	return function.Outcome(err)
}

func kindOf(j *outbox.Job) string {
	if j.Stage == outbox.Evaluate {
		return "sql"
	}
	return j.Spec.Kind()
}

func targetOf(j *outbox.Job) string {
	if j.Stage == outbox.Evaluate {
		return j.Rule
	}
	return j.Spec.Resource()
}

// givenUpError is why a job was given up without another attempt.
type givenUpError struct {
	why  outbox.Condition
	last string // what the attempt before failed of; may be empty
}

// Error says why, and what went wrong last.
func (e *givenUpError) Error() string {
	why := map[outbox.Condition]string{
		outbox.EventAgeExceeded: "the message has become too old",
		outbox.PushedOut:        "the outbox was full and newer messages took its place",
		outbox.ShutDown:         "the server shuts down",
	}[e.why]
	if e.last == "" {
		return why
	}
	return fmt.Sprintf("%s; the last attempt: %s", why, e.last)
}

func lastError(w *outbox.Work) string {
	if n := len(w.State.Attempts); n > 0 {
		return w.State.Attempts[n-1].Error
	}
	return ""
}
