package apigateway

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/topicwire/topicwire/bridge/function"
)

// eventAuthorize is what an authorizer's invocations are counted as.
const eventAuthorize = "AUTHORIZE"

type metrics struct {
	invocations *prometheus.CounterVec
	management  *prometheus.CounterVec
	refused     *prometheus.CounterVec
	complaints  *prometheus.CounterVec
	received    prometheus.Counter
	gone        prometheus.Counter
	dropped     prometheus.Counter
}

func newMetrics(r prometheus.Registerer, open func() int) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: "topicwire_apigateway_" + name, Help: help})
	}
	vector := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "topicwire_apigateway_" + name, Help: help}, labels)
	}
	m := &metrics{
		invocations: vector("invocations_total", "Events handed to functions, by the kind of event and what became of them.", "event", "outcome"),
		management:  vector("management_requests_total", "Requests to @connections, by method and status.", "method", "status"),
		refused:     vector("refused_total", "Handshakes that were not accepted, by the status of the answer.", "status"),
		complaints:  vector("error_frames_total", "Messages that were not worked off, by what the client was told.", "message"),
		received:    counter("messages_total", "Messages of clients."),
		gone:        counter("gone_total", "Messages published to connections that have ended."),
		dropped:     counter("early_dropped_total", "Messages that came before a handshake was answered and found no room."),
	}
	if r == nil {
		return m
	}
	connections := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "topicwire_apigateway_connections", Help: "Connections open now.",
	}, func() float64 { return float64(open()) })
	r.MustRegister(connections, m.invocations, m.management, m.refused, m.complaints, m.received, m.gone, m.dropped)
	return m
}

func (m *metrics) invoked(event string, err error) {
	m.invocations.WithLabelValues(event, function.Outcome(err)).Inc()
}

func (m *metrics) managed(method string, status int) {
	switch method {
	case "POST", "GET", "DELETE":
	default:
		method = "other"
	}
	m.management.WithLabelValues(method, strconv.Itoa(status)).Inc()
}
