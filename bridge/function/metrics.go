package function

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	invocations *prometheus.CounterVec
	seconds     *prometheus.HistogramVec
	opened      *prometheus.CounterVec
	targets     *targets
}

// newMetrics registers the room's metrics, or finds those that an earlier Registry
// has registered. A nil Registerer keeps them to itself.
func newMetrics(r prometheus.Registerer) *metrics {
	return &metrics{
		invocations: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topicwire_function_invocations_total",
			Help: "Invocations by function and outcome: ok, function_error, timeout, throttled, not_found, refused, unreachable, breaker_open (nothing was called), failed.",
		}, []string{"function", "outcome"})),
		opened: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topicwire_function_breaker_opened_total", Help: "How often a function or host was left alone because its calls failed.",
		}, []string{"target"})),
		targets: register(r, newTargets()),
		seconds: register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "topicwire_function_duration_seconds",
			Help:    "Time from handing over an event to its answer, waiting for a free slot included.",
			Buckets: prometheus.ExponentialBuckets(0.000_1, 4, 10), // 100 µs to 26 s
		}, []string{"function"})),
	}
}

func (m *metrics) observe(function, outcome string, d time.Duration) {
	m.invocations.WithLabelValues(function, outcome).Inc()
	m.seconds.WithLabelValues(function).Observe(d.Seconds())
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
