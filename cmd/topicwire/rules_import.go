package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/topicwire/topicwire/internal/config/yamldoc"
	"github.com/topicwire/topicwire/internal/rulesimport"
)

// RulesImportCmd writes a configuration of rules that were written for AWS IoT.
type RulesImportCmd struct {
	From            string            `enum:"auto,cloudformation,sam,serverless,terraform,payload" default:"auto" placeholder:"FORMAT" help:"What the files are: auto, cloudformation, sam, serverless, terraform or payload."`
	Param           map[string]string `mapsep:"none" placeholder:"NAME=VALUE" help:"Value of a parameter, or of whatever else is asked for by name; may be repeated."`
	SkipUnsupported bool              `help:"Leave out what topicwire cannot do, with a comment and a warning, instead of refusing it."`
	Output          string            `short:"o" placeholder:"FILE" help:"Write to this file. Paths of functions are written as seen from its folder."`
	Files           []string          `arg:"" name:"file" help:"Files to import; - for standard input."`
}

// Help says what is read and shows examples.
func (RulesImportCmd) Help() string {
	return `Reads CloudFormation and SAM templates (CDK's in cdk.out too), serverless.yml, the output
of terraform show -json, and TopicRulePayload JSON as in aws iot get-topic-rule. Writes a
configuration with the rules and the functions that they call.

What a file does not say is asked for by name. AWS::Partition is aws, and AWS::Region
and AWS::AccountId are us-east-1 and 000000000000 in the ARNs and environments of
functions that are imported too; give them with --param where more depends on them.

Examples:
  topicwire rules import template.yaml --param Stage=dev -o config.yaml
  terraform show -json | topicwire rules import -`
}

// Run imports the files.
func (c RulesImportCmd) Run(s *Streams) error {
	o := rulesimport.Options{From: rulesimport.Format(c.From), Params: c.Param, SkipUnsupported: c.SkipUnsupported}
	if c.Output != "" {
		o.Dir = filepath.Dir(c.Output)
	}
	files := make([]rulesimport.File, 0, len(c.Files))
	for _, name := range c.Files {
		data, err := readFileOr(s.In, name)
		if err != nil {
			return fmt.Errorf("cannot read %s: %s", name, yamldoc.Reason(err))
		}
		files = append(files, rulesimport.File{Name: name, Data: data})
	}
	result, err := rulesimport.Import(files, o)
	if problems, ok := errors.AsType[yamldoc.Problems](err); ok {
		return exitError{code: 1, msg: problems.Error()}
	}
	if err != nil {
		return err
	}
	for _, w := range result.Warnings {
		fmt.Fprintln(s.Err, w)
	}
	if c.Output == "" {
		_, err = s.Out.Write(result.YAML)
		return err
	}
	if err := os.WriteFile(c.Output, result.YAML, 0o644); err != nil { //nolint:gosec // a configuration, as an editor would write it
		return fmt.Errorf("cannot write %s: %s", c.Output, yamldoc.Reason(err))
	}
	return nil
}

// readFileOr reads a file, or standard input for -.
func readFileOr(stdin io.Reader, name string) ([]byte, error) {
	if name == "-" {
		return io.ReadAll(stdin)
	}
	return os.ReadFile(name)
}
