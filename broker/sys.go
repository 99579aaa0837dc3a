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
	s := &sysTopics{b: b, started: time.Now(), last: map[string]string{}}
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
	rates   [3]sysRates
	at      time.Time
	most    int64 // clients connected at once
}

// sysRates are the exponential averages of one minute, five and fifteen.
type sysRates struct{ received, sent, publishReceived, publishSent float64 }

func (s *sysTopics) publish(now time.Time) {
	b := s.b
	c := b.sessions.Counters
	set := func(topic, value string) {
		if s.last[topic] == value {
			return
		}
		s.last[topic] = value
		m := &message.Message{Topic: "$SYS/broker/" + topic, Payload: []byte(value), Retain: true, Received: now}
		b.retained.Set(m)
		b.fanOut(m, nil)
	}
	num := func(topic string, n int64) { set(topic, strconv.FormatInt(n, 10)) }
	online, known := int64(b.connections.len()), int64(b.clients.len())
	set("version", "topicwire version "+b.versionText())
	set("uptime", fmt.Sprintf("%d seconds", int64(now.Sub(s.started)/time.Second)))
	num("clients/connected", online)
	num("clients/active", online)
	num("clients/disconnected", max(known-online, 0))
	num("clients/inactive", max(known-online, 0))
	num("clients/total", max(known, online))
	s.most = max(s.most, online)
	num("clients/maximum", s.most)
	num("clients/expired", b.metrics.expired.Load())
	num("subscriptions/count", int64(b.index.Len()))
	num("retained messages/count", int64(b.retained.Len()))
	num("store/messages/count", int64(b.retained.Len())+c.Queued.Load()+c.Inflight.Load())
	num("store/messages/bytes", b.retained.Bytes())
	num("messages/stored", int64(b.retained.Len())+c.Queued.Load()+c.Inflight.Load())
	num("messages/inflight", c.Inflight.Load())
	num("messages/received", b.metrics.received.Load())
	num("messages/sent", c.Sent.Load())
	num("publish/messages/received", b.metrics.received.Load())
	num("publish/messages/sent", c.Sent.Load())
	num("publish/messages/dropped", c.DroppedQoS0.Load()+c.DroppedQueue.Load())
	num("publish/bytes/received", b.metrics.receivedBytes.Load())
	num("publish/bytes/sent", c.SentBytes.Load())
	num("heap/current", heapBytes())
	s.load(set, now)
}

// load publishes the averages per minute.
func (s *sysTopics) load(set func(topic, value string), now time.Time) {
	received, sent := float64(s.b.metrics.received.Load()), float64(s.b.sessions.Counters.Sent.Load())
	elapsed := now.Sub(s.at).Minutes()
	first := s.at.IsZero()
	s.at = now
	for i, window := range [3]float64{1, 5, 15} {
		r := &s.rates[i]
		if !first && elapsed > 0 {
			weight := min(elapsed/window, 1)
			r.publishReceived += weight * ((received-r.received)/elapsed - r.publishReceived)
			r.publishSent += weight * ((sent-r.sent)/elapsed - r.publishSent)
		}
		r.received, r.sent = received, sent
		name := "/" + strconv.Itoa(int(window)) + "min"
		set("load/publish/received"+name, strconv.FormatFloat(r.publishReceived, 'f', 2, 64))
		set("load/publish/sent"+name, strconv.FormatFloat(r.publishSent, 'f', 2, 64))
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
