package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/topicwire/topicwire/internal/bench"
)

// benchCompare is what `make bench` runs.
type benchCompare struct {
	Broker   string        `enum:"mosquitto" default:"mosquitto" placeholder:"NAME" help:"The other broker (${default})."`
	Duration time.Duration `default:"3s" help:"Of each load (${default})."`
	Only     []string      `sep:"," placeholder:"TEXT" help:"Only the scenarios whose name contains this."`
	Markdown bool          `help:"Print Markdown, for a README."`
}

// Help is the example that --help shows.
func (*benchCompare) Help() string {
	return `Examples:
  topicwire bench compare
  topicwire bench compare --only 'QoS 1' --duration 10s --markdown

Starts this program and the other broker one after the other on free ports, each pinned to one core with
the generator on another, runs the same scenarios and prints both columns and the ratio. Nothing else
should be running: differences under a third are no evidence.`
}

// Run starts the brokers, measures them and prints the table.
func (c *benchCompare) Run(ctx context.Context, s *Streams) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	table, err := bench.Compare(ctx, bench.CompareConfig{
		Starts: []bench.Start{
			func(ctx context.Context, dir string, core int) (*bench.Broker, error) {
				return bench.StartTopicwire(ctx, self, dir, core)
			},
			bench.StartMosquitto,
		},
		Functions: []bench.StartFunction{
			func(ctx context.Context, dir string, core int, url string) (*bench.Broker, error) {
				return bench.StartTopicwireFunction(ctx, self, dir, core, url)
			},
			func(ctx context.Context, dir string, core int, url string) (*bench.Broker, error) {
				return bench.StartMosquittoBridge(ctx, self, dir, core, url)
			},
		},
		Echo: func(ctx context.Context, core int) (*bench.Broker, error) {
			return bench.StartEcho(ctx, self, core)
		},
		Duration: c.Duration,
		Only:     c.Only,
		Started: func(row, broker string) {
			_, _ = fmt.Fprintf(s.Err, "%s: %s\n", row, broker)
		},
	})
	switch {
	case errors.Is(err, context.Canceled):
		return exitError{code: exitInterrupted}
	case err != nil:
		return exitError{code: exitFailed, msg: "topicwire: " + err.Error()}
	}
	return table.Write(s.Out, c.Markdown)
}

// benchBridge is the bridge that compare starts beside the other broker.
type benchBridge struct {
	URL      string `short:"L" name:"url" required:"" placeholder:"URL" help:"Broker."`
	Function string `required:"" placeholder:"URL" help:"Where to POST the messages."`
}

// Run bridges until it is told to end.
func (c *benchBridge) Run(ctx context.Context, s *Streams) error {
	as := clientFlags{URL: c.URL}
	target, _, err := as.place()
	if err != nil {
		return err
	}
	if err := bench.Bridge(ctx, target, c.Function, s.Out); err != nil {
		return as.fail(target, err)
	}
	return nil
}

// benchEcho is what compare measures in the broker's place.
type benchEcho struct{}

// Run echoes until it is told to end.
func (c *benchEcho) Run(ctx context.Context, s *Streams) error { return bench.Echo(ctx, s.Out) }
