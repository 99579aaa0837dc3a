// Package ruletest runs the tests that stand beside rules and says what is different
// from what they expect. It calls no function and does no action.
package ruletest

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/rules"
	"github.com/topicwire/topicwire/rules/sql"
)

// Result is what came of one test. It passed if it has no problems.
type Result struct {
	// Rule and Test are the names; a test without one has "test N", counted from 1.
	Rule, Test string
	// Problems are what is not as expected.
	Problems []Problem
	// Took is how long it ran.
	Took time.Duration
}

// Passed reports whether everything was as expected.
func (r Result) Passed() bool { return len(r.Problems) == 0 }

// Problem is one thing that is not as expected.
type Problem struct {
	// What says it in a few words.
	What string `json:"what"`
	// Detail shows it line by line: behind "- " what was expected, behind "+ " what
	// came, behind "  " what both have; or the parts of WHERE that were not true. Empty
	// if What says all.
	Detail string `json:"detail,omitempty"`
}

// Run runs the tests of one rule, the one of that index in the program; its being
// disabled makes no difference. env gives the world at a test's time; a zero time means
// the clock's.
func Run(ctx context.Context, p *bridge.Program, index int, tests []rules.TestCase, env func(now time.Time) sql.Env) []Result {
	results := make([]Result, len(tests))
	for i, t := range tests {
		r := &results[i]
		r.Rule, r.Test = p.Rules()[index].Name, t.Name
		if t.Name == "" {
			r.Test = fmt.Sprintf("test %d", i+1)
		}
		begin := time.Now()
		m, err := bridge.TestMessage(t)
		if err != nil {
			r.Problems = []Problem{{What: "the message cannot be made: " + err.Error()}}
			continue
		}
		r.Problems = compare(t.Expect, p.Try(ctx, index, m, env(t.Now)))
		r.Took = time.Since(begin)
	}
	return results
}

// compare lists what is not as expected.
func compare(want rules.Expectation, got bridge.Explanation) []Problem {
	err := got.Err()
	ran := got.Outcome == bridge.OutcomeRan
	switch {
	case want.Error != "" && err == nil && !ran:
		return []Problem{{What: "expected an error, and the rule did not run: " + got.Why(), Detail: removed(want.Error) + reasons(got)}}
	case want.Error != "" && err == nil:
		return []Problem{{What: "expected an error, and there was none", Detail: removed(want.Error) + added(Shown(got.Statement.Output))}}
	case want.Error != "" && !strings.Contains(err.Error(), want.Error):
		return []Problem{{What: "another error", Detail: removed(want.Error) + added(err.Error())}}
	case want.Error != "":
		return nil
	case err != nil:
		return []Problem{{What: "the rule failed: " + err.Error()}}
	case want.NoMatch && ran:
		return []Problem{{What: "expected no match, and the rule ran", Detail: added(Shown(got.Statement.Output))}}
	case want.NoMatch:
		return nil
	case !ran:
		return []Problem{{What: "the rule did not run: " + got.Why(), Detail: reasons(got)}}
	}
	var problems []Problem
	output := got.Statement.Output
	if want.Payload != nil {
		if d := jsonDifference(*want.Payload, output); d != "" {
			problems = append(problems, Problem{"another payload", d})
		}
	}
	if want.PayloadText != nil && *want.PayloadText != string(output) {
		problems = append(problems, Problem{"another payload", difference(Shown([]byte(*want.PayloadText)), Shown(output))})
	}
	if want.Actions != nil {
		problems = append(problems, compareActions(want.Actions, got.Actions)...)
	}
	return problems
}

func compareActions(want []map[string]any, got []bridge.Rendered) []Problem {
	var problems []Problem
	for i := range max(len(want), len(got)) {
		var w, g any
		if i < len(got) {
			g = map[string]any{got[i].Kind: got[i].Spec.Fields()}
		}
		switch {
		case i >= len(want):
			problems = append(problems, Problem{fmt.Sprintf("action %d was not expected", i+1), added(indented(plain(g)))})
			continue
		case i >= len(got):
			problems = append(problems, Problem{fmt.Sprintf("there is no action %d", i+1), removed(indented(plain(want[i])))})
			continue
		}
		w, g = plain(want[i]), plain(g)
		if part := mentioned(w, g); indented(w) != indented(part) {
			problems = append(problems, Problem{fmt.Sprintf("action %d is another", i+1), difference(indented(w), indented(part))})
		}
	}
	return problems
}

// reasons are the parts of WHERE that were not true, a line for each.
func reasons(e bridge.Explanation) string {
	if e.Statement == nil || e.Statement.Where == nil {
		return ""
	}
	return strings.Join(untrue(*e.Statement.Where), "\n")
}

// untrue are the parts of a condition that are not true, and what in them is Undefined.
func untrue(t sql.Term) []string {
	if string(t.Value) == "true" || t.Type == "" {
		return nil
	}
	var inside []string
	for _, part := range t.Parts {
		if part.Type == "Boolean" || part.Type == "Undefined" {
			inside = append(inside, untrue(part)...)
		}
	}
	if len(inside) > 0 && strings.Contains(t.Expression, " AND ") {
		return inside
	}
	return append([]string{line(t)}, inside...)
}

// line puts an expression and its value on one line.
func line(t sql.Term) string {
	return t.Expression + " is " + Value(t)
}

// Value is what a term gave, for people.
func Value(t sql.Term) string {
	const most = 200
	switch {
	case t.Type == "":
		return "not evaluated"
	case t.Type == "Undefined" && t.Note != "":
		return "Undefined: " + t.Note
	case t.Type == "Undefined":
		return t.Type
	case len(t.Value) > most:
		return strings.ToValidUTF8(string(t.Value[:most]), "") + fmt.Sprintf("... (%d bytes)", len(t.Value))
	}
	return string(t.Value)
}
