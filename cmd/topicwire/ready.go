package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// ReadyCmd asks a server whether it is ready, for scripts and containers that have no
// curl.
type ReadyCmd struct {
	adminFlags
	Wait time.Duration `placeholder:"DURATION" help:"Ask again until it is ready, for that long at most."`
	JSON bool          `name:"json" help:"Print the server's answer, JSON."`
}

// Help says what it is for.
func (ReadyCmd) Help() string {
	return `Exit status 0: the server takes messages. 1: it does not, or there is none; why is printed.

Examples:
  topicwire ready
  topicwire ready --wait 30s && run-my-tests
  HEALTHCHECK CMD ["/topicwire", "ready"]`
}

const (
	readyEvery   = 100 * time.Millisecond
	readyTimeout = 5 * time.Second // of one question
)

// Run asks.
func (c ReadyCmd) Run(ctx context.Context, s *Streams) error {
	ctx, cancel := context.WithTimeout(ctx, max(c.Wait, readyTimeout))
	defer cancel()
	for {
		answer, err := c.ask(ctx)
		if err == nil {
			return c.print(s.Out, answer)
		}
		if c.Wait == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(readyEvery):
		}
	}
}

// ask is the answer of a server that is ready; otherwise an error says why it is not.
func (c ReadyCmd) ask(ctx context.Context) (map[string]string, error) {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.Server, "/")+"/readyz", http.NoBody)
	if err != nil {
		return nil, usageError("--server: %v", err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, c.unreachable(err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing is lost when closing what was read fails
	var answer map[string]string
	if err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer); err != nil || answer["status"] == "" {
		return nil, fmt.Errorf("%s answered with HTTP status %s; is it a topicwire server?", c.address(), resp.Status)
	}
	if resp.StatusCode == http.StatusOK {
		return answer, nil
	}
	var why []string
	for name, reason := range answer {
		if name != "status" {
			why = append(why, name+": "+reason)
		}
	}
	slices.Sort(why)
	return nil, errors.New(answer["status"] + ": " + strings.Join(why, "; ")) //nolint:err113 // the server's words
}

func (c ReadyCmd) print(w io.Writer, answer map[string]string) error {
	if c.JSON {
		return json.NewEncoder(w).Encode(answer)
	}
	_, err := fmt.Fprintln(w, answer["status"])
	return err
}
