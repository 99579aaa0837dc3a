package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"unicode/utf8"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/internal/app"
	"github.com/topicwire/topicwire/rules/sql"
)

// RulesExplainCmd says for one message why each rule of a configuration runs or does
// not, and what comes of it. Nothing is called and nothing is published.
type RulesExplainCmd struct {
	ConfigFlag
	MessageFlags
	Rule string `placeholder:"NAME" help:"Explain this rule alone."`
	JSON bool   `name:"json" help:"Print JSON, one object a rule."`
}

// Help shows the command at work.
func (RulesExplainCmd) Help() string {
	return `No function is called and nothing is published. Exit status 0, whether a rule runs or not.

Example:
  topicwire rules explain --topic plant/7/data --payload '{"t":31}'`
}

// explainedRule is a rule as `rules explain --json` prints it.
type explainedRule struct {
	Rule      string           `json:"rule"`
	Outcome   bridge.Outcome   `json:"outcome"`
	Why       string           `json:"why,omitempty"`
	Statement *sql.Explanation `json:"statement,omitempty"`
	// Output is the result if it is JSON, OutputBase64 if it is not.
	Output       json.RawMessage  `json:"output,omitempty"`
	OutputBase64 string           `json:"output_base64,omitempty"`
	Actions      []renderedAction `json:"actions,omitempty"`
	ErrorAction  *renderedAction  `json:"errorAction,omitempty"`
}

// renderedAction is an action with its templates filled in, or why that failed.
type renderedAction struct {
	Kind   string         `json:"kind"`
	Fields map[string]any `json:"fields,omitempty"`
	Error  string         `json:"error,omitempty"`
}

// Run explains every rule, or the one that was named.
func (c RulesExplainCmd) Run(ctx context.Context, s *Streams) error {
	if c.Topic == nil {
		return exitError{2, "topicwire: give --topic: a rule is chosen by it"}
	}
	m, err := c.message(s.In)
	if err != nil {
		return exitError{2, "topicwire: " + err.Error()}
	}
	cfg, p, err := app.Program(c.Config)
	if err != nil {
		return err
	}
	all := p.Explain(ctx, m, envOf(cfg, "rules explain"))
	if c.Rule != "" {
		all = slices.DeleteFunc(all, func(e bridge.Explanation) bool { return e.Rule.Name != c.Rule })
		if len(all) == 0 {
			return noRule(c.Rule)
		}
	}
	if len(all) == 0 {
		fmt.Fprintln(s.Err, "the configuration has no rules")
	}
	for i := range all {
		if !c.JSON {
			explainText(s.Out, &all[i])
			continue
		}
		enc := json.NewEncoder(s.Out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(explained(&all[i])); err != nil {
			return err
		}
	}
	return nil
}

func noRule(name string) error {
	return fmt.Errorf("there is no rule %q: `topicwire rules list` lists them", name)
}

func explained(e *bridge.Explanation) explainedRule {
	r := explainedRule{Rule: e.Rule.Name, Outcome: e.Outcome, Why: e.Why(), Statement: e.Statement}
	if e.Outcome == bridge.OutcomeRan {
		// JSON in invalid UTF-8 would not come out as the bytes that it is.
		if out := e.Statement.Output; json.Valid(out) && utf8.Valid(out) {
			r.Output = out
		} else {
			r.OutputBase64 = base64.StdEncoding.EncodeToString(out)
		}
	}
	for _, a := range e.Actions {
		r.Actions = append(r.Actions, renderedJSON(a))
	}
	if e.ErrorAction != nil {
		a := renderedJSON(*e.ErrorAction)
		r.ErrorAction = &a
	}
	return r
}

func renderedJSON(a bridge.Rendered) renderedAction {
	if a.Err != nil {
		return renderedAction{Kind: a.Kind, Error: a.Err.Error()}
	}
	return renderedAction{Kind: a.Kind, Fields: a.Spec.Fields()}
}
