package broker

import (
	"time"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/topics"
	"github.com/topicwire/topicwire/message"
)

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
		case session.Sent:
			return true
		case session.Queued:
			if not == nil && !e.Subscriber.session.Online() {
				b.queuedOffline(g, e.Subscriber, share)
			}
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

// queuedOffline looks again after a message was queued for a member that is offline:
// one that has come online meanwhile has collected what was held before, and would
// leave this message behind.
func (b *Broker) queuedOffline(g *topics.Group[*subscriber], held *subscriber, share string) {
	for e := range g.Members.All() {
		if e.Subscriber != held && e.Subscriber.session.Online() {
			b.shareOutIf(held, func(s string) bool { return s == share })
			return
		}
	}
}

// collectShared gives a member that has come online what the other members of its
// shared subscriptions hold while they are offline. [MQTT-4.8.2-4]
func (b *Broker) collectShared(sub *subscriber, filters []string) {
	for _, filter := range filters {
		g := b.index.Group(filter)
		if g == nil {
			continue
		}
		for e := range g.Members.All() {
			if e.Subscriber != sub && !e.Subscriber.session.Online() {
				b.shareOutIf(e.Subscriber, func(share string) bool { return share == filter })
			}
		}
	}
}

// sharedFilters are the shared subscriptions of a session.
func (s *subscriber) sharedFilters() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for filter := range s.subs {
		if _, _, shared := message.SplitShare(filter); shared {
			list = append(list, filter)
		}
	}
	return list
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
