package main

import "github.com/topicwire/topicwire/internal/config"

// SchemaCmd prints the JSON Schema.
type SchemaCmd struct {
	Rules bool `help:"The schema of rule files instead."`
}

// Help shows an example.
func (SchemaCmd) Help() string {
	return `Name the schema in the first line of a file and your editor completes and checks it:
  # yaml-language-server: $schema=topicwire.schema.json

Example:
  topicwire schema > topicwire.schema.json`
}

// Run prints the schema.
func (c SchemaCmd) Run(s *Streams) error {
	schema := config.Schema
	if c.Rules {
		schema = config.RuleSchema
	}
	text, err := schema()
	if err != nil {
		return err
	}
	_, err = s.Out.Write(text)
	return err
}
