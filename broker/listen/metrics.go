package listen

import "github.com/prometheus/client_golang/prometheus"

// Metrics are the counters of all listeners, told apart by the label listener. A
// nil *Metrics counts nothing.
type Metrics struct {
	open     *prometheus.GaugeVec
	total    *prometheus.CounterVec
	in, out  *prometheus.CounterVec
	writes   *prometheus.CounterVec
	slow     *prometheus.CounterVec
	refused  *prometheus.CounterVec
	panicked *prometheus.CounterVec
}

// NewMetrics registers the metrics with reg; it panics if they are there already.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "topicwire_listen_" + name, Help: help},
			append([]string{"listener"}, labels...))
		reg.MustRegister(v)
		return v
	}
	m := &Metrics{
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "topicwire_listen_connections", Help: "Connections open now.",
		}, []string{"listener"}),
		total:    counter("connections_total", "Connections accepted."),
		in:       counter("received_bytes_total", "MQTT bytes received."),
		out:      counter("sent_bytes_total", "Bytes sent, WebSocket framing included."),
		writes:   counter("writes_total", "Writes to sockets; messages sent per write show how well writing coalesces."),
		slow:     counter("slow_writes_total", "Writes refused because a connection's buffer was full."),
		refused:  counter("refused_total", "Connections refused.", "reason"),
		panicked: counter("panics_total", "Connections ended by a panic that was recovered."),
	}
	reg.MustRegister(m.open)
	return m
}

// listenerStats are the metrics of one listener, looked up once.
type listenerStats struct {
	metrics *Metrics
	name    string

	open                                         prometheus.Gauge
	total, in, out, writes, slowWrites, panicked prometheus.Counter
}

// forListener looks up a listener's metrics; without Metrics they are counted
// where nobody sees them, so that no caller has to ask.
func (m *Metrics) forListener(name string) *listenerStats {
	if m == nil {
		m = NewMetrics(prometheus.NewRegistry())
	}
	return &listenerStats{
		metrics: m, name: name,
		open:  m.open.WithLabelValues(name),
		total: m.total.WithLabelValues(name),
		in:    m.in.WithLabelValues(name), out: m.out.WithLabelValues(name),
		writes: m.writes.WithLabelValues(name), slowWrites: m.slow.WithLabelValues(name),
		panicked: m.panicked.WithLabelValues(name),
	}
}

func (s *listenerStats) received(n int) { s.in.Add(float64(n)) }

func (s *listenerStats) sent(n int) {
	s.writes.Inc()
	s.out.Add(float64(n))
}

func (s *listenerStats) slow() { s.slowWrites.Inc() }

// refused counts a connection that was turned away; reason is one of a few words.
func (s *listenerStats) refused(reason string) {
	s.metrics.refused.WithLabelValues(s.name, reason).Inc()
}
