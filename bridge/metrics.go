package bridge

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/topicwire/topicwire/bridge/action"
)

type metrics struct {
	matched, unmatched, refused, stopped prometheus.Counter
	matches                              *prometheus.CounterVec
	dropped                              *prometheus.CounterVec
	actions                              *prometheus.CounterVec
	seconds                              *prometheus.HistogramVec
	wait                                 prometheus.Histogram
	latency, batches                     *prometheus.HistogramVec
	replies                              *prometheus.CounterVec
	errorActionsFailed                   *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	messages := register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "topicwire_bridge_messages_total",
		Help: "Messages by what became of them: matched (a rule's topic filter), unmatched, refused (the outbox is full), stopped (too many hops).",
	}, []string{"outcome"}))
	latency := prometheus.ExponentialBuckets(0.000_1, 4, 10) // 100 µs to 26 s
	return &metrics{
		matched:   messages.WithLabelValues("matched"),
		unmatched: messages.WithLabelValues("unmatched"),
		refused:   messages.WithLabelValues("refused"),
		stopped:   messages.WithLabelValues("stopped"),
		matches: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topicwire_bridge_rule_matches_total", Help: "Messages that a rule took.",
		}, []string{"rule"})),
		dropped: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topicwire_bridge_dropped_total", Help: "What was not handed to a function, by reason: qos0_queue_full, hops.",
		}, []string{"reason"})),
		actions: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topicwire_bridge_actions_total",
			Help: "Attempts of actions by rule, kind and outcome: ok, rule_error (a statement or template failed), function_error, timeout, throttled, not_found, refused, unreachable, item_failure (of a batch), breaker_open (nothing was called), given_up (too old, or pushed out), failed.",
		}, []string{"rule", "action", "outcome"})),
		seconds: register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "topicwire_bridge_action_duration_seconds", Help: "Time that an action took.", Buckets: latency,
		}, []string{"rule", "action"})),
		wait: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "topicwire_bridge_wait_seconds", Help: "Time that a job waited in the outbox.", Buckets: latency,
		})),
		latency: register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "topicwire_bridge_latency_seconds", Help: "Time from accepting a message to the end of an action that succeeded, retries included.",
			Buckets: prometheus.ExponentialBuckets(0.001, 4, 12), // 1 ms to over an hour
		}, []string{"rule"})),
		batches: register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "topicwire_bridge_batch_messages", Help: "Messages in a batch.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 8), // 1 to 16,384
		}, []string{"rule"})),
		replies: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topicwire_bridge_replies_total",
			Help: "Answers by what became of them: published, no_answer (the function gave none), no_topic, not_allowed (to receive from the Response Topic).",
		}, []string{"outcome"})),
		errorActionsFailed: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topicwire_bridge_error_actions_failed_total", Help: "Error actions that failed themselves.",
		}, []string{"rule"})),
	}
}

func (m *metrics) drop(reason string, n int) { m.dropped.WithLabelValues(reason).Add(float64(n)) }

func (m *metrics) acted(rule, kind, outcome string, took time.Duration) {
	m.actions.WithLabelValues(rule, kind, outcome).Inc()
	m.seconds.WithLabelValues(rule, kind).Observe(took.Seconds())
}

// answered counts what became of a function's answer. A republished message is none.
func (m *metrics) answered(s action.Spec, r action.Result) {
	switch {
	case s.Republish != nil:
	case r.Unanswered != "":
		m.replies.WithLabelValues(string(r.Unanswered)).Inc()
	default:
		m.replies.WithLabelValues("published").Inc()
	}
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
