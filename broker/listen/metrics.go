package listen

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// Metrics are the counters of all listeners, told apart by the label listener. A
// nil *Metrics counts nothing.
type Metrics struct {
	reg      prometheus.Registerer
	open     *prometheus.GaugeVec
	total    *prometheus.CounterVec
	slow     *prometheus.CounterVec
	refused  *prometheus.CounterVec
	panicked *prometheus.CounterVec

	mu        sync.Mutex
	listeners map[string]*listenerStats
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
		reg: reg,
		open: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "topicwire_listen_connections", Help: "Connections open now.",
		}, []string{"listener"}),
		total:     counter("connections_total", "Connections accepted."),
		slow:      counter("slow_writes_total", "Writes refused because a connection's buffer was full."),
		refused:   counter("refused_total", "Connections refused.", "reason"),
		panicked:  counter("panics_total", "Connections ended by a panic that was recovered."),
		listeners: map[string]*listenerStats{},
	}
	reg.MustRegister(m.open)
	return m
}

// Totals are numbers of all listeners together, since the start.
type Totals struct {
	// Connections were accepted.
	Connections int64
	// Received and Sent are bytes; what is sent includes WebSocket framing.
	Received, Sent int64
	// PacketsSent are MQTT packets handed to connections.
	PacketsSent int64
}

// Totals adds up the listeners.
func (m *Metrics) Totals() Totals {
	var t Totals
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.listeners {
		t.Connections += s.accepted.Load()
		t.Received += s.in.Load()
		t.Sent += s.out.Load()
		t.PacketsSent += s.packets.Load()
	}
	return t
}

// listenerStats are the metrics of one listener, looked up once. What is counted for
// every read and write is a plain atomic that Prometheus reads when it asks.
type listenerStats struct {
	metrics *Metrics
	name    string

	open                        prometheus.Gauge
	total, slowWrites, panicked prometheus.Counter

	accepted                 atomic.Int64
	in, out, writes, packets atomic.Int64
}

// forListener looks up a listener's metrics; without Metrics they are counted
// where nobody sees them, so that no caller has to ask.
func (m *Metrics) forListener(name string) *listenerStats {
	if m == nil {
		m = NewMetrics(prometheus.NewRegistry())
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.listeners[name]; s != nil {
		return s // two addresses of one kind
	}
	s := &listenerStats{
		metrics: m, name: name,
		open:       m.open.WithLabelValues(name),
		total:      m.total.WithLabelValues(name),
		slowWrites: m.slow.WithLabelValues(name),
		panicked:   m.panicked.WithLabelValues(name),
	}
	m.listeners[name] = s
	for _, c := range []struct {
		name, help string
		value      *atomic.Int64
	}{
		{"received_bytes_total", "MQTT bytes received.", &s.in},
		{"sent_bytes_total", "Bytes sent, WebSocket framing included.", &s.out},
		{"writes_total", "Writes to sockets; packets sent per write show how well writing coalesces.", &s.writes},
		{"sent_packets_total", "MQTT packets handed to connections.", &s.packets},
	} {
		m.reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "topicwire_listen_" + c.name, Help: c.help, ConstLabels: prometheus.Labels{"listener": name},
		}, func() float64 { return float64(c.value.Load()) }))
	}
	return s
}

func (s *listenerStats) accept() {
	s.total.Inc()
	s.accepted.Add(1)
}

func (s *listenerStats) received(n int) { s.in.Add(int64(n)) }

func (s *listenerStats) sent(n int) {
	s.writes.Add(1)
	s.out.Add(int64(n))
}

func (s *listenerStats) slow() { s.slowWrites.Inc() }

// refused counts a connection that was turned away; reason is one of a few words.
func (s *listenerStats) refused(reason string) {
	s.metrics.refused.WithLabelValues(s.name, reason).Inc()
}
