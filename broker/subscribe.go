package broker

import (
	"strings"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/broker/topics"
	"github.com/topicwire/topicwire/message"
)

// onSubscribe takes a SUBSCRIBE: each filter is decided on its own.
// [MQTT-3.8.4-1] [MQTT-3.8.4-5] [MQTT-3.8.4-6]
func (c *connection) onSubscribe(pk *packets.Packet) error {
	if pk.PacketID == 0 {
		return errZeroID
	}
	if len(pk.Filters) == 0 { // [MQTT-3.8.3-2]
		return fault(reasonProtocolError, "SUBSCRIBE without a topic filter")
	}
	id := subscriptionID(pk)
	codes := make([]byte, len(pk.Filters))
	var denied, granted []string // denied: why
	replays := make([]func(), 0, len(pk.Filters))
	var shares []string // shared subscriptions that are new
	for i := range pk.Filters {
		f := &pk.Filters[i]
		_, _, shared := message.SplitShare(f.Filter)
		if shared && f.NoLocal { // [MQTT-3.8.3-4]
			return fault(reasonProtocolError, "a shared subscription with No Local")
		}
		if r, why := c.mayNotSubscribe(f.Filter, i); r != reasonSuccess {
			if r == reasonNotAuthorized && c.version < 5 && c.b.closesDenied() {
				return fault(r, "a SUBSCRIBE that is not allowed")
			}
			if why != "" && len(denied) < maxDenied {
				denied = append(denied, why)
			}
			codes[i] = byte(r)
			if c.version < 5 {
				codes[i] = byte(reasonUnspecified) // [MQTT-3.9.3-2] of 3.1.1
			}
			continue
		}
		o := topics.Option{
			QoS: min(f.Qos, byte(*c.b.limits.MaxQoS)), NoLocal: f.NoLocal, RetainAsPublished: f.RetainAsPublished,
			RetainHandling: f.RetainHandling, ID: id,
		}
		if c.bridge && c.version < 5 { // what a bridge of MQTT 5 would ask for itself
			o.NoLocal, o.RetainAsPublished = !shared, true
		}
		codes[i] = o.QoS
		existed, replay := c.sub.subscribe(c.b, f.Filter, o, !shared)
		granted = append(granted, f.Filter)
		if shared && !existed {
			shares = append(shares, f.Filter)
		}
		if replay {
			replays = append(replays, func() { c.b.replay(c.sub, f.Filter, o) })
		}
	}
	c.answer(packetSuback, pk.PacketID, codes, c.reasonString(strings.Join(denied, "; ")), len(granted) > 0, replays...)
	for _, filter := range granted { // policies may have changed between the check and the subscription
		if !c.principal.MayAll(auth.Subscribe) && !c.principal.DecideSubscribe(filter).Allowed {
			c.sub.unsubscribe(c.b, filter)
		}
	}
	c.subscribed(granted)
	c.b.collectShared(c.sub, shares)
	return nil
}

// maxDenied bounds how many refusals the reason string of one SUBACK explains.
const maxDenied = 10

// subscriptionID is the identifier of a SUBSCRIBE; 0 = none. (MQTT 5, 3.8.2.1.2)
func subscriptionID(pk *packets.Packet) uint32 {
	if ids := pk.Properties.SubscriptionIdentifier; len(ids) > 0 {
		return uint32(ids[0]) // one, and legal: see checkSubscribe
	}
	return 0
}

// mayNotSubscribe is why the client may not have its i-th filter.
func (c *connection) mayNotSubscribe(filter string, i int) (r reason, why string) {
	l := &c.b.limits
	share, rest, _ := message.SplitShare(filter)
	switch {
	case message.ValidateFilter(filter) != nil, !fits(rest, l), len(share) > l.MaxTopicLength:
		return reasonFilterInvalid, ""
	case l.MaxFilters > 0 && i >= l.MaxFilters:
		return reasonQuotaExceeded, ""
	case c.sub.isFull(filter, l.MaxSubscriptions), !c.b.takesSubscription(c.sub, filter):
		return reasonQuotaExceeded, ""
	}
	if never := MayNever(auth.Subscribe, filter); never != "" {
		return reasonNotAuthorized, never
	}
	if !c.principal.MayAll(auth.Subscribe) {
		if d := c.principal.DecideSubscribe(filter); !d.Allowed {
			return reasonNotAuthorized, c.denied(d)
		}
	}
	if c.sub.session.Durable() {
		if err := c.b.store.Err(); err != nil {
			return refusalReason(err), "the store cannot be written at the moment"
		}
	}
	return reasonSuccess, ""
}

// replay sends the retained messages of a filter, unless the client has unsubscribed
// meanwhile.
func (b *Broker) replay(s *subscriber, filter string, o topics.Option) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, there := s.subs[filter]; !there {
		return
	}
	var ids []uint32
	if o.ID != 0 {
		ids = []uint32{o.ID}
	}
	s.session.Replay(filter, o.QoS, ids, receivable{b.retained.Match(filter), s})
}

// receivable are the retained messages of a filter that the client may receive.
type receivable struct {
	session.Source
	sub *subscriber
}

