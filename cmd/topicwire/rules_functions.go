package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/topicwire/topicwire/rules/sql"
)

// RulesFunctionsCmd documents the functions of the language, from the table that runs
// them.
type RulesFunctionsCmd struct {
	Name string `arg:"" optional:"" help:"One function, with its examples; without it, all of them are listed."`
}

// Help shows an example.
func (RulesFunctionsCmd) Help() string { return "Example:\n  topicwire rules functions parse_time" }

// Run prints one function or the list of all.
func (c RulesFunctionsCmd) Run(s *Streams) error {
	if c.Name == "" {
		table := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
		for _, f := range sql.Functions() {
			fmt.Fprintf(table, "%s\t%s\n", f.Name, firstSentence(f.Text))
		}
		return table.Flush()
	}
	f, err := sql.FindFunction(strings.TrimSuffix(c.Name, "()"))
	if err != nil {
		return exitError{code: 1, msg: "topicwire: " + err.Error()}
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

func firstSentence(text string) string {
	if i := strings.Index(text, ". "); i >= 0 {
		return text[:i+1]
	}
	return text
}
