package grip

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the door's counters.
type metrics struct {
	requests       *prometheus.CounterVec // by kind and outcome
	refused        *prometheus.CounterVec // clients not held, by reason
	revoked        *prometheus.CounterVec // clients ended because of who they are, by why
	published      prometheus.Counter
	publishFailed  prometheus.Counter
	publishRefused prometheus.Counter
	disconnects    *prometheus.CounterVec // DISCONNECT events, by what became of them
	ignored        *prometheus.CounterVec // what handlers sent and nobody can use, by reason
	delivered      atomic.Int64           // to holders
	missed         atomic.Int64           // holders that a message did not reach: their queue was full
	windowLost     atomic.Int64
	polls, streams atomic.Int64 // held now
}

func newMetrics(r prometheus.Registerer, d *Door) *metrics {
	if r == nil {
		r = prometheus.NewRegistry()
	}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "topicwire_grip_" + name, Help: help})
		r.MustRegister(c)
		return c
	}
	vec := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "topicwire_grip_" + name, Help: help}, labels)
		r.MustRegister(c)
		return c
	}
	m := &metrics{
		requests:       vec("requests_total", "Requests to the handlers behind routes, by kind (open, events, http, next) and outcome (ok, refused, bad, failed).", "kind", "outcome"),
		refused:        vec("refused_total", "Clients that were not held, by reason.", "reason"),
		revoked:        vec("revoked_total", "Clients that were held and ended: what they authenticated with has expired or is not accepted any more (unauthorized), or the policies do not allow their subscriptions any more (denied).", "why"),
		published:      counter("published_total", "Items taken by the door for publishing."),
		publishFailed:  counter("publish_failed_total", "Items that were taken and could not be published."),
		publishRefused: counter("publish_refused_total", "Publishes that were not authorised."),
		disconnects:    vec("disconnects_total", "Events that tell a handler of a vanished client, by outcome: ok, failed (handlers made with faas-grip fail on it; that is no alarm).", "outcome"),
		ignored:        vec("ignored_total", "What handlers sent and was dropped, by reason: unprefixed, control, subscription.", "reason"),
	}
	read := func(name, help string, v *atomic.Int64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "topicwire_grip_" + name, Help: help},
			func() float64 { return float64(v.Load()) }))
	}
	gauge := func(name, help string, v func() float64) {
		r.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "topicwire_grip_" + name, Help: help}, v))
	}
	s := &d.sockets
	read("delivered_total", "Messages handed to held clients.", &m.delivered)
	read("missed_total", "Messages that did not reach a held client because its queue was full.", &m.missed)
	read("window_lost_total", "Messages that may have been missed by a poll that was being asked for: too many were published meanwhile.", &m.windowLost)
	read("websockets_total", "WebSocket connections accepted.", &s.Opened)
	read("websocket_received_total", "Messages of WebSocket clients.", &s.Received)
	read("websocket_received_bytes_total", "Bytes of messages of WebSocket clients.", &s.ReceivedB)
	read("websocket_sent_total", "Frames for WebSocket clients.", &s.Sent)
	read("websocket_sent_bytes_total", "Bytes of frames for WebSocket clients.", &s.SentB)
	read("websocket_dropped_total", "Frames dropped because a client's queue was full (policy drop_newest).", &s.Dropped)
	read("websocket_overflows_total", "Clients disconnected because their queue was full (policy disconnect).", &s.Overflowed)
	read("websocket_abandoned_total", "Frames that waited for clients that were lost.", &s.Abandoned)
	read("websocket_writes_total", "Writes to sockets; frames per write show how well writing coalesces.", &s.Writes)
	read("websocket_pings_total", "Pings of clients that were answered.", &s.Pings)
	gauge("websockets", "WebSocket connections open now.", func() float64 { return float64(s.Open.Load()) })
	gauge("websocket_queued_bytes", "Bytes that wait for WebSocket clients.", func() float64 { return float64(s.QueuedBytes.Load()) })
	gauge("polls", "Requests held now until something is published.", func() float64 { return float64(m.polls.Load()) })
	gauge("streams", "Streams open now.", func() float64 { return float64(m.streams.Load()) })
	gauge("held", "Clients held now.", func() float64 { return float64(d.holders.len()) })
	sequence := func(name, help string, v *int64) {
		r.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "topicwire_grip_" + name, Help: help}, func() float64 {
			d.sequence.mu.Lock()
			defer d.sequence.mu.Unlock()
			return float64(*v)
		}))
	}
	sequence("duplicates_total", "Items dropped because their id had been seen.", &d.sequence.duplicates)
	sequence("waited_total", "Items that waited for the one before them.", &d.sequence.waited)
	sequence("late_total", "Items that were sent although the one before them never came.", &d.sequence.late)
	return m
}
