package auth

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the counters of authentication.
type metrics struct {
	results *prometheus.CounterVec // by method and result
	hashes  prometheus.Counter
	cached  *prometheus.CounterVec // by method
	waiting prometheus.Gauge
	fetches *prometheus.CounterVec // by result

	signatures *prometheus.GaugeVec   // by kind
	forgotten  *prometheus.CounterVec // by kind
}

func newMetrics(reg prometheus.Registerer) *metrics {
	m := &metrics{
		results: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topicwire_auth_total", Help: "Credentials that were shown, by the method that knew them and what came of it.",
		}, []string{"method", "result"}),
		hashes: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "topicwire_auth_password_hashes_total", Help: "Passwords that were hashed to check them.",
		}),
		cached: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topicwire_auth_cached_total", Help: "Credentials that were known from shortly before.",
		}, []string{"method"}),
		waiting: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "topicwire_auth_password_checks_waiting", Help: "Password checks that wait for their turn.",
		}),
		fetches: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topicwire_auth_jwks_fetches_total", Help: "Fetches of key sets.",
		}, []string{"result"}),
		signatures: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "topicwire_auth_signatures", Help: "Signatures that are remembered until they expire, so that nobody else uses them.",
		}, []string{"kind"}),
		forgotten: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "topicwire_auth_signatures_forgotten_total", Help: "Signatures that were forgotten before they expired, for want of room: somebody who has read one could use it.",
		}, []string{"kind"}),
	}
	if reg != nil {
		reg.MustRegister(m.results, m.hashes, m.cached, m.waiting, m.fetches, m.signatures, m.forgotten)
	}
	return m
}

// count counts what came of credentials.
func (m *metrics) count(p *Principal, err error) {
	var r *Refusal
	method := ""
	switch {
	case p != nil:
		method = p.Method
	case errors.As(err, &r):
		method = r.Method
	}
	m.results.WithLabelValues(method, resultOf(err)).Inc()
}

func resultOf(err error) string {
	switch {
	case err == nil:
		return "accepted"
	case errors.Is(err, ErrTooMany):
		return "too_many"
	case errors.Is(err, errReplayed):
		return "replayed"
	case errors.Is(err, ErrRefused):
		return "refused"
	case errors.Is(err, ErrNotMine):
		return "unknown"
	default:
		return "failed"
	}
}
