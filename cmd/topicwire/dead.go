package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// DeadCmd groups what is done with dead letters.
type DeadCmd struct {
	List   DeadListCmd   `cmd:"" help:"List the dead letters."`
	Show   DeadShowCmd   `cmd:"" help:"Print one dead letter whole, as AWS's failure destinations get it."`
	Replay DeadReplayCmd `cmd:"" help:"Try dead letters again."`
	Stop   DeadStopCmd   `cmd:"" help:"End the replay of dead letters."`
	Drop   DeadDropCmd   `cmd:"" help:"Forget dead letters."`
}

// DeadListCmd lists dead letters.
type DeadListCmd struct {
	adminFlags
	deadFilter
	Limit int  `default:"100" placeholder:"N" help:"How many to list at most (${default})."`
	JSON  bool `name:"json" help:"Print JSON, one letter a line, whole."`
}

// Help shows examples.
func (DeadListCmd) Help() string {
	return `Examples:
  topicwire dead list --function ingest --since 1h
  topicwire dead list --error timeout --json`
}

// Run prints a table, or JSON.
func (c DeadListCmd) Run(ctx context.Context, s *Streams) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	q.Set("limit", strconv.Itoa(c.Limit))
	var answer struct {
		Total   int               `json:"total"`
		Letters []json.RawMessage `json:"letters"`
	}
	if err := c.call(ctx, http.MethodGet, "/admin/dead", q, &answer); err != nil {
		return err
	}
	if len(answer.Letters) == 0 && !c.JSON {
		fmt.Fprintln(s.Err, "there are none")
		return nil
	}
	if err := printLetters(s.Out, answer.Letters, c.JSON); err != nil {
		return err
	}
	if more := answer.Total - len(answer.Letters); more > 0 {
		fmt.Fprintf(s.Err, "%d more; --limit shows them\n", more)
	}
	return nil
}

// DeadShowCmd prints one dead letter.
type DeadShowCmd struct {
	adminFlags
	ID string `arg:"" help:"The letter's id."`
}

// Help shows an example.
func (DeadShowCmd) Help() string {
	return "Example:\n  topicwire dead show $(topicwire dead list --json --limit 1 | jq -r .requestContext.requestId)"
}

// Run prints the letter as indented JSON.
func (c DeadShowCmd) Run(ctx context.Context, s *Streams) error {
	var letter json.RawMessage
	if err := c.call(ctx, http.MethodGet, "/admin/dead/"+url.PathEscape(c.ID), nil, &letter); err != nil {
		return err
	}
	doc, err := json.MarshalIndent(letter, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.Out, "%s\n", doc)
	return err
}

// DeadReplayCmd tries dead letters again.
type DeadReplayCmd struct {
	adminFlags
	deadFilter
	All    bool    `help:"Without a filter: all of them are meant."`
	To     string  `placeholder:"FUNCTION" help:"Hand them to this function in place of their own."`
	Rate   float64 `placeholder:"N" help:"How many a second at most; no limit if left out."`
	DryRun bool    `help:"Only print what would be tried."`
	JSON   bool    `name:"json" help:"Print JSON."`
}

// Help says what a replay does.
func (DeadReplayCmd) Help() string {
	return `Letters are tried in the order of their messages, with as many attempts as a new
message has. A letter that succeeds is gone; one that fails again stays, with the new error.
The command does not wait for that: see topicwire dead list. A replay goes on after a
restart of the server; topicwire dead stop ends it.

Examples:
  topicwire dead replay --rule ingest --rate 10
  topicwire dead replay --error TypeError --to ingest-fixed --dry-run`
}

// Run says how many are tried.
func (c DeadReplayCmd) Run(ctx context.Context, s *Streams) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	if c.To != "" {
		q.Set("to", c.To)
	}
	if c.Rate < 0 {
		return usageError("--rate: write how many letters a second, such as 10")
	}
	if c.Rate > 0 {
		q.Set("rate", strconv.FormatFloat(c.Rate, 'g', -1, 64))
	}
	return c.change(ctx, s, http.MethodPost, "/admin/dead/replay", q, changeFlags{all: c.All, dryRun: c.DryRun, json: c.JSON, verb: "replayed"})
}

// DeadStopCmd ends replays.
type DeadStopCmd struct {
	adminFlags
	deadFilter
	All  bool `help:"Without a filter: all of them are meant."`
	JSON bool `name:"json" help:"Print JSON."`
}

// Help says what becomes of the letters.
func (DeadStopCmd) Help() string {
	return `The letters stay what they were. An attempt that is under way is the last one.

Example:
  topicwire dead stop --all`
}

// Run says of how many the replay is ended.
func (c DeadStopCmd) Run(ctx context.Context, s *Streams) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	return c.change(ctx, s, http.MethodDelete, "/admin/dead/replay", q, changeFlags{all: c.All, json: c.JSON, verb: "stopped"})
}

// DeadDropCmd forgets dead letters.
type DeadDropCmd struct {
	adminFlags
	deadFilter
	All    bool `help:"Without a filter: all of them are meant."`
	DryRun bool `help:"Only print what would be dropped."`
	JSON   bool `name:"json" help:"Print JSON."`
}

// Help shows an example.
func (DeadDropCmd) Help() string {
	return "Example:\n  topicwire dead drop --rule ingest --until 2026-01-02"
}

// Run says how many are dropped.
func (c DeadDropCmd) Run(ctx context.Context, s *Streams) error {
	q, err := c.query()
	if err != nil {
		return err
	}
	return c.change(ctx, s, http.MethodDelete, "/admin/dead", q, changeFlags{all: c.All, dryRun: c.DryRun, json: c.JSON, verb: "dropped"})
}

// changeFlags are what replay and drop have in common.
type changeFlags struct {
	all, dryRun, json bool
	verb              string
}

// change asks the server to do something with letters and prints what it did, or would.
func (f *adminFlags) change(ctx context.Context, s *Streams, method, path string, q url.Values, o changeFlags) error {
	if o.all {
		q.Set("all", "true")
	} else if len(q) == 0 || len(q) == 1 && (q.Has("to") || q.Has("rate")) {
		return usageError("no filter is given: name ids, give --rule, --function, --since, --until or --error, or --all")
	}
	if o.dryRun {
		q.Set("dry_run", "true")
	}
	var answer map[string]json.RawMessage
	if err := f.call(ctx, method, path, q, &answer); err != nil {
		return err
	}
	var letters []json.RawMessage
	if raw, ok := answer["letters"]; ok {
		if err := json.Unmarshal(raw, &letters); err != nil {
			return err
		}
	}
	if o.json && !o.dryRun {
		return json.NewEncoder(s.Out).Encode(answer)
	}
	if o.dryRun {
		return printLetters(s.Out, letters, o.json)
	}
	_, err := fmt.Fprintf(s.Out, "%s %s\n", answer[o.verb], o.verb)
	return err
}
