package bench_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/bench"
	"github.com/topicwire/topicwire/internal/testkit"
)

// TestComparePush runs the whole comparison in small, of the program with itself.
func TestComparePush(t *testing.T) {
	var binary testkit.Binary
	t.Cleanup(binary.Close)
	program := binary.Path(t)
	start := func(ctx context.Context, dir, origin string) (*bench.PushServer, error) {
		return bench.StartTopicwirePush(ctx, program, dir, origin)
	}
	table, err := bench.ComparePush(t.Context(), bench.PushConfig{Starts: []bench.PushStart{start, start}, Duration: 50 * time.Millisecond, Scale: 50})
	if err != nil {
		t.Fatal(err)
	}
	var text, markdown strings.Builder
	if err := errors.Join(table.Write(&text, false), table.Write(&markdown, true)); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + markdown.String())
	for _, row := range table.Rows {
		for _, c := range row.Cells {
			if c.Failed != "" || c.Faults != "" || c.Value <= 0 && row.More { // so few connections may cost nothing
				t.Errorf("%s: %s", row.Name, c)
			}
		}
		if !strings.Contains(markdown.String(), "| "+row.Name+" | "+row.Unit+" |") || !strings.Contains(text.String(), row.Name) {
			t.Errorf("%s is not in the table", row.Name)
		}
	}
	if b, err := json.Marshal(table); err != nil || !strings.Contains(string(b), `"unit":"round trips/s"`) {
		t.Errorf("%s, %v", b, err)
	}
}

func TestComparePushSaysWhatIsWrong(t *testing.T) {
	missing := func(context.Context, string, string) (*bench.PushServer, error) { return nil, bench.ErrNoBroker }
	if _, err := bench.ComparePush(t.Context(), bench.PushConfig{Starts: []bench.PushStart{missing}}); !errors.Is(err, bench.ErrNoBroker) {
		t.Errorf("a server that is missing: %v", err)
	}
	if _, err := bench.ComparePush(t.Context(), bench.PushConfig{Only: []string{"juggling"}}); !errors.Is(err, bench.ErrNoRow) {
		t.Errorf("a row that does not exist: %v", err)
	}
	broken := t.TempDir() + "/broken"
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho no such thing >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := bench.StartTopicwirePush(t.Context(), broken, t.TempDir(), "127.0.0.1:1"); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("a program that ends at once: %v", err)
	}
}
