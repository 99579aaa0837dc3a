package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/topicwire/topicwire/internal/app"
	"github.com/topicwire/topicwire/internal/config"
)

// CheckCmd checks a configuration.
type CheckCmd struct {
	ConfigFlag
	JSON bool `name:"json" help:"Print the problems, and warnings if there are none, as a JSON list."`
}

// Help shows an example.
func (CheckCmd) Help() string {
	return `Exit status 0: the server would start with it. 1: it would not; everything that is
wrong is printed with its place and what to do about it.

Example:
  topicwire check --config config.yaml`
}

// Run prints what is wrong, or that nothing is.
func (c CheckCmd) Run(s *Streams) error {
	cfg, err := app.Check(c.Config)
	if c.JSON {
		return c.json(s, cfg, err)
	}
	var problems config.Problems
	if err != nil && !errors.As(err, &problems) {
		return err
	}
	if err != nil {
		n := "1 problem"
		if len(problems) != 1 {
			n = fmt.Sprintf("%d problems", len(problems))
		}
		return exitError{code: 1, msg: fmt.Sprintf("%v\n%s: %s", err, c.Config, n)}
	}
	for _, w := range cfg.Warnings {
		fmt.Fprintln(s.Err, w)
	}
	fmt.Fprintf(s.Out, "%s is right: %d rules, %d functions\n", c.Config, len(cfg.Rules), len(cfg.Functions))
	return nil
}

// json prints everything that is wrong, or the warnings if nothing is, as a list.
func (CheckCmd) json(s *Streams, cfg *config.Config, err error) error {
	problems := config.Problems{}
	switch {
	case err == nil:
		problems = append(problems, cfg.Warnings...)
	case !errors.As(err, &problems):
		problems = config.Problems{{Message: err.Error()}}
	}
	if encErr := json.NewEncoder(s.Out).Encode(problems); encErr != nil {
		return encErr
	}
	if err != nil {
		return exitError{code: 1}
	}
	return nil
}
