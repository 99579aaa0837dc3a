package bench_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/bench"
	"github.com/topicwire/topicwire/internal/mqttclient"
	"github.com/topicwire/topicwire/internal/testkit"
)

func TestCompare(t *testing.T) {
	testkit.Mosquitto(t) // is there one?
	config := bench.CompareConfig{
		Starts: []bench.Start{bench.StartMosquitto, bench.StartMosquitto}, Duration: 50 * time.Millisecond, Scale: 100,
		Only: []string{"1→1 QoS 1", "WebSocket", "filters", "latency", "idle", "retained", "offline"},
		Echo: func(ctx context.Context, _ int) (*bench.Broker, error) { return echo(ctx, t) },
	}
	table, err := bench.Compare(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	var text, markdown strings.Builder
	if err := table.Write(&text, false); err != nil {
		t.Fatal(err)
	}
	if err := table.Write(&markdown, true); err != nil {
		t.Fatal(err)
	}
	t.Log("\n" + markdown.String())
	for _, row := range table.Rows {
		for _, cell := range row.Cells {
			if cell.Err != nil || len(cell.Values) == 0 || !cell.Result.OK() {
				t.Errorf("%s: %v, %s", row.Name, cell.Err, cell)
			}
		}
		if !strings.Contains(markdown.String(), "| "+row.Name+" | "+row.Unit+" |") || !strings.Contains(text.String(), row.Name) {
			t.Errorf("%s is not in the table", row.Name)
		}
	}
	if len(table.Floor) != 2 || table.Floor[0] <= 0 || table.Floor[1] <= 0 {
		t.Errorf("the floor: %v", table.Floor)
	}
	for _, want := range []string{"A bare TCP echo", "| scenario | unit | mosquitto 2", "|---|---|---:|---:|---:|\n", time.Now().Format("2006-"), "cores"} {
		if !strings.Contains(markdown.String(), want) {
			t.Errorf("the table lacks %q", want)
		}
	}
}

// echo runs the echo in this process.
func echo(ctx context.Context, t *testing.T) (*bench.Broker, error) {
	t.Helper()
	said, out := io.Pipe()
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- bench.Echo(ctx, out) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("the echo: %v", err)
		}
	})
	line, err := bufio.NewReader(said).ReadString('\n')
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(strings.TrimSpace(strings.TrimPrefix(line, "echo ready on ")))
	return &bench.Broker{Name: "the echo", TCP: mqttclient.Target{Host: host, Port: port}}, err
}

func TestCompareSaysWhatIsWrong(t *testing.T) {
	missing := func(context.Context, string, int) (*bench.Broker, error) { return nil, bench.ErrNoBroker }
	if _, err := bench.Compare(t.Context(), bench.CompareConfig{Starts: []bench.Start{missing, missing}}); !errors.Is(err, bench.ErrNoBroker) {
		t.Errorf("a broker that is missing: %v", err)
	}
	if _, err := bench.Compare(t.Context(), bench.CompareConfig{Only: []string{"juggling"}}); !errors.Is(err, bench.ErrNoRow) {
		t.Errorf("a row that does not exist: %v", err)
	}
	broken := t.TempDir() + "/broken"
	if err := os.WriteFile(broken, []byte("#!/bin/sh\necho no such thing >&2\nexit 3\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := bench.StartTopicwire(t.Context(), broken, t.TempDir(), -1); err == nil || !strings.Contains(err.Error(), "no such thing") {
		t.Errorf("a program that ends at once: %v", err)
	}
}

// The whole path is measured with a bridge beside the broker.
func TestCompareWithAFunction(t *testing.T) {
	testkit.Mosquitto(t) // is there one?
	bridged := func(ctx context.Context, dir string, core int, url string) (*bench.Broker, error) {
		b, err := bench.StartMosquitto(ctx, dir, core)
		if err != nil {
			return nil, err
		}
		ready, ready2 := io.Pipe()
		ctx, cancel := context.WithCancel(ctx)
		done := make(chan error, 1)
		go func() { done <- bench.Bridge(ctx, b.TCP, url, ready2) }()
		t.Cleanup(func() {
			cancel()
			if err := <-done; err != nil && !errors.Is(err, mqttclient.ErrLost) {
				t.Errorf("the bridge: %v", err)
			}
		})
		_, err = ready.Read(make([]byte, 100))
		return b, err
	}
	table, err := bench.Compare(t.Context(), bench.CompareConfig{
		Starts: []bench.Start{bench.StartMosquitto}, Functions: []bench.StartFunction{bridged},
		Duration: 100 * time.Millisecond, Only: []string{"HTTP function"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range table.Rows {
		if cell := row.Cells[0]; cell.Err != nil || len(cell.Values) != 2 || !cell.Result.OK() {
			t.Errorf("%s: %v, %s", row.Name, cell.Err, cell)
		}
	}
}
