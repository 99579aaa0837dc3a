package function

import (
	"slices"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
)

// targets are the functions and hosts whose health the metrics show: those that can be
// called now. They are asked when Prometheus asks, so that nothing is told any more of
// one that a reload has taken away.
type targets struct {
	open, limit *prometheus.Desc

	mu   sync.Mutex
	live []*Health // in the order in which they came
}

func newTargets() *targets {
	label := []string{"target"}
	return &targets{
		open:  prometheus.NewDesc("topicwire_function_breaker_open", "1 while a function or host is left alone.", label, nil),
		limit: prometheus.NewDesc("topicwire_function_concurrency_limit", "How many calls may run at once: less than configured after a throttle.", label, nil),
	}
}

func (t *targets) add(h *Health) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live = append(t.live, h)
}

func (t *targets) remove(h *Health) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.live = slices.DeleteFunc(t.live, func(other *Health) bool { return other == h })
}

// Describe implements [prometheus.Collector].
func (t *targets) Describe(c chan<- *prometheus.Desc) {
	c <- t.open
	c <- t.limit
}

// Collect implements [prometheus.Collector]. Of two of one name, as there are while a
// changed function is put in the place of another, the newer one counts.
func (t *targets) Collect(c chan<- prometheus.Metric) {
	t.mu.Lock()
	newest := make(map[string]*Health, len(t.live))
	for _, h := range t.live {
		newest[h.name] = h
	}
	t.mu.Unlock()
	for name, h := range newest {
		open, limit := h.state()
		c <- prometheus.MustNewConstMetric(t.open, prometheus.GaugeValue, open, name)
		c <- prometheus.MustNewConstMetric(t.limit, prometheus.GaugeValue, limit, name)
	}
}
