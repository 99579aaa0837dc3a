package bridge

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"time"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/message"
)

// local is what a job keeps beside it as long as it stays in this process.
type local struct {
	rule  *rule   // nil if the job comes from a store
	group *group  // nil if the rule has no error action
	ack   *waiter // nil if nobody waits for the job's end
}

// worker does the jobs of an outbox.
type worker struct{ *Bridge }

// Restore implements outbox.Worker.
func (b worker) Restore(all []*outbox.Work) { restoreGroups(all) }

// Do makes one attempt of one job or of a batch, and says what is to become of each:
// see judge. A job that is given up is handed to the error action before the outbox
// learns of it, so that a crash in between makes it run again rather than not at all.
func (b worker) Do(ctx context.Context, batch []*outbox.Work) {
	for _, w := range batch {
		b.metrics.wait.Observe(time.Since(w.Job.Accepted).Seconds())
	}
	switch w := batch[0]; {
	case w.Job.Stage == outbox.Evaluate:
		b.evaluateLater(ctx, w)
	case w.Job.Batch != "":
		b.doBatch(ctx, batch)
	default:
		b.conclude(ctx, w, b.act(ctx, w))
	}
}

// GiveUp takes note of a job that is given up without an attempt.
func (b worker) GiveUp(ctx context.Context, w *outbox.Work, why outbox.Condition) {
	err := &givenUpError{why: why, last: lastError(w)}
	b.failed(failure{
		m: w.Job.Message, rule: w.Job.Rule, action: kindOf(&w.Job), target: targetOf(&w.Job), err: err, requestID: w.Job.ID,
		outcome: outcomeGivenUp, errorAction: w.Job.Stage == outbox.ErrorAct,
	})
	switch l, _ := w.Job.Local.(*local); {
	case w.Replay:
	case w.Job.Stage != outbox.Evaluate || why == outbox.PushedOut:
		b.finished(ctx, &w.Job, err, why == outbox.PushedOut)
	default:
		if l == nil {
			l = &local{}
		}
		b.runErrorAction(ctx, &w.Job, l, []action.Failure{ruleFailure(w.Job.Rule, err)})
		l.ack.done(err)
	}
}

// conclude settles a job after an attempt that ended in err or, with nil, in success.
func (b *Bridge) conclude(ctx context.Context, w *outbox.Work, err error) {
	switch {
	case err == nil:
		w.Result.Verdict = outbox.Done
	case ctx.Err() != nil:
		w.Result.Verdict = outbox.Undone
		return
	default:
		b.judge(w, err)
		b.failedAttempt(w, err)
	}
	if w.Result.Verdict != outbox.Again && !w.Replay {
		b.finished(ctx, &w.Job, err, false)
	}
}

// act does the job's action: one attempt.
func (b *Bridge) act(ctx context.Context, w *outbox.Work) error {
	j := &w.Job
	kind, target := j.Spec.Kind(), j.Spec.Resource()
	event := Event{
		Stage: Started, Message: j.Message, Rule: j.Rule, Action: kind, Target: target,
		RequestID: j.ID, ErrorAction: j.Stage == outbox.ErrorAct,
	}
	b.observe(event)
	started := time.Now()
	result, err := b.attempt(ctx, &j.Task)
	took := time.Since(started)
	w.Result.Attempt.Took = took
	if err != nil {
		return err
	}
	b.succeeded(j, result, took)
	event.Stage, event.Duration, event.ReplyTopic = Finished, took, result.ReplyTopic
	b.observe(event)
	return nil
}

// succeeded counts an action that was done.
func (b *Bridge) succeeded(j *outbox.Job, result action.Result, took time.Duration) {
	b.metrics.acted(j.Rule, j.Spec.Kind(), "ok", took)
	b.metrics.latency.WithLabelValues(j.Rule).Observe(time.Since(j.Accepted).Seconds())
	b.metrics.answered(j.Spec, result)
	if result.Unanswered == action.NotAllowed {
		b.log.Warn("reply", j.Rule, nil, "answer dropped: the sender may not receive from its Response Topic",
			"rule", j.Rule, "client", j.Message.From.ClientID, "response_topic", j.Message.Props.ResponseTopic)
	}
}

// attempt makes one attempt.
func (b *Bridge) attempt(ctx context.Context, t *action.Task) (result action.Result, err error) {
	defer b.caught(t.Rule, &err)
	return b.services.Do(ctx, t)
}

// caught, deferred, makes an error of a panic. It is a mistake in this program, which
// must not take the broker and everybody's messages with it, and with a store again at
// every start.
func (b *Bridge) caught(rule string, err *error) {
	if r := recover(); r != nil {
		b.options.Log.Error().Interface("panic", r).Bytes("stack", debug.Stack()).Str("rule", rule).Msg("an action panicked")
		*err = fmt.Errorf("internal error: %v", r) //nolint:err113 // nobody tests for it
	}
}

// finished takes note that an action has come to its end. When it was the last of its
// message and rule, and one of them failed, the error action is due. dropped says that
// the action was not tried, by policy: that is no failure.
func (b *Bridge) finished(ctx context.Context, j *outbox.Job, err error, dropped bool) {
	l, _ := j.Local.(*local)
	if l == nil {
		return // an action without error action, from a store
	}
	if j.Stage == outbox.Act && l.group != nil {
		var f *action.Failure
		if err != nil && !dropped {
			f = &action.Failure{Action: j.Spec.FailedAction(), Resource: j.Spec.Resource(), Message: err.Error()}
		}
		if l.group.finish(f) {
			b.runErrorAction(ctx, j, l, l.group.take())
		}
	}
	if j.Stage != outbox.ErrorAct {
		l.ack.done(err)
	}
}

