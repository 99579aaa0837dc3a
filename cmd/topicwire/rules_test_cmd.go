package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/internal/app"
	"github.com/topicwire/topicwire/internal/ruletest"
	"github.com/topicwire/topicwire/rules/sql"
)

// RulesTestCmd runs the tests that stand beside the rules of a configuration. Nothing
// is called and nothing is published.
type RulesTestCmd struct {
	ConfigFlag
	JUnit string   `name:"junit" placeholder:"FILE" help:"Write the results to this file too, as JUnit XML."`
	JSON  bool     `name:"json" help:"Print JSON, one object a test."`
	Names []string `arg:"" optional:"" name:"name" help:"Rules to test; all of them if none is named."`
}

// Help shows a test and the command at work.
func (RulesTestCmd) Help() string {
	return `A test stands in its rule:
  tests:
    - name: a hot day
      topic: plant/7/data
      payload: {t: 31}
      expect:
        payload: {t: 31, site: "7"}
        actions: [{lambda: {function: alert}}]

Exit status 0: all passed. 1: some failed, or the configuration is wrong. A disabled rule is
tested as if it were not. No function is called and nothing is published.

Example:
  topicwire rules test --junit report.xml`
}

// testedRule is a test as `rules test --json` prints it.
type testedRule struct {
	Rule     string             `json:"rule"`
	Test     string             `json:"test"`
	Passed   bool               `json:"passed"`
	Problems []ruletest.Problem `json:"problems,omitempty"`
}

// Run runs the tests and prints what came of each.
func (c RulesTestCmd) Run(ctx context.Context, s *Streams) error {
	cfg, p, err := app.Program(c.Config)
	if err != nil {
		return err
	}
	for _, name := range c.Names {
		if !slices.ContainsFunc(cfg.Rules, func(r bridge.RuleConfig) bool { return r.Name == name }) {
			return noRule(name)
		}
	}
	world := envOf(cfg, "rules test")
	env := func(now time.Time) sql.Env {
		at := world
		at.now = now
		return at
	}
	var results []ruletest.Result
	for i, r := range cfg.Rules {
		if len(c.Names) == 0 || slices.Contains(c.Names, r.Name) {
			results = append(results, ruletest.Run(ctx, p, i, r.Tests, env)...)
		}
	}
	failed := 0
	for i := range results {
		if !results[i].Passed() {
			failed++
		}
		if err := c.print(s.Out, &results[i]); err != nil {
			return err
		}
	}
	if c.JUnit != "" {
		if err := writeJUnit(c.JUnit, results); err != nil {
			return err
		}
	}
	if !c.JSON {
		fmt.Fprintln(s.Out, summary(len(results), failed))
	}
	if failed > 0 {
		return exitError{code: 1}
	}
	return nil
}

func summary(tests, failed int) string {
	switch {
	case tests == 0:
		return "no tests: write tests: beside a rule's sql, see `topicwire rules test --help`"
	case failed > 0:
		return fmt.Sprintf("%d of %d tests failed", failed, tests)
	case tests == 1:
		return "1 test passed"
	}
	return fmt.Sprintf("%d tests passed", tests)
}

func (c RulesTestCmd) print(w io.Writer, r *ruletest.Result) error {
	if c.JSON {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		return enc.Encode(testedRule{Rule: r.Rule, Test: r.Test, Passed: r.Passed(), Problems: r.Problems})
	}
	if r.Passed() {
		fmt.Fprintf(w, "ok    %s: %s\n", r.Rule, r.Test)
		return nil
	}
	fmt.Fprintf(w, "FAIL  %s: %s\n", r.Rule, r.Test)
	for _, p := range r.Problems {
		indent(w, "      ", p.What)
		indent(w, "        ", strings.TrimSuffix(p.Detail, "\n"))
	}
	return nil
}

func indent(w io.Writer, by, text string) {
	if text == "" {
		return
	}
	for line := range strings.SplitSeq(text, "\n") {
		fmt.Fprintln(w, by+line)
	}
}

func writeJUnit(path string, results []ruletest.Result) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	err = ruletest.WriteJUnit(f, results)
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
