package session

import (
	"github.com/topicwire/topicwire/broker/store"
)

// Delivery says how one session is to get a message.
type Delivery struct {
	// QoS is the lower of the message's and the subscription's. [MQTT-3.8.4-8]
	QoS byte
	// Retain is the RETAIN flag.
	Retain bool
	// IDs are the subscription identifiers; the session keeps the slice.
	IDs []uint32
	// Share names the shared subscription, as $share/group/filter; empty = none.
	Share string
}

// Outcome is what became of a delivery.
type Outcome byte

// The outcomes.
const (
	Sent    Outcome = iota // handed to the connection
	Queued                 // waits in the session
	Dropped                // given up, and counted
	Refused                // not taken: the queue is full and the policy says to tell the publisher
	Gone                   // the session has ended, or is offline and the message has QoS 0
)

// Deliver sends o's message to the client or queues it. It does not wait for the
// network.
func (s *Session) Deliver(o *Outgoing, d Delivery) Outcome {
	if d.QoS == 0 {
		return s.deliverNow(o, d)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return Gone
	}
	it := item{Delivery: store.Delivery{Message: o.Message, QoS: d.QoS, Retain: d.Retain, IDs: d.IDs, Share: d.Share}}
	a := s.at.Load()
	if a == nil || s.queue.n > 0 || !s.mayReplay() || len(s.replays) > 0 || !s.mayTransmit(a) {
		out := s.enqueue(it)
		o.Durable = o.Durable || s.durable && out == Queued
		return out
	}
	if s.keep(&it); it.kept {
		o.Durable = true
	}
	s.load.Add(1)
	return s.launch(a, it, o)
}

// deliverNow is the way of QoS 0: to the connection, or nowhere.
func (s *Session) deliverNow(o *Outgoing, d Delivery) Outcome {
	a := s.at.Load()
	if a == nil {
		return Gone
	}
	if a.link.Full() {
		s.env.Counters.DroppedQoS0.Add(1)
		return Dropped
	}
	var b []byte
	if a.params.Version < 5 || len(d.IDs) == 0 && a.params.TopicAliasMaximum == 0 {
		b = o.frame(a.params.Version, 0, d.Retain).b
	} else {
		s.mu.Lock()
		defer s.mu.Unlock() // until the packet is in line: an alias must not overtake the packet that explains it
		h := Header{Version: a.params.Version, Retain: d.Retain, IDs: d.IDs, Now: o.now}
		a.alias(o.Message.Topic, &h)
		o.buf, _ = AppendPublish(o.buf[:0], o.Message, &h)
		b = o.buf
		if a.tooLarge(b) {
			a.forget(o.Message.Topic, &h)
		}
	}
	if a.tooLarge(b) {
		s.env.Counters.TooLarge.Add(1)
		return Dropped
	}
	if _, err := a.link.Write(b); err != nil {
		s.env.Counters.DroppedQoS0.Add(1)
		return Dropped
	}
	s.env.Counters.Sent.Add(1)
	s.env.Counters.SentBytes.Add(int64(len(o.Message.Payload)))
	return Sent
}

// HasRoom reports whether another message would be taken; the broker asks before a
// fan-out under the policy Refuse.
func (s *Session) HasRoom(size int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.overfull(int64(size) + overhead)
}

func (s *Session) overfull(size int64) bool {
	c := &s.env.Config
	return s.queue.n >= c.MaxQueued || s.queue.n > 0 && s.queue.bytes+size > c.MaxQueuedBytes
}

// enqueue puts an item at the end of the queue, as the policy allows.
func (s *Session) enqueue(it item) Outcome {
	for s.overfull(it.size()) {
		switch {
		case s.env.Config.Policy == Refuse:
			s.env.Counters.DroppedQueue.Add(1)
			return Refused
		case s.env.Config.Policy == DropNewest || s.queue.n == 0:
			s.env.Counters.DroppedQueue.Add(1)
			return Dropped
		}
		oldest := s.popQueue()
		s.env.Counters.DroppedQueue.Add(1)
		s.done(&oldest)
	}
	s.keep(&it)
	s.queue.push(it)
	s.load.Add(1)
	s.env.Counters.Queued.Add(1)
	return Queued
}

func (s *Session) popQueue() item {
	s.env.Counters.Queued.Add(-1)
	return s.queue.pop()
}

// keep hands an item to the store if the session is durable.
func (s *Session) keep(it *item) {
	if !s.durable || it.kept {
		return
	}
	if it.seq == 0 {
		s.seq++
		it.seq = s.seq
	}
	it.kept = true
	s.env.Store.Append(store.Change{Kind: store.Enqueue, Client: s.id, Seq: it.seq, Delivery: it.Delivery})
}

// done says that an item is over, whichever way.
func (s *Session) done(it *item) {
	s.load.Add(-1)
	if it.kept {
		s.env.Store.Append(store.Change{Kind: store.Complete, Client: s.id, Seq: it.seq})
	}
}

// mayTransmit reports whether the window and the connection take another QoS 1 or 2
// message. [MQTT-3.3.4-7] [MQTT-3.3.4-9]
func (s *Session) mayTransmit(a *attached) bool {
	return s.unacked < int(a.params.ReceiveMaximum) && s.window.len() < 65535 && !a.link.Congested()
}

// mayReplay reports whether redelivery on this connection is through, so that newer
// messages may follow.
func (s *Session) mayReplay() bool { return s.resend == nil }

