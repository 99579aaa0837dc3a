package journal

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the journal's counters. What is counted for every record is a plain
// atomic that Prometheus reads when it asks.
type metrics struct {
	records, bytes, batches, failures, rewritten, dropped atomic.Int64

	commit prometheus.Histogram
}

func newMetrics(reg prometheus.Registerer, j *Journal) *metrics {
	if reg == nil {
		reg = prometheus.NewRegistry()
	}
	m := &metrics{commit: prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "topicwire_journal_commit_seconds", Help: "How long it took to make a batch durable.",
		Buckets: prometheus.ExponentialBuckets(0.0001, 2.5, 12),
	})}
	reg.MustRegister(m.commit)
	for _, c := range []struct {
		name, help string
		v          *atomic.Int64
	}{
		{"records_total", "Changes handed to the journal.", &m.records},
		{"written_bytes_total", "Bytes of records written.", &m.bytes},
		{"batches_total", "Batches written; the changes of each became durable together.", &m.batches},
		{"failures_total", "Attempts to write that failed.", &m.failures},
		{"rewritten_records_total", "Records written anew so that older ones could be thrown away.", &m.rewritten},
		{"dropped_records_total", "Changes dropped while nothing could be written and too many waited; their state is written anew later.", &m.dropped},
	} {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "topicwire_journal_" + c.name, Help: c.help},
			func() float64 { return float64(c.v.Load()) }))
	}
	for _, g := range []struct {
		name, help string
		v          func() float64
	}{
		{"live_bytes", "Bytes of records that are still needed.", func() float64 { return float64(j.live.bytes) }},
		{"live_records", "Records that are still needed.", func() float64 { return float64(j.live.n) }},
		{"stored_bytes", "Bytes of all records that are stored.", func() float64 { return float64(j.ledger.bytes) }},
		{"pending_bytes", "Bytes of records that wait to be written.", func() float64 { return float64(len(j.pending.buf)) }},
	} {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "topicwire_journal_" + g.name, Help: g.help}, func() float64 {
			j.mu.Lock()
			defer j.mu.Unlock()
			return g.v()
		}))
	}
	return m
}
