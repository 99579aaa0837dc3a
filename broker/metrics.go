package broker

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the broker's counters. What is counted for every message is a plain
// atomic that Prometheus reads when it asks.
type metrics struct {
	received      atomic.Int64 // PUBLISH packets from clients
	receivedBytes atomic.Int64 // their payloads
	packets       atomic.Int64 // packets of every type from clients
	connects      atomic.Int64 // CONNECT packets that were accepted
	throttled     atomic.Int64 // messages beyond a rate
	expired       atomic.Int64 // sessions whose client stayed away
	online        atomic.Int64 // clients connected now

	takeovers          prometheus.Counter
	refusedConnects    prometheus.Counter
	credentialsExpired prometheus.Counter
	refusedPublishes   prometheus.Counter
	denied             prometheus.Counter
	events             prometheus.Counter
	slowConsumers      prometheus.Counter
	wills              prometheus.Counter
	published          prometheus.Counter
	sharedRedeliveries prometheus.Counter
	notKept            prometheus.Counter
}

// newMetrics registers the metrics of b, whose session counters exist already.
func newMetrics(reg prometheus.Registerer, b *Broker) *metrics {
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: "topicwire_broker_" + name, Help: help})
		reg.MustRegister(c)
		return c
	}
	m := &metrics{
		takeovers:          counter("takeovers_total", "Connections ended because the client connected again."),
		refusedConnects:    counter("connects_refused_total", "CONNECT packets answered with an error."),
		credentialsExpired: counter("credentials_expired_total", "Connections ended because what they authenticated with was not valid any more."),
		refusedPublishes:   counter("publishes_refused_total", "Messages from clients that were not taken."),
		events:             counter("lifecycle_events_total", "Events that somebody wanted: clients that came, went, subscribed."),
		denied:             counter("denied_total", "What clients did and no policy allows: connects, publishes, subscriptions."),
		slowConsumers:      counter("slow_consumers_total", "Clients disconnected because they read too slowly."),
		wills:              counter("wills_total", "Wills published."),
		published:          counter("internal_publishes_total", "Messages that did not come over MQTT."),
		sharedRedeliveries: counter("shared_redeliveries_total", "Messages of shared subscriptions given to another member."),
		notKept:            counter("publishes_not_kept_total", "Messages of clients that were refused after all, because the store could not keep them."),
	}
	s := b.sessions.Counters
	read := func(name, help string, v *atomic.Int64) {
		reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "topicwire_broker_" + name, Help: help},
			func() float64 { return float64(v.Load()) }))
	}
	read("messages_received_total", "PUBLISH packets from clients.", &m.received)
	read("messages_received_bytes_total", "Payload bytes of PUBLISH packets from clients.", &m.receivedBytes)
	read("packets_received_total", "MQTT packets of every type from clients.", &m.packets)
	read("connects_total", "CONNECT packets that were accepted.", &m.connects)
	read("publishes_throttled_total", "Messages from clients that were not taken because there were too many a second.", &m.throttled)
	read("sessions_expired_total", "Sessions that ended because their client stayed away.", &m.expired)
	read("messages_sent_total", "PUBLISH packets to clients.", &s.Sent)
	read("messages_sent_bytes_total", "Payload bytes of PUBLISH packets to clients.", &s.SentBytes)
	read("dropped_qos0_total", "QoS 0 messages dropped because the client reads too slowly.", &s.DroppedQoS0)
	read("dropped_queue_full_total", "QoS 1 and 2 messages dropped because the client's queue was full.", &s.DroppedQueue)
	read("dropped_queued_rate_total", "QoS 1 and 2 messages dropped because more came for clients that are away than may be kept a second.", &s.DroppedRate)
	read("dropped_expired_total", "Messages dropped because they expired while they waited.", &s.Expired)
	read("dropped_too_large_total", "Messages not sent because they exceed the client's Maximum Packet Size.", &s.TooLarge)
	read("dropped_session_ended_total", "Messages given up because the session ended.", &s.Abandoned)
	read("refused_by_client_total", "Messages that clients answered with an error code.", &s.Refused)
	gauge := func(name, help string, v func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "topicwire_broker_" + name, Help: help}, v))
	}
	gauge("clients", "Clients connected now.", func() float64 { return float64(m.online.Load()) })
	gauge("queued_messages", "Messages that wait for clients now.", func() float64 { return float64(s.Queued.Load()) })
	gauge("inflight_messages", "Messages sent and not acknowledged now.", func() float64 { return float64(s.Inflight.Load()) })
	gauge("sessions", "Sessions, connected or not.", func() float64 { return float64(b.clients.len()) })
	gauge("subscriptions", "Subscriptions now.", func() float64 { return float64(b.index.Len()) })
	gauge("retained_messages", "Retained messages now.", func() float64 { return float64(b.retained.Len()) })
	return m
}
