package bridge

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/rules"
	"github.com/topicwire/topicwire/rules/sql"
)

// Functions finds functions; *[function.Registry] does.
type Functions interface {
	// Lookup finds a function by its name or ARN.
	Lookup(nameOrARN string) (function.Function, error)
	// Resolve gives the one name of a function under which its jobs are queued.
	Resolve(nameOrARN string) string
	// Capacity is how many invocations of it may run at once; with 0, until when none
	// may.
	Capacity(nameOrARN string) (limit int, until time.Time)
	// Poster sends to URLs.
	Poster() *function.Poster
}

// Program is the rules of one configuration, compiled, and the functions they call. It
// is immutable.
type Program struct {
	set       *rules.Set
	rules     []*rule // in the order of the set
	functions Functions
}

// Rules are the compiled rules in their order. The caller must not change them.
func (p *Program) Rules() []*rules.Rule { return p.set.Rules() }

// Warning is something in a rule that can never give a value.
type Warning struct {
	*sql.Error
	// Path leads to the statement or the template from the rule, as in RuleError.
	Path string
}

// Warnings are those of a rule, by its place among the rules: of its statement and of
// the templates of its actions.
func (p *Program) Warnings(index int) []Warning {
	r := p.rules[index]
	var all []Warning
	for _, w := range r.Program.Warnings() {
		all = append(all, Warning{w, "sql"})
	}
	for _, a := range append(slices.Clip(r.actions), r.onError) {
		if a == nil {
			continue
		}
		for _, w := range a.Warnings() {
			all = append(all, Warning{w.Error, w.Path})
		}
	}
	return all
}

// Functions finds the functions.
func (p *Program) Functions() Functions { return p.functions }

// rule is a compiled rule with its actions.
type rule struct {
	*rules.Rule
	source  *outbox.Source
	actions []*action.Action
	onError *action.Action // nil if the rule has none
	// deferred: the statement calls the outside, so it runs in a worker.
	deferred bool
	// ackDone: the publisher's acknowledgement waits until the actions have ended.
	ackDone bool
}

// RuleError is one thing that is wrong with a rule. If a statement or a template is
// the cause, errors.As finds its *sql.Error.
type RuleError struct {
	// Rule is the rule's name, Index its place among the rules.
	Rule  string
	Index int
	// Path leads to the field from the rule, for instance
	// "actions[0].lambda.function"; "sql" for the statement; "" for the rule itself.
	Path string
	// Problem and Remedy say what is wrong and what to do about it.
	Problem, Remedy string
	// Err is the cause; may be nil.
	Err error
}

// Error puts all of it on one line.
func (e *RuleError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "rule %s: ", e.Rule)
	if e.Path != "" {
		b.WriteString(e.Path + ": ")
	}
	b.WriteString(e.Problem)
	if e.Remedy != "" {
		b.WriteString(" (" + e.Remedy + ")")
	}
	return b.String()
}

// Unwrap is the cause.
func (e *RuleError) Unwrap() error { return e.Err }

// RuleErrors is everything that is wrong with a configuration's rules.
type RuleErrors []*RuleError

// Error gives one line for each.
func (e RuleErrors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap are the single errors.
func (e RuleErrors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, one := range e {
		errs[i] = one
	}
	return errs
}

// Compile makes a Program of rules and the functions they may call. Everything that is
// wrong comes back at once, as [RuleErrors]: statements, templates, functions that
// nothing declares, two rules of one name.
func Compile(configs []RuleConfig, functions Functions) (*Program, error) {
	var errs RuleErrors
	p := &Program{functions: functions, rules: make([]*rule, 0, len(configs))}
	names := make(map[string]bool, len(configs))
	set := make([]*rules.Rule, 0, len(configs))
	for i, c := range configs {
		r, problems := compileRule(c, functions)
		for _, e := range problems {
			e.Rule, e.Index = c.Name, i
		}
		if names[c.Name] {
			problems = append(problems, &RuleError{
				Rule: c.Name, Index: i, Path: "name",
				Problem: "two rules are named " + c.Name, Remedy: "rename one of them",
			})
		}
		names[c.Name] = true
		errs = append(errs, problems...)
		if len(problems) == 0 {
			p.rules = append(p.rules, r)
			set = append(set, r.Rule)
		}
	}
	if len(errs) > 0 {
		return nil, errs
	}
	var err error
	if p.set, err = rules.NewSet(set); err != nil {
		return nil, err
	}
	return p, nil
}

func compileRule(c RuleConfig, functions Functions) (*rule, []*RuleError) {
	compiled, err := rules.Compile(c.Definition)
	if err != nil {
		path := "sql"
		if errors.Is(err, rules.ErrNoName) || errors.Is(err, rules.ErrName) {
			path = "name"
		}
		return nil, []*RuleError{{Path: path, Problem: err.Error(), Err: err}}
	}
	var errs []*RuleError
	// The tests stay behind: no job needs them.
	source := &outbox.Source{Definition: c.Definition, Actions: c.Actions, ErrorAction: c.ErrorAction}
	r := &rule{Rule: compiled, source: source, deferred: !compiled.Program.Pure(), ackDone: c.Ack == ackDone}
	for _, listed := range c.listed() {
		a, err := listed.config.Compile(listed.path, c.version(), compiled.Program)
		eachActionError(err, func(e *action.Error) {
			errs = append(errs, &RuleError{Path: e.Path, Problem: e.Problem, Remedy: e.Remedy, Err: e})
		})
		if err != nil {
			continue
		}
		if name, ok := a.Function(); ok && functions != nil {
			if _, err := functions.Lookup(name); err != nil {
				errs = append(errs, &RuleError{Path: functionPath(listed), Problem: err.Error(), Err: err})
			}
		}
		r.deferred = r.deferred || !a.Pure()
		if listed.path == "errorAction" {
			r.onError = a
		} else {
			r.actions = append(r.actions, a)
		}
	}
	return r, errs
}

func functionPath(a listedAction) string {
	if l := a.config.Lambda; l != nil && l.Function == "" {
		return a.path + ".lambda.functionArn"
	}
	return a.path + ".lambda.function"
}

// restore compiles the rule of a job that comes back from a store. It compiled when
// the job was put, so an error means that this version of the program is another one.
func restore(s *outbox.Source) (*rule, error) {
	r, errs := compileRule(RuleConfig{Definition: s.Definition, Actions: s.Actions, ErrorAction: s.ErrorAction}, nil)
	if len(errs) > 0 {
		errs[0].Rule = s.Name
		return nil, errs[0]
	}
	return r, nil
}

// emptyProgram is what a Bridge has before Load: no rule, so that nothing is called.
func emptyProgram() *Program {
	set, _ := rules.NewSet(nil) // it fails for two rules of one name alone
	return &Program{set: set, functions: noFunctions{}}
}

// noFunctions is the Functions of an empty configuration.
type noFunctions struct{}

func (noFunctions) Lookup(nameOrARN string) (function.Function, error) {
	return nil, fmt.Errorf("%w: %s: no configuration is loaded", function.ErrNotFound, nameOrARN)
}
func (noFunctions) Resolve(nameOrARN string) string { return nameOrARN }
func (noFunctions) Poster() *function.Poster        { return function.NewPoster() }

// Capacity is nothing: what the store has brought waits for a configuration.
func (noFunctions) Capacity(string) (limit int, until time.Time) { return 0, time.Time{} }