// Next skips what the client may not receive.
func (r receivable) Next(now time.Time, dst []*message.Message) int {
	for n := 0; ; {
		got := r.Source.Next(now, dst[n:])
		for _, m := range dst[n : n+got] {
			if r.sub.mayReceive(m.Topic) {
				dst[n] = m
				n++
			}
		}
		if n == len(dst) || got == 0 {
			return n
		}
	}
}

// onUnsubscribe takes an UNSUBSCRIBE. [MQTT-3.10.4-1] [MQTT-3.10.4-4] [MQTT-3.10.4-5]
func (c *connection) onUnsubscribe(pk *packets.Packet) error {
	if pk.PacketID == 0 {
		return errZeroID
	}
	if len(pk.Filters) == 0 { // [MQTT-3.10.3-2]
		return fault(reasonProtocolError, "UNSUBSCRIBE without a topic filter")
	}
	codes := make([]byte, len(pk.Filters))
	var removed []string
	for i := range pk.Filters {
		filter := pk.Filters[i].Filter
		switch {
		case message.ValidateFilter(filter) != nil:
			codes[i] = byte(reasonFilterInvalid)
		case !c.sub.unsubscribe(c.b, filter):
			codes[i] = byte(reasonNoSubscription)
		default:
			removed = append(removed, filter)
		}
	}
	if c.version < 5 {
		codes = nil // an UNSUBACK of 3.1.1 says nothing
	}
	c.answer(packetUnsuback, pk.PacketID, codes, c.reasonString(""), len(removed) > 0)
	c.unsubscribed(removed)
	return nil
}

// The first bytes of SUBACK and UNSUBACK.
const (
	packetSuback   = 0x90
	packetUnsuback = 0xB0
)

// answer sends a SUBACK or UNSUBACK, once what has changed in a session that outlives its
// connection is durable.
func (c *connection) answer(first byte, id uint16, codes, props []byte, changed bool, then ...func()) {
	if c.version < 5 {
		props = nil
	}
	n := 2 + len(props) + len(codes)
	b := appendLength(append(make([]byte, 0, n+5), first), n)
	b = append(append(b, byte(id>>8), byte(id)), props...)
	b = append(b, codes...)
	if !changed || !c.sub.session.Durable() {
		c.say(b, then)
		return
	}
	c.b.store.Sync(func(err error) {
		if err != nil {
			c.b.log.Warn().Err(err).Str("client", c.origin.ClientID).Msg("a subscription could not be kept")
			c.disconnect(reasonImplementation)
			return
		}
		c.say(b, then)
	})
}

// say sends a packet and then does what is to come after it.
func (c *connection) say(b []byte, then []func()) {
	_, _ = c.Write(b)
	for _, do := range then {
		do()
	}
}

// subscribe adds a subscription, or replaces the one with the same filter
// [MQTT-3.8.4-3]; it reports whether there was one and whether retained messages are to
// be sent for it, if it may have some. The store knows that too, so that a restart does
// not cut it short.
func (s *subscriber) subscribe(b *Broker, filter string, o topics.Option, retained bool) (existed, replay bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false, false
	}
	filter = strings.Clone(filter) // it is a piece of the packet
	_, existed = s.subs[filter]
	replay = retained && (o.RetainHandling == 0 || o.RetainHandling == 1 && !existed) // [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
	s.subs[filter] = o
	if s.session.Durable() {
		kept := subscriptionOf(o)
		kept.Replaying = replay && o.QoS > 0
		b.store.Append(store.Change{Kind: store.SubscriptionPut, Client: s.client.id, Filter: filter, Subscription: kept})
	}
	b.index.Subscribe(filter, s, o)
	return existed, replay
}

// unsubscribe removes a subscription and reports whether there was one. What is in
// flight is completed. [MQTT-3.10.4-2] [MQTT-3.10.4-3]
func (s *subscriber) unsubscribe(b *Broker, filter string) bool {
	s.mu.Lock()
	delete(s.subs, filter)
	existed := b.index.Unsubscribe(filter, s)
	if existed && s.session.Durable() {
		b.store.Append(store.Change{Kind: store.SubscriptionDelete, Client: s.client.id, Filter: filter})
	}
	s.mu.Unlock()
	if !existed {
		return false
	}
	s.session.StopReplay(filter)
	if _, _, shared := message.SplitShare(filter); shared {
		b.shareOutIf(s, func(share string) bool { return share == filter })
	}
	return true
}

// takesSubscription reports whether another subscription is within the limits of all
// clients together. Two at the same moment may both get the last place.
func (b *Broker) takesSubscription(s *subscriber, filter string) bool {
	l := &b.limits
	if s.has(filter) {
		return true
	}
	if most := l.MaxTotalSubscriptions; most > 0 && b.index.Len() >= most {
		return false
	}
	if _, _, shared := message.SplitShare(filter); !shared || l.MaxSharedGroups == 0 && l.MaxSharedMembers == 0 {
		return true
	}
	if g := b.index.Group(filter); g != nil {
		return within(g.Members.Len()+1, l.MaxSharedMembers)
	}
	return within(b.index.Groups()+1, l.MaxSharedGroups)
}

// has reports whether there is a subscription with that filter.
func (s *subscriber) has(filter string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, found := s.subs[filter]
	return found
}

// isFull reports whether a subscription to filter would be one too many.
func (s *subscriber) isFull(filter string, most int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, existed := s.subs[filter]
	return !existed && len(s.subs) >= most
}
