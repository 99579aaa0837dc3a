package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/internal/ruletest"
	"github.com/topicwire/topicwire/rules/sql"
)

// explainText writes an explanation for people: a line that says it all, and below it
// how it came to that.
func explainText(w io.Writer, e *bridge.Explanation) {
	switch e.Outcome {
	case bridge.OutcomeRan:
		fmt.Fprintf(w, "%s: ran\n", e.Rule.Name)
	case bridge.OutcomeFailed:
		fmt.Fprintf(w, "%s: failed: %s\n", e.Rule.Name, e.Why())
	default:
		fmt.Fprintf(w, "%s: did not run: %s\n", e.Rule.Name, e.Why())
	}
	if e.Statement == nil {
		return
	}
	if len(e.Statement.Variables) > 0 {
		fmt.Fprintln(w, "  SET")
		named(w, e.Statement.Variables)
	}
	if e.Statement.Where != nil {
		fmt.Fprintln(w, "  WHERE")
		table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		tree(table, *e.Statement.Where, 2)
		_ = table.Flush() // the terminal is gone if it fails
	}
	if e.Outcome == bridge.OutcomeRan {
		if missing := undefined(e.Statement.Columns); len(missing) > 0 {
			fmt.Fprintln(w, "  Undefined in SELECT, and so not in the output")
			named(w, missing)
		}
		fmt.Fprintln(w, "  output")
		for line := range strings.SplitSeq(ruletest.Shown(e.Statement.Output), "\n") {
			fmt.Fprintln(w, "    "+line)
		}
	}
	for _, a := range e.Actions {
		actionText(w, "action", a)
	}
	if e.ErrorAction != nil {
		actionText(w, "error action", *e.ErrorAction)
	}
}

// tree writes an expression, its value behind it, and what is inside it below.
func tree(w io.Writer, t sql.Term, depth int) {
	fmt.Fprintf(w, "%s%s\t%s\n", strings.Repeat("  ", depth), oneLine(t.Expression), ruletest.Value(t))
	for _, part := range t.Parts {
		tree(w, part, depth+1)
	}
}

// named writes variables or columns: the name, and below it the expression.
func named(w io.Writer, terms []sql.Term) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, t := range terms {
		if t.Name != t.Expression {
			t.Expression = t.Name + " = " + t.Expression
		}
		tree(table, t, 2)
	}
	_ = table.Flush() // the terminal is gone if it fails
}

// undefined are the columns that are Undefined.
func undefined(columns []sql.Term) []sql.Term {
	var missing []sql.Term
	for _, t := range columns {
		if t.Type == "Undefined" {
			missing = append(missing, t)
		}
	}
	return missing
}

func actionText(w io.Writer, what string, a bridge.Rendered) {
	if a.Err != nil {
		fmt.Fprintf(w, "  %s %s fails: %v\n", what, a.Kind, a.Err)
		return
	}
	fmt.Fprintf(w, "  %s %s\n", what, a.Kind)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fieldsText(table, "    ", a.Spec.Fields())
	_ = table.Flush() // the terminal is gone if it fails
}

// fieldsText writes fields by name, those inside others behind a dot.
func fieldsText(w io.Writer, prefix string, fields map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		switch v := fields[name].(type) {
		case map[string]any:
			fieldsText(w, prefix+name+".", v)
		case string:
			fmt.Fprintf(w, "%s%s\t%s\n", prefix, name, oneLine(ruletest.Shown([]byte(v))))
		default:
			text, err := json.Marshal(v)
			if err != nil {
				text = []byte(err.Error())
			}
			fmt.Fprintf(w, "%s%s\t%s\n", prefix, name, text)
		}
	}
}

// oneLine keeps text in its cell of a table.
func oneLine(s string) string { return strings.NewReplacer("\n", `\n`, "\t", `\t`).Replace(s) }
