package broker

import (
	"hash/maphash"
	"time"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/broker/topics"
	"github.com/topicwire/topicwire/message"
)

// fanOut delivers a message to everybody who has subscribed to its topic, and reports
// whether the store was given a part of that. It waits for nobody.
func (b *Broker) fanOut(m *message.Message, from *subscriber) (durable bool) {
	if w := b.watch.Load(); w != nil {
		(*w)(m)
	}
	found := b.index.Match(m.Topic)
	if found.Subscribers.Len() == 0 && len(found.Groups) == 0 {
		return false
	}
	o := b.fan.Begin(m, m.Received)
	defer b.fan.End(o)
	for _, chunk := range found.Subscribers.Chunks() {
		for i := range chunk {
			e := &chunk[i]
			if e.NoLocal && e.Subscriber == from { // [MQTT-3.8.3-3]
				continue
			}
			b.deliver(o, e, "")
		}
	}
	for i := range found.Groups {
		b.deliverShared(o, &found.Groups[i], nil)
	}
	return o.Durable
}

// deliver gives one subscriber its copy.
func (b *Broker) deliver(o *session.Outgoing, e *topics.Match[*subscriber], share string) session.Outcome {
	if l := e.Subscriber.local; l != nil {
		return l.receive(o.Message, &o.Shared)
	}
	if !e.Subscriber.mayReceive(o.Message.Topic) {
		return session.Gone
	}
	return e.Subscriber.session.Deliver(o, session.Delivery{
		QoS:    min(o.Message.QoS, e.QoS),               // [MQTT-3.8.4-8]
		Retain: o.Message.Retain && e.RetainAsPublished, // [MQTT-3.3.1-12] [MQTT-3.3.1-13]
		IDs:    e.IDs,
		Share:  share,
	})
}

// roomFor reports whether every subscriber would take the message; for the queue
// policy that refuses what is too much.
func (b *Broker) roomFor(m *message.Message, from *subscriber) bool {
	found := b.index.Match(m.Topic)
	for e := range found.Subscribers.All() {
		if e.QoS > 0 && (!e.NoLocal || e.Subscriber != from) && !e.Subscriber.session.HasRoom(sizeOf(m)) && e.Subscriber.mayReceive(m.Topic) {
			return false
		}
	}
	for i := range found.Groups {
		if !b.groupHasRoom(&found.Groups[i], sizeOf(m)) {
			return false
		}
	}
	return true
}

// sizeOf is what a message counts as in a queue, without overhead.
func sizeOf(m *message.Message) int { return len(m.Payload) + len(m.Topic) }

// groupHasRoom reports whether some member of a group would take a message.
func (b *Broker) groupHasRoom(g *topics.Group[*subscriber], size int) bool {
	if b.limits.MaxSharedQueued > 0 && b.sessions.ShareIsFull(shareName(g)) {
		return false
	}
	for e := range g.Members.All() {
		if e.QoS == 0 || e.Subscriber.session.HasRoom(size) {
			return true
		}
	}
	return false
}

// retain keeps, replaces or removes the retained message of a topic and reports
// whether the store has to be waited for. It comes before the fan-out, so that a
// subscription made meanwhile gets the message one way or the other.
// [MQTT-3.3.1-5] [MQTT-3.3.1-6] [MQTT-3.3.1-7]
func (b *Broker) retain(m *message.Message) bool {
	lock := &b.retaining[maphash.String(b.seed, m.Topic)%uint64(len(b.retaining))]
	lock.Lock() // so that index and store agree on which of two messages was the last
	defer lock.Unlock()
	b.retained.Set(m)
	if len(m.Payload) == 0 {
		b.store.Append(store.Change{Kind: store.RetainedDelete, Topic: m.Topic})
	} else {
		b.store.Append(store.Change{Kind: store.RetainedPut, Delivery: store.Delivery{Message: m}})
	}
	return m.QoS > 0
}

// forgetRetained tells the store that a retained message has expired, unless the
// topic has another one by now.
func (b *Broker) forgetRetained(m *message.Message) {
	lock := &b.retaining[maphash.String(b.seed, m.Topic)%uint64(len(b.retaining))]
	lock.Lock()
	defer lock.Unlock()
	if b.retained.Get(m.Topic, time.Now()) == nil {
		b.store.Append(store.Change{Kind: store.RetainedDelete, Topic: m.Topic})
	}
}
