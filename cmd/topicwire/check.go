package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/topicwire/topicwire/internal/app"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/internal/config/yamldoc"
)

// CheckCmd checks a configuration.
type CheckCmd struct {
	ConfigFlag
	JSON bool `name:"json" help:"Print the problems and warnings as a JSON list."`
}

// Help shows an example.
func (CheckCmd) Help() string {
	return `Exit status 0: the server would start with it. 1: it would not; everything that is
wrong is printed with its place and what to do about it. Warnings are about what works but
hardly as meant; with --json they have "warning": true. Addresses that are in use and a folder
that cannot be written show when the server starts.

Example:
  topicwire check --config config.yaml`
}

// Run prints what is wrong, or that nothing is.
func (c CheckCmd) Run(s *Streams) error {
	cfg, err := app.Check(c.Config)
	var problems config.Problems
	switch {
	case err == nil:
		problems = cfg.Warnings
	case !errors.As(err, &problems): // a file that is named is not what it should be
		problems = config.Problems{{Position: yamldoc.Position{File: c.Config}, Message: err.Error()}}
	}
	if c.JSON {
		return c.json(s, problems, err != nil)
	}
	if err != nil {
		return exitError{code: 1, msg: fmt.Sprintf("%v\n%s: %s", problems, c.Config, count(len(problems), "problem", "problems"))}
	}
	for _, w := range problems {
		fmt.Fprintln(s.Err, w)
	}
	fmt.Fprintf(s.Out, "%s is right: %s, %s", c.Config, count(len(cfg.Rules), "rule", "rules"), count(len(cfg.Functions), "function", "functions"))
	if len(problems) > 0 {
		fmt.Fprintf(s.Out, "; %s", count(len(problems), "warning", "warnings"))
	}
	fmt.Fprintln(s.Out)
	return nil
}

// json prints the list; it may be empty, but is a list.
func (CheckCmd) json(s *Streams, problems config.Problems, wrong bool) error {
	enc := json.NewEncoder(s.Out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(append(config.Problems{}, problems...)); err != nil {
		return err
	}
	if wrong {
		return exitError{code: 1}
	}
	return nil
}
