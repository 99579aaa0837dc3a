package bridge

import (
	"context"
	"fmt"
	"runtime/debug"
	"time"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/message"
)

// local is what a job keeps beside it as long as it stays in this process.
type local struct {
	rule  *rule
	group *group // nil if the rule has no error action
}

// do brings one job to its end. A failure of what the job does is an end: it is
// counted, logged and handed to the error action. Only a shutdown that cuts the job
// off leaves it undone, and is returned.
func (b *Bridge) do(ctx context.Context, j outbox.Job) error {
	b.metrics.wait.Observe(time.Since(j.Accepted).Seconds())
	if j.Stage == outbox.Evaluate {
		return b.evaluateLater(ctx, &j)
	}
	err := b.act(ctx, &j)
	if err != nil && ctx.Err() != nil {
		return err
	}
	b.finished(ctx, &j, err)
	return nil
}

// act does the job's action.
func (b *Bridge) act(ctx context.Context, j *outbox.Job) error {
	kind, target := j.Spec.Kind(), j.Spec.Resource()
	event := Event{
		Stage: Started, Message: j.Message, Rule: j.Rule, Action: kind, Target: target,
		RequestID: j.ID, ErrorAction: j.Stage == outbox.ErrorAct,
	}
	b.observe(event)
	started := time.Now()
	result, err := b.attempt(ctx, &j.Task)
	took := time.Since(started)
	if err != nil {
		if ctx.Err() == nil {
			b.failed(failure{
				m: j.Message, rule: j.Rule, action: kind, target: target, err: err,
				requestID: j.ID, took: took, errorAction: event.ErrorAction,
			})
		}
		return err
	}
	b.metrics.acted(j.Rule, kind, "ok", took)
	b.metrics.answered(j.Spec, result)
	if result.Unanswered == action.NotAllowed {
		b.log.warn("reply", j.Rule, nil, "answer dropped: the sender may not receive from its Response Topic").
			str("rule", j.Rule).str("client", j.Message.From.ClientID).str("response_topic", j.Message.Props.ResponseTopic).send()
	}
	event.Stage, event.Duration, event.ReplyTopic = Finished, took, result.ReplyTopic
	b.observe(event)
	return nil
}

// attempt makes one attempt. A panic is a mistake in this program; it must not take
// the broker and everybody's messages with it.
func (b *Bridge) attempt(ctx context.Context, t *action.Task) (result action.Result, err error) {
	defer func() {
		if r := recover(); r != nil {
			b.options.Log.Error().Interface("panic", r).Bytes("stack", debug.Stack()).Str("rule", t.Rule).Msg("an action panicked")
			err = fmt.Errorf("internal error: %v", r) //nolint:err113 // nobody tests for it
		}
	}()
	return b.services.Do(ctx, t)
}

// finished takes note that an action has come to its end. When it was the last of its
// message and rule, and one of them failed, the error action is due.
func (b *Bridge) finished(ctx context.Context, j *outbox.Job, err error) {
	if j.Stage != outbox.Act {
		return
	}
	l, _ := j.Local.(*local)
	if l == nil { // the job comes from a store: it stands alone
		if err == nil || j.Source == nil {
			return
		}
		r, restoreErr := restore(j.Source)
		if restoreErr != nil {
			b.options.Log.Error().Err(restoreErr).Str("rule", j.Rule).Msg("the rule of a stored job does not compile any more; its error action is not run")
			return
		}
		l = &local{rule: r, group: newGroup(1)}
	}
	if l.group == nil {
		return
	}
	var f *action.Failure
	if err != nil {
		f = &action.Failure{Action: j.Spec.FailedAction(), Resource: j.Spec.Resource(), Message: err.Error()}
	}
	if !l.group.finish(f) {
		return
	}
	if failures := l.group.take(); len(failures) > 0 {
		run := b.newRun(b.loaded.Load().Program, j.Message)
		defer run.end()
		run.errorJob(b.call(ctx, j), l, failures)
		b.follow(ctx, run.jobs)
	}
}

// evaluateLater runs the statement of a rule that calls the outside.
func (b *Bridge) evaluateLater(ctx context.Context, j *outbox.Job) error {
	l, _ := j.Local.(*local)
	if l == nil {
		r, err := restore(j.Source)
		if err != nil {
			b.failed(failure{m: j.Message, rule: j.Rule, action: "sql", target: j.Rule, err: err})
			return nil
		}
		l = &local{rule: r}
	}
	run := b.newRun(b.loaded.Load().Program, j.Message)
	defer run.end()
	run.evaluate(b.call(ctx, j), l.rule)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	b.follow(ctx, run.jobs)
	return nil
}

// call tells the functions that a statement or a template calls on whose behalf.
func (b *Bridge) call(ctx context.Context, j *outbox.Job) context.Context {
	return function.WithCall(ctx, function.Call{
		RequestID: j.ID, Rule: j.Rule, Topic: j.Message.Topic,
		ClientID: j.Message.From.ClientID, User: j.Message.Props.User, Hops: j.Message.Hops,
	})
}

// follow queues jobs that come out of a job. The message has been acknowledged, so if
// the outbox has no room the worker that has them does them itself: that slows its
// queue down and loses nothing. QoS 0 is dropped, as everywhere.
func (b *Bridge) follow(ctx context.Context, jobs []outbox.Job) {
	if len(jobs) == 0 {
		return
	}
	if jobs[0].Message.QoS == 0 {
		b.putVolatile(ctx, jobs)
		return
	}
	pending, err := b.durable.Put(ctx, jobs...)
	if err == nil {
		if pending == nil {
			return
		}
		stored := make(chan error, 1)
		pending.Then(func(err error) { stored <- err })
		select {
		case err = <-stored:
		case <-ctx.Done():
			return // the job that these come from is handed out again
		}
	}
	if err == nil {
		return
	}
	for i := range jobs {
		if err := b.do(ctx, jobs[i]); err != nil {
			b.failed(failure{m: jobs[i].Message, rule: jobs[i].Rule, action: jobs[i].Spec.Kind(), target: jobs[i].Spec.Resource(), err: err})
		}
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
	outcome              string // if the error does not tell
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
		b.metrics.errorActionsFailed.WithLabelValues(f.rule).Inc()
		text = "error action failed"
	}
	b.log.warn(text, f.rule+"/"+f.action, f.err, text).
		str("rule", f.rule).str("action", f.action).str("target", f.target).
		str("topic", f.m.Topic).str("message_id", f.m.ID).str("client", f.m.From.ClientID).
		str("request_id", f.requestID).send()
	b.observe(Event{
		Stage: Failed, Message: f.m, Rule: f.rule, Action: f.action, Target: f.target,
		RequestID: f.requestID, ErrorAction: f.errorAction, Duration: f.took, Err: f.err,
	})
}
