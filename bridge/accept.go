package bridge

import (
	"context"
	"errors"
	"time"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules"
	"github.com/topicwire/topicwire/rules/sql"
)

// errHops is why a message's rules are not run.
var errHops = errors.New("the message has passed 8 hops: a rule feeds itself")

// Accept takes a message in: it finds the rules that match, runs those whose statement
// asks nothing of the outside, renders their actions, and puts one job per action in
// the outbox. It returns when that is done, long before a function is called.
//
// A nil Pending says that the message is safe already. An error refuses the publish:
// the outbox is full or Run is ending, and none of the message's jobs was put;
// errors.As finds the MQTT 5 reason code as interface{ ReasonCode() byte }. A QoS 0 message is never
// refused; what finds no room is dropped and counted.
//
// Accept may give the message its ID, so it is to be called before the message is
// shared. A message that matches no rule costs the match and nothing else.
func (b *Bridge) Accept(ctx context.Context, m *message.Message) (Pending, error) {
	p := b.loaded.Load().Program
	var few [8]*rules.Rule // on the stack: most messages match fewer
	matched := p.set.Match(few[:0], m.Topic)
	if len(matched) == 0 {
		b.metrics.unmatched.Inc()
		if b.observed() {
			b.observe(Event{Stage: Accepted, Message: m})
		}
		return nil, nil //nolint:nilnil // nothing to wait for
	}
	return b.accept(ctx, p, matched, m)
}

// Listens reports whether a rule takes messages of a topic: whoever makes a message for
// rules alone need not make it otherwise.
func (b *Bridge) Listens(topic string) bool {
	var few [8]*rules.Rule
	return len(b.loaded.Load().set.Match(few[:0], topic)) > 0
}

func (b *Bridge) accept(ctx context.Context, p *Program, matched []*rules.Rule, m *message.Message) (Pending, error) {
	m.EnsureID()
	if m.Hops >= MaxHops {
		b.metrics.stopped.Inc()
		b.metrics.drop("hops", 1)
		b.log.Warn("hops", m.Topic, errHops, "message stopped after too many hops", "topic", m.Topic, "rule", m.From.Rule)
		b.observe(Event{Stage: Dropped, Message: m, Err: errHops})
		return nil, nil //nolint:nilnil // it is still a message like others to subscribers
	}
	if b.ending.Load() && m.Hops == 0 {
		return nil, b.turnAway(m)
	}
	run := b.newRun(p, m)
	defer run.end()
	for _, r := range matched {
		run.rule(ctx, p.rules[r.Index])
	}
	if len(run.jobs) == 0 {
		b.metrics.matched.Inc()
		b.observe(Event{Stage: Accepted, Message: m, Rules: run.names})
		return run.pending(nil), nil // WHERE was false, or every action failed
	}
	if m.QoS == 0 {
		b.metrics.matched.Inc()
		b.observe(Event{Stage: Accepted, Message: m, Rules: run.names})
		b.putVolatile(ctx, run.jobs)
		return nil, nil //nolint:nilnil // QoS 0 promises nothing
	}
	pending, err := b.durable.Put(ctx, run.jobs...)
	if err != nil {
		run.ack.forget()
		b.metrics.refused.Inc()
		b.log.Warn("refused", "", err, "message refused", "topic", m.Topic)
		b.observe(Event{Stage: Refused, Message: m, Rules: run.names, Err: err})
		return nil, err
	}
	b.metrics.matched.Inc()
	b.observe(Event{Stage: Accepted, Message: m, Rules: run.names})
	return run.pending(pending), nil
}

// turnAway refuses a client's message because the server stops: acknowledged now, it
// might not be worked off in time. The client keeps it and sends it again. A QoS 0
// message is dropped.
func (b *Bridge) turnAway(m *message.Message) error {
	err := outbox.Closed()
	if m.QoS == 0 {
		b.metrics.drop("shutdown", 1)
		b.observe(Event{Stage: Dropped, Message: m, Err: err})
		return nil
	}
	b.metrics.refused.Inc()
	b.observe(Event{Stage: Refused, Message: m, Err: err})
	return err
}

