package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules"
	"github.com/topicwire/topicwire/rules/sql"
)

// RulesEvalCmd runs one statement or template over one message and prints what comes
// out, byte for byte. It exits with 0 if the message matched, 1 if it did not, and 2
// if the statement or template is refused.
type RulesEvalCmd struct {
	Version string `default:"2016-03-23" placeholder:"V" help:"Version of AWS IoT SQL: 2016-03-23, 2015-10-08 or beta."`
	Rule    string `placeholder:"NAME" help:"Name of the rule. A Basic Ingest topic must name it."`
	MessageFlags
	Template *string `placeholder:"TEMPLATE" help:"Substitution template to fill in, instead of a statement."`
	SQL      *string `arg:"" optional:"" name:"sql" help:"Statement to run."`
}

// Help shows the command at work.
func (*RulesEvalCmd) Help() string {
	return `Example:
  topicwire rules eval --topic plant/7/data --payload '{"t":31}' "SELECT t, topic(2) AS site FROM 'plant/+/data' WHERE t > 30"`
}

// The exit statuses of rules eval beside 0.
const (
	evalNoMatch = 1
	evalRefused = 2
)

// Run evaluates. Warnings about the statement go to standard error.
func (c *RulesEvalCmd) Run(ctx context.Context, s *Streams) error {
	m, err := c.message(s.In)
	if err != nil {
		return exitError{evalRefused, "topicwire: " + err.Error()}
	}
	var out []byte
	var warnings []*sql.Error
	switch {
	case c.Template != nil && c.SQL != nil:
		err = exitError{evalRefused, "topicwire: give a statement or --template, not both"}
	case c.Template != nil:
		out, warnings, err = c.render(ctx, m)
	case c.SQL != nil:
		out, warnings, err = c.evaluate(ctx, m)
	default:
		err = exitError{evalRefused, "topicwire: give a statement, or a template with --template"}
	}
	for _, w := range warnings {
		fmt.Fprintf(s.Err, "warning: %v\n", w)
	}
	if err != nil {
		return err
	}
	_, err = s.Out.Write(out)
	return err
}

// render fills the template in.
func (c *RulesEvalCmd) render(ctx context.Context, m *message.Message) ([]byte, []*sql.Error, error) {
	t, err := sql.CompileTemplate(*c.Template, sql.Version(c.Version), nil)
	if err != nil {
		return nil, nil, refused(err)
	}
	in := sql.NewInput(m, offlineEnv{command: "rules eval"})
	defer in.Release()
	out, err := t.Render(ctx, in)
	if err != nil {
		return nil, t.Warnings(), exitError{evalNoMatch, "topicwire: " + err.Error()}
	}
	return []byte(out), t.Warnings(), nil
}

// evaluate runs the statement if the topic is one of the rule's.
func (c *RulesEvalCmd) evaluate(ctx context.Context, m *message.Message) ([]byte, []*sql.Error, error) {
	p, err := sql.Compile(*c.SQL, sql.Version(c.Version))
	if err != nil {
		return nil, nil, refused(err)
	}
	if c.Topic != nil && !takes(p, c.Rule, *c.Topic) {
		return nil, p.Warnings(), exitError{code: evalNoMatch}
	}
	in := sql.NewInput(m, offlineEnv{command: "rules eval"})
	defer in.Release()
	out, matched, err := p.Run(ctx, in)
	switch {
	case err != nil:
		return nil, p.Warnings(), exitError{evalNoMatch, "topicwire: " + err.Error()}
	case !matched:
		return nil, p.Warnings(), exitError{code: evalNoMatch}
	}
	return append([]byte(nil), out...), p.Warnings(), nil
}

// refused says what is wrong with a statement or template, and shows where.
func refused(err error) error {
	text := err.Error()
	if e, ok := errors.AsType[*sql.Error](err); ok && e.Snippet != "" {
		text += "\n    " + strings.ReplaceAll(e.Snippet, "\n", "\n    ")
	}
	return exitError{evalRefused, text}
}

// takes reports whether a rule runs for a topic. A Basic Ingest topic runs the rule
// that it names, whatever its FROM says. AWS differs from MQTT in one place: a/# does
// not match a.
func takes(p *sql.Program, rule, topic string) bool {
	if name, ok := rules.Ingested(topic); ok {
		return rule == "" || rule == name
	}
	filter, ok := p.Filter()
	if !ok {
		return false
	}
	return message.Match(filter, topic) && message.Levels(topic) >= message.Levels(filter)
}
