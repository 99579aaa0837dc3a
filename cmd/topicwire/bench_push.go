package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/topicwire/topicwire/internal/bench"
)

// benchPush is what `make bench` runs beside the comparison of brokers.
type benchPush struct {
	Duration time.Duration `default:"3s" help:"Of each row of echoes (${default})."`
	Only     []string      `sep:"," placeholder:"TEXT" help:"Only the scenarios whose name contains this."`
	Markdown bool          `help:"Print Markdown, for a README."`
	JSON     bool          `name:"json" help:"Print the result as one line of JSON."`
	Optional bool          `help:"Without pushpin, say so and succeed."`
}

// Help is the example that --help shows.
func (*benchPush) Help() string {
	return `Examples:
  topicwire bench push
  topicwire bench push --only echo --duration 10s --markdown

Starts this program and Debian's pushpin (apt-get install pushpin) one after the other on free ports, both in
front of the same HTTP origin, which speaks WebSocket-over-HTTP and runs in the load generator: round trips, connecting,
memory of idle connections, and bursts to many. Every message is numbered; what is lost is said.`
}

// Run starts the servers, measures them and prints the table.
func (c *benchPush) Run(ctx context.Context, s *Streams) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	table, err := bench.ComparePush(ctx, bench.PushConfig{
		Starts: []bench.PushStart{
			func(ctx context.Context, dir, origin string) (*bench.PushServer, error) {
				return bench.StartTopicwirePush(ctx, self, dir, origin)
			},
			bench.StartPushpin,
		},
		Duration: c.Duration,
		Only:     c.Only,
		Started: func(row, server string) {
			_, _ = fmt.Fprintf(s.Err, "%s: %s\n", row, server)
		},
	})
	switch {
	case errors.Is(err, context.Canceled):
		return exitError{code: exitInterrupted}
	case errors.Is(err, bench.ErrNoBroker) && c.Optional:
		_, _ = fmt.Fprintf(s.Err, "no comparison of WebSockets: %v\n", err)
		return nil
	case err != nil:
		return exitError{code: exitFailed, msg: "topicwire: " + err.Error()}
	case c.JSON:
		return json.NewEncoder(s.Out).Encode(table)
	}
	return table.Write(s.Out, c.Markdown)
}
