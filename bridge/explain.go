package bridge

import (
	"context"
	"fmt"
	"slices"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules"
	"github.com/topicwire/topicwire/rules/sql"
)

// Outcome is what became of a rule for one message.
type Outcome string

// The outcomes.
const (
	// OutcomeRan: the statement gave a result, and its actions are due.
	OutcomeRan Outcome = "ran"
	// OutcomeDisabled: the rule is switched off.
	OutcomeDisabled Outcome = "disabled"
	// OutcomeOtherTopic: FROM does not take the message's topic.
	OutcomeOtherTopic Outcome = "other_topic"
	// OutcomeNotTrue: WHERE is not true.
	OutcomeNotTrue Outcome = "not_true"
	// OutcomeFailed: the statement could not be run to its end.
	OutcomeFailed Outcome = "failed"
)

// Explanation is why a rule ran or did not run for a message, and what came of it.
type Explanation struct {
	Rule    *rules.Rule
	Outcome Outcome
	// Topic is the message's.
	Topic string
	// Statement tells how the statement came to its result; nil if it was not run.
	Statement *sql.Explanation
	// Actions are the rule's, rendered, in their order; none if there was no result.
	Actions []Rendered
	// ErrorAction is what would run if an action failed, or runs because the statement
	// did; nil if the rule has none.
	ErrorAction *Rendered
}

// Rendered is an action with its templates filled in.
type Rendered struct {
	// Kind is the action's key, for instance "lambda".
	Kind string
	// Spec is the action; zero if Err says why it could not be rendered.
	Spec action.Spec
	Err  error
}

// Explain runs all rules over a message as Accept does, and reports on each of them in
// their order. No action is done; what a statement calls, env answers.
func (p *Program) Explain(ctx context.Context, m *message.Message, env sql.Env) []Explanation {
	in := sql.NewInput(m, env)
	defer in.Release()
	matched := p.set.Match(nil, m.Topic)
	all := make([]Explanation, len(p.rules))
	for i, r := range p.rules {
		all[i] = Explanation{Rule: r.Rule, Topic: m.Topic}
		switch {
		case r.Disabled:
			all[i].Outcome = OutcomeDisabled
		case !slices.Contains(matched, r.Rule):
			all[i].Outcome = OutcomeOtherTopic
		default:
			r.explain(ctx, in, &all[i])
		}
	}
	return all
}

// Try is Explain for the rule of that index alone, enabled or not.
func (p *Program) Try(ctx context.Context, index int, m *message.Message, env sql.Env) Explanation {
	r := p.rules[index]
	enabled := *r.Rule
	enabled.Disabled = false
	e := Explanation{Rule: r.Rule, Topic: m.Topic, Outcome: OutcomeOtherTopic}
	set, err := rules.NewSet([]*rules.Rule{&enabled})
	if err != nil || len(set.Match(nil, m.Topic)) == 0 {
		return e // a set of one rule has no error
	}
	in := sql.NewInput(m, env)
	defer in.Release()
	r.explain(ctx, in, &e)
	return e
}

func (r *rule) explain(ctx context.Context, in *sql.Input, e *Explanation) {
	e.Statement = r.Program.Explain(ctx, in)
	switch {
	case e.Statement.Err != nil:
		e.Outcome = OutcomeFailed
	case !e.Statement.Matched:
		e.Outcome = OutcomeNotTrue
		return
	default:
		e.Outcome = OutcomeRan
		for _, a := range r.actions {
			e.Actions = append(e.Actions, rendered(ctx, a, in))
		}
	}
	if r.onError != nil {
		a := rendered(ctx, r.onError, in)
		e.ErrorAction = &a
	}
}

func rendered(ctx context.Context, a *action.Action, in *sql.Input) Rendered {
	spec, err := a.Render(ctx, in)
	return Rendered{Kind: a.Kind(), Spec: spec, Err: err}
}

// Why says in a few words why the rule did not run; empty if it ran.
func (e Explanation) Why() string {
	switch e.Outcome {
	case OutcomeDisabled:
		return "it is disabled"
	case OutcomeOtherTopic:
		if name, ok := rules.Ingested(e.Topic); ok {
			return "the topic is for the rule " + name + " alone"
		}
		if e.Rule.Filter() == "" {
			return "it has no FROM, so only Basic Ingest reaches it"
		}
		return fmt.Sprintf("FROM '%s' does not take the topic %s", e.Rule.Filter(), e.Topic)
	case OutcomeNotTrue:
		return "WHERE is not true"
	case OutcomeFailed:
		return e.Statement.Err.Error()
	case OutcomeRan:
	}
	return ""
}

// Err is the first failure of the statement or of an action's templates, or nil.
func (e Explanation) Err() error {
	if e.Statement != nil && e.Statement.Err != nil {
		return e.Statement.Err
	}
	for _, a := range e.Actions {
		if a.Err != nil {
			return fmt.Errorf("%s: %w", a.Kind, a.Err)
		}
	}
	return nil
}