// putVolatile queues the jobs of a QoS 0 message, each by itself: a function that
// cannot keep up costs the others nothing.
func (b *Bridge) putVolatile(ctx context.Context, jobs []outbox.Job) {
	for i := range jobs {
		j := &jobs[i]
		if _, err := b.volatile.Put(ctx, *j); err != nil {
			b.metrics.drop("qos0_queue_full", 1)
			b.log.Warn("qos0", j.Queue, err, "QoS 0 message dropped", "topic", j.Message.Topic, "rule", j.Rule, "queue", j.Queue)
			b.observe(Event{
				Stage: Dropped, Message: j.Message, Err: err,
				Rule: j.Rule, Action: j.Spec.Kind(), Target: j.Spec.Resource(),
			})
			b.finished(ctx, j, nil, true) // dropped by policy, not failed
		}
	}
}

// ruleError is the outcome, in metrics, of a statement or a template that failed.
const ruleError = "rule_error"

// run is one message on its way through the rules.
type run struct {
	b     *Bridge
	p     *Program
	m     *message.Message
	in    *sql.Input
	now   time.Time
	jobs  []outbox.Job
	names []string // of the rules that took it; only if somebody watches
	cause string   // ID of the job that is evaluated; empty at acceptance
	ack   *waiter  // nil unless the publisher waits for what comes of it
}

func (b *Bridge) newRun(p *Program, m *message.Message) *run {
	return &run{b: b, p: p, m: m, in: sql.NewInput(m, b.env), now: time.Now()}
}

func (r *run) end() { r.in.Release() }

// rule runs one rule, now or, if it calls the outside, later.
func (r *run) rule(ctx context.Context, rule *rule) {
	l := &local{rule: rule, ack: r.waiterFor(rule)}
	if !rule.deferred {
		if err := r.evaluate(ctx, l); err != nil {
			r.statementFailed(ctx, l, err)
		}
		return
	}
	j := outbox.Job{
		Task:     action.Task{ID: message.NewID(), Rule: rule.Name, Message: r.m},
		Stage:    outbox.Evaluate,
		Queue:    queueName(queueEvaluate, rule.Name),
		Accepted: r.now,
		Source:   rule.source,
		Local:    l,
	}
	j.Lane = r.evaluateLane(ctx, rule)
	l.ack.add()
	r.jobs = append(r.jobs, j)
	r.took(rule)
}

func (r *run) took(rule *rule) {
	if r.b.observed() {
		r.names = append(r.names, rule.Name)
	}
}

// evaluate runs a rule's statement and makes a job of each action. The error is that of
// the statement: a function that it calls failed, or it did more work than it may.
func (r *run) evaluate(ctx context.Context, l *local) error {
	rule := l.rule
	payload, matched, err := rule.Program.Run(ctx, r.in)
	if err != nil {
		return err
	}
	if !matched {
		return nil
	}
	r.b.metrics.matches.WithLabelValues(rule.Name).Inc()
	r.took(rule)
	if rule.onError != nil {
		l.group = newGroup(len(rule.actions))
	}
	first := len(r.jobs)
	for _, a := range rule.actions {
		j := outbox.Job{
			Task:  action.Task{Rule: rule.Name, Message: r.m, Payload: payload},
			Stage: outbox.Act, Accepted: r.now, Local: l, Delivery: a.Delivery(),
		}
		j.Spec, err = a.Render(ctx, r.in)
		if err == nil {
			j.Lane, err = r.lane(ctx, rule, a)
		}
		if err != nil {
			r.renderFailed(l, a, err)
			continue
		}
		j.ID = r.jobID(a)
		j.Queue = r.queue(j.Task)
		if j.Delivery != nil && j.Delivery.Batch != nil {
			j.Batch = batchName(&j, a)
		}
		if rule.onError != nil {
			j.Source = rule.source
		}
		l.ack.add()
		r.jobs = append(r.jobs, j)
	}
	if len(r.jobs) == first && l.group != nil && len(rule.actions) > 0 {
		r.errorJob(ctx, l, l.group.take()) // every action failed already
	}
	return nil
}

