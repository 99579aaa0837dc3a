package config

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/internal/config/yamldoc"
	"github.com/topicwire/topicwire/rules"
	"github.com/topicwire/topicwire/rules/sql"
)

// checkRules checks every rule, wherever it was read.
func (l *loading) checkRules() {
	functions := l.functionNames()
	first := make(map[string]int, len(l.config.Rules))
	for i := range l.config.Rules {
		r := ruleCheck{loading: l, origin: l.config.origins[i], rule: &l.config.Rules[i], functions: functions}
		r.form()
		r.name(i, first)
		r.compile()
		r.calls()
	}
}

// ruleCheck is the check of one rule.
type ruleCheck struct {
	*loading
	origin
	rule      *bridge.RuleConfig
	functions []string
}

// report adds a problem at a path of the rule, unless it only follows from one that
// decoding has found there.
func (r *ruleCheck) report(path, problem, remedy string) {
	path = yamldoc.Join(r.path, path)
	if r.tree.Excused(path) {
		return
	}
	r.loader.Report(Problem{Position: r.tree.At(path), Path: path, Message: prefixed(path, problem), Remedy: remedy})
}

// form calls the Check methods of the rule and its actions. The rule's own looks into
// the statement and the templates too and has no places for what it finds there; that
// is left to compile, so it gets the rule without them.
func (r *ruleCheck) form() {
	outline := *r.rule
	outline.SQL = ""
	outline.Check(func(path, problem, remedy string) {
		if path != "sql" {
			r.report(path, problem, remedy)
		}
	})
	if r.rule.SQL == "" {
		r.report("sql", rules.ErrNoSQL.Error(), "write sql: SELECT * FROM 'TOPIC/FILTER'")
	}
	r.loader.CheckAt(r.tree, r.path, r.rule)
}

// name reports a rule without a name and one whose name is taken.
func (r *ruleCheck) name(index int, first map[string]int) {
	name := r.rule.Name
	if name == "" {
		r.report("name", rules.ErrNoName.Error(), "add name: NAME, of letters, digits and underscores")
		return
	}
	other, taken := first[name]
	if !taken {
		first[name] = index
		return
	}
	o := r.config.origins[other]
	r.report("name", fmt.Sprintf("the name %s is taken by the rule at %s", name, o.tree.At(yamldoc.Join(o.path, "name"))), "rename one of them")
}

// compile reports what is wrong with the statement and the templates, at its place
// within them.
func (r *ruleCheck) compile() {
	if r.rule.SQL == "" || r.tree.Tainted(yamldoc.Join(r.path, "sql")) || r.tree.Tainted(yamldoc.Join(r.path, "awsIotSqlVersion")) {
		return
	}
	rule := *r.rule
	if rules.CheckName(rule.Name) != nil {
		rule.Name = "unnamed" // reported already; the statement is worth a look all the same
	}
	program, err := bridge.Compile([]bridge.RuleConfig{rule}, nil)
	var wrong bridge.RuleErrors
	switch {
	case errors.As(err, &wrong):
		for _, e := range wrong {
			r.located(e)
		}
		return
	case err != nil:
		r.report("", err.Error(), "")
		return
	}
	r.warnings(program)
}

// warnings reports what can never give a value, in the statement and in the templates;
// with rules.strict it is an error.
func (r *ruleCheck) warnings(program *bridge.Program) {
	if filter := program.Rules()[0].Filter(); strings.Contains(filter, "${") {
		path := yamldoc.Join(r.path, "sql")
		r.loader.Report(Problem{
			Position: r.tree.At(path), Path: path, Message: prefixed(path, fmt.Sprintf("the topic filter %q is taken as it is: FROM has no templates", filter)),
			Remedy: "write ${env:NAME} for an environment variable, + or # for a wildcard", Warning: true,
		})
	}
	for _, w := range program.Warnings(0) {
		path := yamldoc.Join(r.path, w.Path)
		p := Problem{
			Position: r.tree.InText(path, w.Line, w.Column), Path: path,
			Message: prefixed(path, w.Message), Warning: !r.config.RuleSettings.Strict,
		}
		if !p.Warning {
			p.Remedy = "correct it, or remove rules.strict"
		}
		r.loader.Report(p)
	}
}

// located reports an error of compiling at the place it is about.
func (r *ruleCheck) located(e *bridge.RuleError) {
	var form *action.Error
	if errors.As(e.Err, &form) && form.Err == nil {
		return // the action's own Check has reported it
	}
	if p, ok := place(r.origin, e); ok && !r.tree.Tainted(p.Path) {
		r.loader.Report(p)
	}
}

// place makes a Problem of an error of compiling.
func place(o origin, e *bridge.RuleError) (Problem, bool) {
	path := yamldoc.Join(o.path, e.Path)
	p := Problem{Position: o.tree.At(path), Path: path, Message: prefixed(path, e.Problem), Remedy: e.Remedy}
	if inText, ok := errors.AsType[*sql.Error](e.Err); ok {
		p.Position = o.tree.InText(path, inText.Line, inText.Column)
		p.Message, p.Remedy = prefixed(path, inText.Message), ""
	}
	return p, o.tree != nil
}

// explain gives errors of bridge.Compile their places.
func explain(c *Config, err error) error {
	var wrong bridge.RuleErrors
	if !errors.As(err, &wrong) {
		return explainAuth(c, err)
	}
	var problems Problems
	for _, e := range wrong {
		if e.Index < 0 || e.Index >= len(c.origins) {
			return err
		}
		p, _ := place(c.origins[e.Index], e)
		problems = append(problems, c.origins[e.Index].tree.Described(p))
	}
	return problems
}

// calls reports functions that nothing declares. A name with a template in it is known
// only when a message comes, and an ARN needs no declaration.
func (r *ruleCheck) calls() {
	check := func(path string, a action.Config) {
		if a.Lambda == nil {
			return
		}
		for _, f := range []struct{ key, name string }{{"function", a.Lambda.Function}, {"functionArn", a.Lambda.FunctionArn}} {
			if f.name == "" || strings.Contains(f.name, "${") || strings.HasPrefix(f.name, "arn:") || slices.Contains(r.functions, f.name) {
				continue
			}
			r.report(path+".lambda."+f.key, fmt.Sprintf("there is no %q under functions", f.name), undeclared(f.name, r.functions))
		}
	}
	for i, a := range r.rule.Actions {
		check(at("actions", i), a)
	}
	if r.rule.ErrorAction != nil {
		check("errorAction", *r.rule.ErrorAction)
	}
}

func prefixed(path, message string) string {
	if path == "" {
		return message
	}
	return path + ": " + message
}
