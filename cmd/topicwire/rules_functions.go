package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/topicwire/topicwire/rules/sql"
)

// RulesFunctionsCmd documents the functions of the language, from the table that runs
// them.
type RulesFunctionsCmd struct {
	Name string `arg:"" optional:"" help:"One function, with its examples; without it, all of them are listed."`
	JSON bool   `name:"json" help:"Print JSON, one object a function."`
}

// describedFunction is a function as `rules functions --json` prints it.
type describedFunction struct {
	Name      string            `json:"name"`
	Signature string            `json:"signature"`
	Text      string            `json:"text"`
	Since     sql.Version       `json:"since,omitempty"`
	Examples  []describedResult `json:"examples,omitempty"`
}

type describedResult struct {
	Expression string `json:"expression"`
	Value      string `json:"value,omitempty"` // none: Undefined
}

// Help shows an example.
func (RulesFunctionsCmd) Help() string { return "Example:\n  topicwire rules functions parse_time" }

// Run prints one function or the list of all.
func (c RulesFunctionsCmd) Run(s *Streams) error {
	switch {
	case c.JSON:
		return c.printJSON(s.Out)
	case c.Name == "":
		table := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
		for _, f := range sql.Functions() {
			fmt.Fprintf(table, "%s\t%s\n", f.Name, firstSentence(f.Text))
		}
		return table.Flush()
	}
	f, err := c.find()
	if err != nil {
		return err
	}
	fmt.Fprintf(s.Out, "%s\n\n%s\n", f.Signature, f.Text)
	if f.Since != "" {
		fmt.Fprintf(s.Out, "Since version %s of the language.\n", f.Since)
	}
	if len(f.Examples) > 0 {
		fmt.Fprintln(s.Out, "\nExamples:")
	}
	for _, e := range f.Examples {
		value := e.Value
		if value == "" {
			value = "Undefined"
		}
		fmt.Fprintf(s.Out, "  %s = %s\n", e.Expression, value)
	}
	return nil
}

// find is [sql.FindFunction] for a name as people write it.
func (c RulesFunctionsCmd) find() (sql.Function, error) {
	f, err := sql.FindFunction(strings.TrimSuffix(c.Name, "()"))
	if err != nil {
		return f, exitError{code: 1, msg: "topicwire: " + err.Error()}
	}
	return f, nil
}

// printJSON prints one function or all of them, a line each.
func (c RulesFunctionsCmd) printJSON(w io.Writer) error {
	list := sql.Functions()
	if c.Name != "" {
		f, err := c.find()
		if err != nil {
			return err
		}
		list = []sql.Function{f}
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for _, f := range list {
		d := describedFunction{Name: f.Name, Signature: f.Signature, Text: f.Text, Since: f.Since}
		for _, e := range f.Examples {
			d.Examples = append(d.Examples, describedResult{e.Expression, e.Value})
		}
		if err := enc.Encode(d); err != nil {
			return err
		}
	}
	return nil
}

func firstSentence(text string) string {
	if i := strings.Index(text, ". "); i >= 0 {
		return text[:i+1]
	}
	return text
}
