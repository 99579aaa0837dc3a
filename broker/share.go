package broker

import (
	"slices"
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
	var tried *subscriber
	for range 3 { // a member may go offline between the choice and the delivery
		e := b.choose(g, not, tried, o.Message)
		if e == nil {
			return false
		}
		if o.Message.QoS > 0 && e.QoS > 0 && share == "" {
			share = shareName(g)
		}
		switch b.deliver(o, e, share) {
		case session.Sent:
			return true
		case session.Queued:
			if not == nil && !e.Subscriber.session.Online() {
				b.queuedOffline(g, e.Subscriber, share)
			}
			return true
		case session.Refused:
			return false
		case session.Dropped: // it is behind, or takes no packet of that size: another one may
			tried = e.Subscriber
		case session.Gone:
		}
	}
	return false
}

// shareName is a shared subscription as clients write it.
func shareName(g *topics.Group[*subscriber]) string { return "$share/" + g.Name + "/" + g.Filter }

// choose picks the member of a group that is to get the next message. Equal ones
// take turns.
func (b *Broker) choose(g *topics.Group[*subscriber], not, tried *subscriber, m *message.Message) *topics.Match[*subscriber] {
	n := g.Members.Len()
	start := int(b.turn.Add(1) % uint64(n))
	var best *topics.Match[*subscriber]
	bestLoad, bestOnline := 0, false
	for i := range n {
		e := g.Members.At((start + i) % n)
		if e.Subscriber == not || e.Subscriber == tried {
			continue
		}
		online := e.Subscriber.session.Online()
		if not != nil && !e.Subscriber.session.HasRoom(sizeOf(m)) {
			continue // what waits with another member is not to be dropped from its queue
		}
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
	var full []string // shares whose members have no room: what follows waits too, in order
	loose := sub.session.TakeShared(which)
	for i := range loose {
		l := &loose[i]
		if slices.Contains(full, l.Share) {
			back = append(back, *l)
			continue
		}
		given, noRoom := b.giveAway(sub, l)
		if given {
			sub.session.GivenAway(l)
			b.metrics.sharedRedeliveries.Inc()
			continue
		}
		back = append(back, *l)
		if noRoom {
			full = append(full, l.Share)
		}
	}
	if len(back) > 0 {
		sub.session.PutBack(back)
	}
	if len(full) > 0 && !sub.sharesLater.Swap(true) {
		b.schedule.after(shareAgain, func() {
			b.background.Go(func() {
				sub.sharesLater.Store(false)
				b.shareOut(sub)
			})
		})
	}
}

// shareAgain is how long what a member holds waits for room in the queues of the others.
const shareAgain = time.Second

// giveAway gives what another member has held to one that is online. noRoom tells that
// there is one, and its queue is full at the moment.
func (b *Broker) giveAway(sub *subscriber, l *session.Loose) (given, noRoom bool) {
	found := b.index.Match(l.Message.Topic)
	for i := range found.Groups {
		g := &found.Groups[i]
		if shareName(g) != l.Share {
			continue
		}
		o := b.fan.Begin(l.Message, time.Now())
		defer b.fan.End(o)
		if b.deliverShared(o, g, sub) {
			return true, false
		}
		for e := range g.Members.All() {
			if s := e.Subscriber.session; e.Subscriber != sub && s.Online() && !s.HasRoom(sizeOf(l.Message)) {
				return false, true
			}
		}
	}
	return false, false
}
