// Package action does what a rule asks for: invoke a function, call a URL, publish to
// another topic. An action goes through three forms. A [Config] is what the author
// wrote; an [Action] is compiled once, when the configuration is loaded; a [Spec] is
// rendered for one message and is plain data, so that it can wait in a durable queue
// and be done without the rule, before or after a restart. The package knows no queue
// and no retry: [Services.Do] makes one attempt.
package action

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules/sql"
)

// kind is one sort of action.
type kind struct {
	// name is the key in a rule.
	name string
	// failed is the name that an error document gives it as failedAction.
	failed string
	// settings are what a Config says of this kind; nil if nothing.
	settings func(Config) settings
	// work is what a Spec says of this kind; nil if nothing.
	work func(Spec) work
}

// settings is the author's side of a kind.
type settings interface {
	// check reports what is wrong without looking into templates.
	check(report Report)
	// compile compiles the templates.
	compile(c *compiler) renderer
}

// renderer is a compiled action of some kind.
type renderer interface {
	render(ctx context.Context, in *sql.Input) (Spec, error)
	// resource names what the action acts on when it cannot be rendered.
	resource() string
}

// work is the rendered side of a kind.
type work interface {
	queue(rule string) string
	resource() string
	do(ctx context.Context, s *Services, t *Task) (Result, error)
}

// kinds is the table of all kinds of action. To add one, write its file and a row.
var kinds = [...]kind{
	{
		"lambda", "LambdaAction",
		func(c Config) settings { return some[settings](c.Lambda) },
		func(s Spec) work { return some[work](s.Lambda) },
	},
	{
		"http", "HttpAction",
		func(c Config) settings { return some[settings](c.HTTP) },
		func(s Spec) work { return some[work](s.HTTP) },
	},
	{
		"republish", "RepublishAction",
		func(c Config) settings { return some[settings](c.Republish) },
		func(s Spec) work { return some[work](s.Republish) },
	},
}

// some makes an interface of a pointer, a nil one of a nil pointer.
func some[I any, T any, P interface{ *T }](p P) (i I) {
	if p != nil {
		i, _ = any(p).(I)
	}
	return i
}

// Spec is an action rendered for one message: exactly one field is set. It is plain
// data and immutable.
type Spec struct {
	Lambda    *LambdaSpec    `json:"lambda,omitempty"`
	HTTP      *HTTPSpec      `json:"http,omitempty"`
	Republish *RepublishSpec `json:"republish,omitempty"`
}

func (s Spec) find() (kind, work) {
	for _, k := range kinds {
		if w := k.work(s); w != nil {
			return k, w
		}
	}
	return kind{}, nil
}

// Kind is the action's key, for instance "lambda"; empty for the zero Spec.
func (s Spec) Kind() string {
	k, _ := s.find()
	return k.name
}

// FailedAction is the action's name in AWS's error documents, for instance
// "LambdaAction".
func (s Spec) FailedAction() string {
	k, _ := s.find()
	return k.failed
}

// Resource is what the action acts on: the function, the URL, the topic.
func (s Spec) Resource() string {
	if _, w := s.find(); w != nil {
		return w.resource()
	}
	return ""
}

// Queue says what the action waits for: a kind and a name within it, such as "lambda"
// and the function. What shares a queue shares the fate of a slow target.
func (s Spec) Queue(rule string) (kind, name string) {
	k, w := s.find()
	if w == nil {
		return "", ""
	}
	return k.name, w.queue(rule)
}

// Task is one rendered action on one message: plain data.
type Task struct {
	// ID identifies the work; it is the same over retries.
	ID string `json:"id"`
	// Rule is the rule's name.
	Rule string `json:"rule"`
	// Spec is what to do.
	Spec Spec `json:"spec"`
	// Message is the message that the rule took, as it was published.
	Message *message.Message `json:"message"`
	// Payload is the rule's result: what the action sends.
	Payload []byte `json:"payload"`
}

// Action is a compiled action. It is immutable and safe for concurrent use.
type Action struct {
	kind     kind
	renderer renderer
	outside  bool                 // a template calls a function
	constant bool                 // no field has a template
	rendered atomic.Pointer[Spec] // once and for all, if constant
	path     string               // where it stands in the rule
	order    order
	delivery *Delivery // nil: the defaults
	warnings []Warning
}

// Warning is something in a template that can never give a value.
type Warning struct {
	*sql.Error
	// Path leads to the template from the rule, for instance
	// "actions[0].republish.topic".
	Path string
}

// Warnings are those of the action's templates.
func (a *Action) Warnings() []Warning { return a.warnings }

