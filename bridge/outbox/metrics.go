package outbox

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	put, done, lost prometheus.Counter
	refusals        *prometheus.CounterVec
	jobs, bytes     prometheus.Gauge
	name            string
}

func newMetrics(r prometheus.Registerer, name string) *metrics {
	label := []string{"outbox"}
	counter := func(metric, help string) prometheus.Counter {
		return register(r, prometheus.NewCounterVec(prometheus.CounterOpts{Name: metric, Help: help}, label)).WithLabelValues(name)
	}
	gauge := func(metric, help string) prometheus.Gauge {
		return register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: metric, Help: help}, label)).WithLabelValues(name)
	}
	return &metrics{
		put:  counter("topicwire_outbox_put_total", "Jobs taken."),
		done: counter("topicwire_outbox_done_total", "Jobs brought to their end, whether they succeeded or failed."),
		lost: counter("topicwire_outbox_lost_total", "Jobs given up because the server shut down."),
		refusals: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topicwire_outbox_refused_total",
			Help: "Jobs refused, by reason: full, closed.",
		}, []string{"outbox", "reason"})),
		jobs:  gauge("topicwire_outbox_jobs", "Jobs that wait or run."),
		bytes: gauge("topicwire_outbox_bytes", "About what they take in memory."),
		name:  name,
	}
}

func (m *metrics) refused(reason string, jobs int) {
	m.refusals.WithLabelValues(m.name, reason).Add(float64(jobs))
}

func register[C prometheus.Collector](r prometheus.Registerer, c C) C {
	if r == nil {
		return c
	}
	var already prometheus.AlreadyRegisteredError
	if err := r.Register(c); errors.As(err, &already) {
		if old, ok := already.ExistingCollector.(C); ok {
			return old
		}
	}
	return c
}
