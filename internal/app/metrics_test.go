package app

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/topicwire/topicwire/internal/devcert"
	"github.com/topicwire/topicwire/internal/testkit"
)

var update = flag.Bool("update", false, "write the table of metrics into OPERATING.md")

// everything is a configuration in which every room has something to count.
const everything = `
listen:
  mqtt: 127.0.0.1:0
  http: 127.0.0.1:0
  mqtts: 127.0.0.1:0
  tls: {cert: server.cert.pem, key: server.private.key}
auth:
  methods: [{password: {file: passwords}}, {anonymous: {}}]
functions:
  here: {runtime: provided, path: passwords}
  there: {http: "http://127.0.0.1:9/"}
rules:
  - name: r
    sql: SELECT * FROM 'a'
    actions: [{lambda: {function: there}}, {http: {url: "http://127.0.0.1:9/"}}]
routes:
  - {path: /grip, function: there}
  - {path: /dev, mode: apigateway, function: there, apigateway: {subscribe: [a]}}
grip: {history: {topics: ["a/#"]}}
`

// serveEverything runs a server with all of it and gives its metrics.
func serveEverything(t *testing.T) *prometheus.Registry {
	t.Helper()
	dir := t.TempDir()
	a, _, err := devcert.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Server("server", []string{"127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	testkit.WriteFiles(t, dir, map[string]string{"config.yaml": everything, "passwords": ""})
	ctx, cancel := context.WithCancel(t.Context())
	var log testkit.Output
	registry := newMetrics()
	ended := make(chan error, 1)
	go func() {
		ended <- Run(ctx, Options{Config: filepath.Join(dir, "config.yaml"), LogFormat: "json", Log: &log, metrics: registry, Version: "test"})
		cancel()
	}()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	if _, err := log.WaitFor(ctx, `"ready"`); err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	return registry
}

// The names and units of the metrics are as Prometheus wants them, and OPERATING.md
// lists all of them with their labels and meaning.
func TestMetrics(t *testing.T) {
	registry := serveEverything(t)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}

	const first, last = "<!-- metrics: go test ./internal/app -run TestMetrics -update -->\n", "<!-- end of metrics -->\n"
	path := filepath.Join(testkit.Root(), "OPERATING.md")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), first)
	_, after, closed := strings.Cut(rest, last)
	if !ok || !closed {
		t.Fatalf("%s has no place for the metrics", path)
	}
	whole := before + first + metricsTable(t, registry) + last + after
	if *update {
		if err := os.WriteFile(path, []byte(whole), 0o600); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := cmp.Diff(string(text), whole); d != "" {
		t.Errorf("OPERATING.md is out of date, run go test ./internal/app -run TestMetrics -update (-file +server):\n%s", d)
	}
}

var descForm = regexp.MustCompile(`^Desc\{fqName: ("(?:[^"\\]|\\.)*"), help: ("(?:[^"\\]|\\.)*"),(?: unit: "[^"]*",)? constLabels: \{(.*?)\}, variableLabels: \{(.*?)\}\}$`)

func metricsTable(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	descs := make(chan *prometheus.Desc)
	go func() {
		registry.Describe(descs)
		close(descs)
	}()
	var rows []string
	for d := range descs {
		m := descForm.FindStringSubmatch(d.String())
		if m == nil {
			t.Errorf("not understood: %s", d)
			continue
		}
		name, _ := strconv.Unquote(m[1])
		help, _ := strconv.Unquote(m[2])
		if !strings.HasPrefix(name, "topicwire_") {
			continue // Go's and the system's own
		}
		var labels []string
		for constant := range strings.SplitSeq(m[3], ",") {
			if label, _, ok := strings.Cut(constant, "="); ok {
				labels = append(labels, label)
			}
		}
		if m[4] != "" {
			labels = append(labels, strings.Split(m[4], ",")...)
		}
		for i := range labels {
			labels[i] = "`" + strings.TrimSpace(labels[i]) + "`"
		}
		rows = append(rows, fmt.Sprintf("| `%s` | %s | %s |\n", name, strings.Join(labels, ", "), strings.ReplaceAll(help, "|", `\|`)))
	}
	slices.Sort(rows)
	return "\n| metric | labels | meaning |\n|---|---|---|\n" + strings.Join(slices.Compact(rows), "") + "\n"
}