// Compile compiles the action's templates in a rule's version of SQL; they may use the
// variables that program sets; program may be nil. path is where the action stands in
// the rule, for instance "actions[0]". The errors are *[Error], joined.
func (c Config) Compile(path string, version sql.Version, program *sql.Program) (*Action, error) {
	var errs []error
	c.Check(func(p, problem, remedy string) {
		errs = append(errs, &Error{Path: join(path, p), Problem: problem, Remedy: remedy})
	})
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	for _, k := range kinds {
		s := k.settings(c)
		if s == nil {
			continue
		}
		comp := &compiler{version: version, program: program, path: join(path, k.name), constant: true}
		a := &Action{kind: k, renderer: s.compile(comp), constant: comp.constant, path: path, delivery: c.delivery(k.name)}
		key := &compiler{version: version, program: program, path: path}
		a.order = key.order(c.OrderedBy)
		a.outside = comp.outside || key.outside
		a.warnings = append(comp.warnings, key.warnings...)
		if errs := append(comp.errs, key.errs...); len(errs) > 0 {
			return nil, errors.Join(errs...)
		}
		return a, nil
	}
	return nil, &Error{Path: path, Problem: "the action is empty"} // Check has said so
}

// Render gives the action's form for one message. A template that cannot be evaluated
// or gives an impossible value, such as a topic with a wildcard, is an error.
func (a *Action) Render(ctx context.Context, in *sql.Input) (Spec, error) {
	if spec := a.rendered.Load(); spec != nil {
		return *spec, nil
	}
	spec, err := a.renderer.render(ctx, in)
	if err == nil && a.constant {
		a.rendered.Store(&spec)
	}
	return spec, err
}

// Delivery is how the action's jobs are to be worked off; nil: as the defaults say.
func (a *Action) Delivery() *Delivery { return a.delivery }

// Path is where the action stands in its rule, for instance "actions[0]".
func (a *Action) Path() string { return a.path }

// OrderedBy tells orders from each other: actions of one rule with the same have the
// same keys. It is empty for an action without order.
func (a *Action) OrderedBy() string {
	if a.order.by == "expression" {
		return a.order.source
	}
	return a.order.by
}

// OrderPure reports whether Key calls nothing outside.
func (a *Action) OrderPure() bool { return !a.order.outside }

// Key is what the action's order is kept by, for one message; ordered is false for an
// action without order.
func (a *Action) Key(ctx context.Context, in *sql.Input, m *message.Message) (key string, ordered bool, err error) {
	switch a.order.by {
	case "":
		return "", false, nil
	case orderClient:
		return m.From.ClientID, true, nil
	case orderTopic:
		return m.Topic, true, nil
	default:
		key, err = a.order.key.render(ctx, in)
		return key, true, err
	}
}

// Kind is the action's key, for instance "lambda".
func (a *Action) Kind() string { return a.kind.name }

// FailedAction is the action's name in AWS's error documents.
func (a *Action) FailedAction() string { return a.kind.failed }

// Resource is what the action acts on as its author wrote it, templates unrendered.
func (a *Action) Resource() string { return a.renderer.resource() }

// Function is the function that a lambda action invokes, if it is the same for every
// message.
func (a *Action) Function() (nameOrARN string, ok bool) {
	if l, is := a.renderer.(*lambdaAction); is && l.function.isConstant {
		return l.function.constant, true
	}
	return "", false
}

// Failure describes a failed action as AWS's error document does.
type Failure struct {
	Action   string `json:"failedAction"`
	Resource string `json:"failedResource"`
	Message  string `json:"errorMessage"`
}

// Result says what became of a function's answer.
type Result struct {
	// ReplyTopic is where it was published; empty if it was not.
	ReplyTopic string
	// Unanswered says why an answer was not published; empty if it was, or if the
	// action has none.
	Unanswered Unanswered
}

// Unanswered is a reason for not publishing an answer.
type Unanswered string

// The reasons.
const (
	// NoAnswer: the function returned nothing, or null.
	NoAnswer Unanswered = "no_answer"
	// NoTopic: neither the rule nor the message names a topic for the answer.
	NoTopic Unanswered = "no_topic"
	// NotAllowed: the sender may not receive from the Response Topic it gave.
	NotAllowed Unanswered = "not_allowed"
)

// errRender prefixes what went wrong with a rendered field.
func errRender(field string, err error) error { return fmt.Errorf("%s: %w", field, err) }

// Pure reports whether rendering calls nothing outside.
func (a *Action) Pure() bool { return !a.outside }