// jobID is the ID of an action's job. One that comes out of a job that is evaluated gets
// the same again if a crash makes that happen twice.
func (r *run) jobID(a *action.Action) string {
	if r.cause == "" {
		return message.NewID()
	}
	return derivedID(r.cause, a.Path())
}

// lane names the order in which an action's jobs are done: those of one name one after
// the other.
func (r *run) lane(ctx context.Context, rule *rule, a *action.Action) (string, error) {
	key, ordered, err := a.Key(ctx, r.in, r.m)
	if err != nil || !ordered {
		return "", err
	}
	return rule.Name + "/" + a.Path() + "/" + key, nil
}

// evaluateLane names the order in which a statement that calls the outside is run. What
// comes out must come out in the order of the actions.
func (r *run) evaluateLane(ctx context.Context, rule *rule) string {
	by, key := "", ""
	for _, a := range rule.actions {
		switch o := a.OrderedBy(); {
		case o == "":
		case by != "" && by != o, !a.OrderPure():
			return rule.Name // all of the rule: nothing less keeps both orders
		default:
			k, _, err := a.Key(ctx, r.in, r.m)
			if err != nil {
				return rule.Name
			}
			by, key = o, k
		}
	}
	if by == "" {
		return ""
	}
	return rule.Name + "/" + by + "/" + key
}

func (r *run) queue(t action.Task) string {
	kind, name := t.Spec.Queue(t.Rule)
	if kind == queueLambda {
		name = r.p.functions.Resolve(name) // a name and its ARN share a queue
	}
	return queueName(kind, name)
}

// statementFailed handles a statement that could not be run: a function that it calls
// failed, or it did more work than it may.
func (r *run) statementFailed(ctx context.Context, l *local, err error) {
	r.took(l.rule)
	r.b.failed(failure{m: r.m, rule: l.rule.Name, action: "sql", target: l.rule.Name, err: err, outcome: ruleError})
	l.ack.fail(err)
	if l.rule.onError != nil && !l.rule.Silent {
		r.errorJob(ctx, l, []action.Failure{ruleFailure(l.rule.Name, err)})
	}
}

// ruleFailure is a statement's failure in an error document.
func ruleFailure(rule string, err error) action.Failure {
	return action.Failure{Action: "RuleExecution", Resource: rule, Message: err.Error()}
}

func (r *run) renderFailed(l *local, a *action.Action, err error) {
	r.b.failed(failure{m: r.m, rule: l.rule.Name, action: a.Kind(), target: a.Resource(), err: err, outcome: ruleError})
	l.ack.fail(err)
	if l.group != nil {
		l.group.finish(&action.Failure{Action: a.FailedAction(), Resource: a.Resource(), Message: err.Error()})
	}
}

// errorJob adds the job of a rule's error action.
func (r *run) errorJob(ctx context.Context, l *local, failures []action.Failure) {
	spec, err := l.rule.onError.Render(ctx, r.in)
	if err != nil {
		a := l.rule.onError
		r.b.failed(failure{m: r.m, rule: l.rule.Name, action: a.Kind(), target: a.Resource(), err: err, errorAction: true, outcome: ruleError})
		return
	}
	task := action.Task{
		ID: errorID(r.m.ID, l.rule.Name), Rule: l.rule.Name, Spec: spec, Message: r.m,
		Payload: errorDocument(l.rule.Name, r.m, failures),
	}
	r.jobs = append(r.jobs, outbox.Job{
		Task: task, Stage: outbox.ErrorAct, Queue: r.queue(task), Accepted: r.now, Local: &local{rule: l.rule}, Delivery: l.rule.onError.Delivery(),
	})
}