// runErrorAction puts the job of the error action, if there are failures and the rule
// has one.
func (b *Bridge) runErrorAction(ctx context.Context, j *outbox.Job, l *local, failures []action.Failure) {
	if len(failures) == 0 {
		return
	}
	if l.rule == nil {
		r, err := restore(j.Source) //nolint:contextcheck // compiling waits for nothing
		if err != nil {
			b.options.Log.Error().Err(err).Str("rule", j.Rule).Msg("the rule of a stored job does not compile any more; its error action is not run")
			return
		}
		l = &local{rule: r}
	}
	if l.rule.onError == nil {
		return
	}
	run := b.newRun(b.loaded.Load().Program, j.Message)
	defer run.end()
	run.errorJob(b.call(ctx, j), l, failures)
	b.follow(ctx, run.jobs)
}

// evaluateLater runs the statement of a rule that calls the outside.
func (b *Bridge) evaluateLater(ctx context.Context, w *outbox.Work) {
	j := &w.Job
	l, _ := j.Local.(*local)
	if l == nil {
		r, err := restore(j.Source) //nolint:contextcheck // compiling waits for nothing
		if err != nil {
			b.failed(failure{m: j.Message, rule: j.Rule, action: "sql", target: j.Rule, err: err})
			w.Result.Verdict, w.Result.Condition = outbox.Dead, outbox.RetriesExhausted
			w.Result.Attempt = attemptOf(err)
			return
		}
		l = &local{rule: r}
	}
	// Each time anew: what an attempt before has made of it counts no more.
	l = &local{rule: l.rule, ack: l.ack}
	run := b.newRun(b.loaded.Load().Program, j.Message)
	defer run.end()
	run.cause = j.ID
	err := run.evaluateSafely(b.call(ctx, j), l)
	if ctx.Err() != nil {
		w.Result.Verdict = outbox.Undone
		return
	}
	if err != nil {
		b.judge(w, err)
		if w.Result.Verdict == outbox.Again {
			b.failedAttempt(w, err)
			return
		}
		run.statementFailed(b.call(ctx, j), l, err)
	}
	if w.Replay { // the error action has been run
		run.jobs = slices.DeleteFunc(run.jobs, func(j outbox.Job) bool { return j.Stage == outbox.ErrorAct })
		for i := range run.jobs {
			run.jobs[i].Source, run.jobs[i].Local = nil, nil
		}
	}
	b.follow(ctx, run.jobs)
	l.ack.done(err)
}

// evaluateSafely is evaluate for a job: see caught.
func (r *run) evaluateSafely(ctx context.Context, l *local) (err error) {
	defer r.b.caught(l.rule.Name, &err)
	return r.evaluate(ctx, l)
}

// call tells the functions that a statement or a template calls on whose behalf.
func (b *Bridge) call(ctx context.Context, j *outbox.Job) context.Context {
	return function.WithCall(ctx, function.Call{
		RequestID: j.ID, Rule: j.Rule, Topic: j.Message.Topic,
		ClientID: j.Message.From.ClientID, User: j.Message.Props.User, Hops: j.Message.Hops,
	})
}

// follow queues jobs that come out of a job. The message has been acknowledged, so they
// are not refused. QoS 0 is dropped, as everywhere.
func (b *Bridge) follow(ctx context.Context, jobs []outbox.Job) {
	if len(jobs) == 0 {
		return
	}
	if jobs[0].Message.QoS == 0 {
		b.putVolatile(ctx, jobs)
		return
	}
	err := b.durable.PutAfter(ctx, jobs...)
	if err == nil {
		return
	}
	for i := range jobs {
		j := &jobs[i]
		b.failed(failure{m: j.Message, rule: j.Rule, action: j.Spec.Kind(), target: j.Spec.Resource(), err: err, errorAction: j.Stage == outbox.ErrorAct})
		b.finished(ctx, j, err, false)
	}
}

// failure is a failed action as logs, metrics and watchers see it.
type failure struct {
	m                    *message.Message
	rule, action, target string
	requestID            string
	took                 time.Duration
	err                  error
	errorAction          bool
	outcome              string        // if the error does not tell
	again                time.Duration // until the next attempt; 0: there is none
}

// failed counts, logs and shows a failure.
func (b *Bridge) failed(f failure) {
	outcome := f.outcome
	if outcome == "" {
		outcome = function.Outcome(f.err)
	}
	b.metrics.acted(f.rule, f.action, outcome, f.took)
	text := "action failed"
	if f.errorAction {
		text = "error action failed"
	}
	switch {
	case f.again > 0:
		text += ", it is tried again"
	case f.errorAction:
		b.metrics.errorActionsFailed.WithLabelValues(f.rule).Inc()
	}
	b.log.Warn(text, f.rule+"/"+f.action, f.err, text,
		"rule", f.rule, "action", f.action, "target", f.target, "topic", f.m.Topic, "message_id", f.m.ID, "client", f.m.From.ClientID, "request_id", f.requestID)
	b.observe(Event{
		Stage: Failed, Message: f.m, Rule: f.rule, Action: f.action, Target: f.target,
		RequestID: f.requestID, ErrorAction: f.errorAction, Duration: f.took, Err: f.err, Again: f.again,
	})
}
