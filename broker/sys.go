package broker

import (
	"context"
	"fmt"
	runtimemetrics "runtime/metrics"
	"strconv"
	"time"

	"github.com/topicwire/topicwire/message"
)

// sysLoop publishes the $SYS/broker topics, under mosquitto's names, and sweeps
// retained messages that have expired, until ctx ends.
func (b *Broker) sysLoop(ctx context.Context) {
	every := b.limits.SysInterval
	if every <= 0 {
		every = time.Minute // for the sweep alone
	}
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	now := time.Now()
	s := &sysTopics{b: b, started: now, last: map[string]string{}, loads: sysLoads{at: now}}
	for {
		if b.limits.SysInterval > 0 {
			s.publish(time.Now())
		}
		b.sweepRetained()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// sysTopics remembers what was published, to publish only what changes.
type sysTopics struct {
	b       *Broker
	started time.Time
	last    map[string]string
	loads   sysLoads
	clients int64 // most connected at once
	heap    int64 // most bytes seen
}

func (s *sysTopics) publish(now time.Time) {
	s.set("version", "topicwire version "+s.b.versionText(), now)
	s.set("uptime", fmt.Sprintf("%d seconds", int64(now.Sub(s.started)/time.Second)), now)
	for _, t := range s.numbers() {
		s.set(t.name, strconv.FormatInt(t.value, 10), now)
	}
	for name, value := range s.loads.next(s.b.totals(), now) {
		s.set(name, strconv.FormatFloat(value, 'f', 2, 64), now)
	}
}

// set publishes a topic whose value has changed.
func (s *sysTopics) set(topic, value string, now time.Time) {
	if s.last[topic] == value {
		return
	}
	s.last[topic] = value
	m := &message.Message{Topic: "$SYS/broker/" + topic, Payload: []byte(value), Retain: true, Received: now}
	s.b.retained.Set(m)
	s.b.fanOut(m, nil)
}

// number is one topic.
type number struct {
	name  string
	value int64
}

func (s *sysTopics) numbers() []number {
	b, c := s.b, s.b.sessions.Counters
	online, known, heap := b.metrics.online.Load(), int64(b.clients.len()), heapBytes()
	s.clients, s.heap = max(s.clients, online), max(s.heap, heap)
	stored := int64(b.retained.Len()) + c.Queued.Load() + c.Inflight.Load()
	t := b.totals()
	return []number{
		{"bytes/received", t.bytesReceived},
		{"bytes/sent", t.bytesSent},
		{"clients/active", online},
		{"clients/connected", online},
		{"clients/disconnected", max(known-online, 0)},
		{"clients/expired", b.metrics.expired.Load()},
		{"clients/inactive", max(known-online, 0)},
		{"clients/maximum", s.clients},
		{"clients/total", max(known, online)},
		{"heap/current", heap},
		{"heap/maximum", s.heap},
		{"messages/inflight", c.Inflight.Load()},
		{"messages/received", t.packetsReceived},
		{"messages/sent", t.packetsSent},
		{"messages/stored", stored},
		{"publish/bytes/received", b.metrics.receivedBytes.Load()},
		{"publish/bytes/sent", c.SentBytes.Load()},
		{"publish/messages/dropped", t.dropped},
		{"publish/messages/received", t.publishReceived},
		{"publish/messages/sent", t.publishSent},
		{"retained messages/count", int64(b.retained.Len())},
		{"shared_subscriptions/count", int64(b.index.Shared())},
		{"store/messages/bytes", b.retained.Bytes()},
		{"store/messages/count", stored},
		{"subscriptions/count", int64(b.index.Len())},
	}
}

func (b *Broker) versionText() string {
	if b.version == "" {
		return "devel"
	}
	return b.version
}

// heapBytes is the memory of live objects, without stopping the world.
func heapBytes() int64 {
	sample := []runtimemetrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	runtimemetrics.Read(sample)
	if sample[0].Value.Kind() != runtimemetrics.KindUint64 {
		return 0
	}
	return int64(sample[0].Value.Uint64())
}

// sweepAtOnce bounds how many expired retained messages one sweep removes.
const sweepAtOnce = 10_000

func (b *Broker) sweepRetained() {
	b.retained.Sweep(time.Now(), sweepAtOnce, b.forgetRetained)
}
