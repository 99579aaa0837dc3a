package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/internal/app"
	"github.com/topicwire/topicwire/rules/sql"
)

// RulesListCmd lists the rules of a configuration.
type RulesListCmd struct {
	ConfigFlag
	JSON bool `name:"json" help:"Print JSON, one object a rule."`
}

// Help shows an example.
func (RulesListCmd) Help() string { return "Example:\n  topicwire rules list --json" }

// listedRule is a rule as `rules list --json` prints it.
type listedRule struct {
	Name        string   `json:"name"`
	SQL         string   `json:"sql"`
	Version     string   `json:"awsIotSqlVersion"`
	Disabled    bool     `json:"ruleDisabled"`
	Description string   `json:"description,omitempty"`
	Actions     []string `json:"actions"`
	ErrorAction string   `json:"errorAction,omitempty"`
}

// Run prints a table, or JSON.
func (c RulesListCmd) Run(s *Streams) error {
	cfg, err := app.Check(c.Config)
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(s.Out, 0, 0, 2, ' ', 0)
	if !c.JSON {
		fmt.Fprintln(table, "NAME\tSTATE\tACTIONS\tSQL")
	}
	for _, r := range cfg.Rules {
		rule := listedRule{
			Name: r.Name, SQL: r.SQL, Version: string(cmp.Or(r.Version, sql.V20160323)), Disabled: r.Disabled, Description: r.Description, Actions: []string{},
		}
		for _, a := range r.Actions {
			rule.Actions = append(rule.Actions, describe(a))
		}
		if r.ErrorAction != nil {
			rule.ErrorAction = describe(*r.ErrorAction)
		}
		if c.JSON {
			enc := json.NewEncoder(s.Out)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(rule); err != nil {
				return err
			}
			continue
		}
		state := "on"
		if rule.Disabled {
			state = "off"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", rule.Name, state, strings.Join(rule.Actions, ", "), strings.Join(strings.Fields(rule.SQL), " "))
	}
	return table.Flush()
}

// describe names an action and what it acts on.
func describe(a action.Config) string {
	switch {
	case a.Lambda != nil && a.Lambda.Function != "":
		return "lambda " + a.Lambda.Function
	case a.Lambda != nil:
		return "lambda " + a.Lambda.FunctionArn
	case a.HTTP != nil:
		return "http " + a.HTTP.URL
	case a.Republish != nil:
		return "republish " + a.Republish.Topic
	default:
		return "nothing"
	}
}
