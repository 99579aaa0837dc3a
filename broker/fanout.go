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

// deliverShared gives the message to one member of a group: of those online the one
// with the least in flight [MQTT-4.8.2-4]. If nobody is, it waits for a member whose
// session outlives its connection. It reports whether somebody has it.
func (b *Broker) deliverShared(o *session.Outgoing, g *topics.Group[*subscriber], not *subscriber) bool {
	share := ""
	for range 3 { // a member may go offline between the choice and the delivery
		e := b.choose(g, not, o.Message)
		if e == nil {
			return false
		}
		if o.Message.QoS > 0 && e.QoS > 0 && share == "" {
			share = "$share/" + g.Name + "/" + g.Filter
		}
		switch b.deliver(o, e, share) {
		case session.Sent, session.Queued:
			return true
		case session.Dropped, session.Refused:
			return false
		case session.Gone:
		}
	}
	return false
}

// choose picks the member of a group that is to get the next message. Equal ones
// take turns.
func (b *Broker) choose(g *topics.Group[*subscriber], not *subscriber, m *message.Message) *topics.Match[*subscriber] {
	n := g.Members.Len()
	start := int(b.turn.Add(1) % uint64(n))
	var best *topics.Match[*subscriber]
	bestLoad, bestOnline := 0, false
	for i := range n {
		e := g.Members.At((start + i) % n)
		if e.Subscriber == not {
			continue
		}
		online := e.Subscriber.session.Online()
		if best != nil && bestOnline && !online || !online && (m.QoS == 0 || e.QoS == 0 || not != nil) {
			continue
		}
		load := e.Subscriber.session.Load()
		if best == nil || online && !bestOnline || load < bestLoad {
			if !e.Subscriber.mayReceive(m.Topic) {
				continue
			}
			best, bestLoad, bestOnline = e, load, online
			if online && load == 0 {
				break
			}
		}
	}
	return best
}

// shareOut gives what an offline session holds of shared subscriptions to members
// that are online. What nobody takes goes back.
func (b *Broker) shareOut(sub *subscriber) {
	if sub.session.Online() {
		return
	}
	b.shareOutIf(sub, func(string) bool { return true })
}

func (b *Broker) shareOutIf(sub *subscriber, which func(share string) bool) {
	var back []session.Loose
	loose := sub.session.TakeShared(which)
	for i := range loose {
		l := &loose[i]
		if !b.giveAway(sub, l) {
			back = append(back, *l)
			continue
		}
		sub.session.GivenAway(l)
		b.metrics.sharedRedeliveries.Inc()
	}
	if len(back) > 0 {
		sub.session.PutBack(back)
	}
}

func (b *Broker) giveAway(sub *subscriber, l *session.Loose) bool {
	found := b.index.Match(l.Message.Topic)
	for i := range found.Groups {
		g := &found.Groups[i]
		if "$share/"+g.Name+"/"+g.Filter != l.Share {
			continue
		}
		o := b.fan.Begin(l.Message, time.Now())
		defer b.fan.End(o)
		return b.deliverShared(o, g, sub)
	}
	return false
}

// roomFor reports whether every subscriber would take the message; for the queue
// policy that refuses what is too much.
func (b *Broker) roomFor(m *message.Message, from *subscriber) bool {
	found := b.index.Match(m.Topic)
	for e := range found.Subscribers.All() {
		if e.QoS > 0 && (!e.NoLocal || e.Subscriber != from) && !e.Subscriber.session.HasRoom(len(m.Payload)+len(m.Topic)) {
			return false
		}
	}
	for i := range found.Groups {
		if !groupHasRoom(&found.Groups[i], len(m.Payload)+len(m.Topic)) {
			return false
		}
	}
	return true
}

// groupHasRoom reports whether some member of a group would take a message.
func groupHasRoom(g *topics.Group[*subscriber], size int) bool {
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
