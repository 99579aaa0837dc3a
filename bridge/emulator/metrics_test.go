//go:build unix

package emulator_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/topicwire/topicwire/bridge/emulator"
)

// gauge reads one value of the function's metrics; label is that of state or kind.
func (r *running) gauge(tb testing.TB, name, label string) float64 {
	tb.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			found := label == ""
			for _, l := range m.GetLabel() {
				found = found || l.GetValue() == label
			}
			switch {
			case !found:
			case m.GetGauge() != nil:
				return m.GetGauge().GetValue()
			case m.GetCounter() != nil:
				return m.GetCounter().GetValue()
			case m.GetHistogram() != nil:
				return float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	return 0
}

func (r *running) awaitEnvironments(tb testing.TB, state string, n float64) {
	tb.Helper()
	eventually(tb, "there are so many "+state+" environments", func() bool { return r.gauge(tb, "topicwire_emulator_environments", state) == n })
}

func TestMetrics(t *testing.T) {
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 1}, js(`exports.handler = async (e) => { if (e.fail) throw new Error('x'); if (e.exit) process.exit(1); };`))
	f.invoke(t, "{}")
	f.awaitEnvironments(t, "idle", 1)
	if m := f.gauge(t, "topicwire_emulator_process_resident_memory_bytes", ""); m < 10<<20 {
		t.Errorf("a Node process uses %v bytes", m)
	}
	f.invoke(t, `{"fail":1}`)
	f.invoke(t, `{"exit":1}`)
	f.awaitEnvironments(t, "idle", 0)
	for _, c := range []struct {
		name, label string
		least       float64
	}{
		{"topicwire_emulator_invocations_total", "", 3},
		{"topicwire_emulator_errors_total", "function", 1},
		{"topicwire_emulator_errors_total", "exit", 1},
		{"topicwire_emulator_invocation_duration_seconds", "", 3},
		{"topicwire_emulator_cold_starts_total", "", 1},
		{"topicwire_emulator_init_duration_seconds", "", 1},
		{"topicwire_emulator_process_cpu_seconds_total", "", 0.01},
	} {
		if got := f.gauge(t, c.name, c.label); got < c.least {
			t.Errorf("%s %s: got %v, want at least %v", c.name, c.label, got, c.least)
		}
	}
}

// TestMetricsAreShared makes two functions with one registry, and one with a registry
// where the name is taken.
func TestMetricsAreShared(t *testing.T) {
	reg := prometheus.NewRegistry()
	cfg := emulator.Config{Runtime: "provided", Path: "."}
	for _, name := range []string{"a", "b", "a"} {
		if _, err := emulator.New(name, cfg, emulator.Options{Metrics: reg}); err != nil {
			t.Errorf("function %s: %v", name, err)
		}
	}
	taken := prometheus.NewRegistry()
	taken.MustRegister(prometheus.NewGauge(prometheus.GaugeOpts{Name: "topicwire_emulator_invocations_total"}))
	if _, err := emulator.New("a", cfg, emulator.Options{Metrics: taken}); err == nil {
		t.Error("a registry that has another metric of the name is accepted")
	}
}