// pump sends what may be sent: redeliveries, retained messages, the queue.
func (s *Session) pump(a *attached) {
	for s.resend != nil {
		f := s.resend
		if !s.mayTransmit(a) {
			return
		}
		s.resend = f.next
		s.redeliver(a, f)
	}
	if !s.pumpReplays(a) {
		return
	}
	for s.queue.n > 0 && s.mayTransmit(a) {
		it := s.popQueue()
		if it.Message.Props.HasExpiry && it.Message.Expired(s.env.Now()) { // [MQTT-3.3.2-5]
			s.env.Counters.Expired.Add(1)
			s.done(&it)
			continue
		}
		s.launch(a, it, nil)
	}
}

// launch gives an item a packet identifier and sends it for the first time. o holds
// the encoded packet if there is one; nil = encode it here.
func (s *Session) launch(a *attached, it item, o *Outgoing) Outcome {
	f := s.window.add(it)
	var b []byte
	var h Header
	var scratch *[]byte
	if o != nil && (a.params.Version < 5 || len(it.IDs) == 0 && a.params.TopicAliasMaximum == 0) {
		fr := o.frame(a.params.Version, it.QoS, it.Retain)
		b = fr.b
		b[fr.idAt], b[fr.idAt+1] = byte(f.id>>8), byte(f.id)
	} else {
		h = s.header(a, f)
		a.alias(it.Message.Topic, &h)
		scratch = s.env.borrow()
		*scratch, _ = AppendPublish((*scratch)[:0], it.Message, &h)
		b = *scratch
	}
	if a.tooLarge(b) {
		// The message is not sent and counts as delivered. [MQTT-3.1.2-24] [MQTT-3.1.2-25]
		a.forget(it.Message.Topic, &h)
		s.env.giveBack(scratch)
		s.window.remove(f)
		s.env.Counters.TooLarge.Add(1)
		s.done(&it)
		return Dropped
	}
	s.env.Counters.Inflight.Add(1)
	s.transmit(a, f, b)
	if it.kept {
		s.env.Store.Append(store.Change{Kind: store.Sent, Client: s.id, Seq: it.seq, PacketID: f.id})
	}
	s.env.giveBack(scratch)
	s.env.Counters.Sent.Add(1)
	s.env.Counters.SentBytes.Add(int64(len(it.Message.Payload)))
	return Sent
}

// redeliver sends what is in flight once more, on a new connection.
func (s *Session) redeliver(a *attached, f *flight) {
	if f.received {
		s.transmit(a, f, AppendAck(make([]byte, 0, 4), Pubrel, a.params.Version, f.id, 0))
		return
	}
	// An expired QoS 1 message need not be sent again. At QoS 2 the exchange has to be
	// completed: the client may hold the identifier.
	if f.QoS == 1 && f.Message.Props.HasExpiry && f.Message.Expired(s.env.Now()) {
		s.env.Counters.Expired.Add(1)
		s.land(f)
		return
	}
	h := s.header(a, f)
	h.Dup = true
	scratch := s.env.borrow()
	defer s.env.giveBack(scratch)
	*scratch, _ = AppendPublish((*scratch)[:0], f.Message, &h)
	if a.tooLarge(*scratch) {
		s.env.Counters.TooLarge.Add(1)
		s.land(f)
		return
	}
	s.transmit(a, f, *scratch)
	s.env.Counters.Sent.Add(1)
}

func (s *Session) header(a *attached, f *flight) Header {
	return Header{Version: a.params.Version, QoS: f.QoS, Retain: f.Retain, PacketID: f.id, IDs: f.IDs, Now: s.env.Now()}
}

// transmit writes a flight's packet. If the connection takes it no longer, the
// flight stays where it is and is redelivered on the next one.
func (s *Session) transmit(a *attached, f *flight, b []byte) {
	f.onLink = true
	s.unacked++
	if _, err := a.link.Write(b); err != nil {
		a.link.Fail(reasonQuotaExceeded)
	}
}

// reasonQuotaExceeded is the MQTT 5 reason code of a client that reads too slowly.
const reasonQuotaExceeded = 0x97

func (a *attached) tooLarge(b []byte) bool {
	return a.params.MaximumPacketSize > 0 && uint64(len(b)) > uint64(a.params.MaximumPacketSize)
}

// shortestAliased is the shortest topic worth an alias: it costs three bytes itself.
const shortestAliased = 4

// alias gives the topic an alias if the client takes any, or uses the one it has.
// Aliases are given to the first topics that come and stay. [MQTT-3.1.2-26] [MQTT-3.1.2-27]
func (a *attached) alias(topic string, h *Header) {
	if a.params.TopicAliasMaximum == 0 || len(topic) < shortestAliased {
		return
	}
	if n, known := a.aliases[topic]; known {
		h.Alias, h.OmitTopic = n, true
		return
	}
	if len(a.aliases) >= int(a.params.TopicAliasMaximum) {
		return
	}
	if a.aliases == nil {
		a.aliases = map[string]uint16{}
	}
	h.Alias = uint16(len(a.aliases) + 1)
	a.aliases[topic] = h.Alias
}

// forget takes an alias back whose packet was not sent.
func (a *attached) forget(topic string, h *Header) {
	if h.Alias != 0 && !h.OmitTopic {
		delete(a.aliases, topic)
	}
}

// borrow lends a buffer to encode into.
func (e *Env) borrow() *[]byte {
	if b, ok := e.scratch.Get().(*[]byte); ok {
		return b
	}
	return new([]byte)
}

func (e *Env) giveBack(b *[]byte) {
	if b != nil && cap(*b) <= largestKept {
		e.scratch.Put(b)
	}
}

// flightState is what the store calls the state of a flight.
func flightState(f *flight) store.Kind {
	if f.received {
		return store.Received
	}
	return store.Sent
}
