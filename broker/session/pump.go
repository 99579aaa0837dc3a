package session

import "github.com/topicwire/topicwire/broker/store"

// mayTransmit reports whether another QoS 1 or 2 message may be sent.
func (s *Session) mayTransmit(a *attached) bool {
	return s.window.len() < 65535 && s.mayRedeliver(a)
}

// mayRedeliver reports whether the client's window and the connection take one that has
// its packet identifier. [MQTT-3.3.4-7] [MQTT-3.3.4-9]
func (s *Session) mayRedeliver(a *attached) bool {
	return !a.broken && s.unacked < int(a.params.ReceiveMaximum) && !a.link.Congested()
}

// mayReplay reports whether redelivery on this connection is through, so that newer
// messages may follow.
func (s *Session) mayReplay() bool { return s.resend == nil }

// pump sends what may be sent: redeliveries, retained messages, the queue.
func (s *Session) pump(a *attached) {
	for s.resend != nil {
		f := s.resend
		if f.onLink { // a neighbour has been put back: see PutBack
			s.resend = f.next
			continue
		}
		if !s.mayRedeliver(a) {
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
	if f.QoS == 2 && it.kept && s.env.Hold {
		s.env.Counters.Inflight.Add(1)
		s.hold(a, f)
		return Sent
	}
	var b []byte
	var fits bool
	var scratch *[]byte
	if o != nil && !it.dup && (a.params.Version < 5 || len(it.IDs) == 0 && a.params.TopicAliasMaximum == 0) {
		fr := o.frame(a.params.Version, it.QoS, it.Retain)
		b, fits = fr.b, !a.tooLarge(fr.b)
		b[fr.idAt], b[fr.idAt+1] = byte(f.id>>8), byte(f.id)
	} else {
		h := s.header(a, f)
		h.Dup = it.dup
		scratch = s.env.borrow()
		*scratch, fits = a.encode((*scratch)[:0], it.Message, &h)
		b = *scratch
	}
	if !fits {
		// The message is not sent and counts as delivered. [MQTT-3.1.2-24] [MQTT-3.1.2-25]
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
	return Sent
}

// redeliver sends what is in flight once more, on a new connection.
func (s *Session) redeliver(a *attached, f *flight) {
	if f.received {
		s.transmit(a, f, AppendAck(make([]byte, 0, 4), Pubrel, a.params.Version, f.id, 0))
		return
	}
	// An expired message is not sent, and at QoS 1 not again. At QoS 2 an exchange that has
	// begun has to be completed: the client may hold the identifier. [MQTT-3.3.2-5]
	if (f.QoS == 1 || !f.sent) && f.Message.Props.HasExpiry && f.Message.Expired(s.env.Now()) {
		s.env.Counters.Expired.Add(1)
		s.land(f)
		return
	}
	h := s.header(a, f)
	h.Dup = f.sent || f.dup
	scratch := s.env.borrow()
	defer s.env.giveBack(scratch)
	*scratch, _ = AppendPublish((*scratch)[:0], f.Message, &h)
	if a.tooLarge(*scratch) {
		s.env.Counters.TooLarge.Add(1)
		s.land(f)
		return
	}
	s.transmit(a, f, *scratch)
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
		a.fail()
		return // and has not been sent: no DUP on the next one [MQTT-3.3.1-2]
	}
	f.sent = true
	if !f.received { // else it was a PUBREL
		s.env.Counters.sent(f.Message)
	}
}

// fail ends a connection that has refused a packet. Its queue is empty from then on, so
// it does not look congested: what it was given would be lost.
func (a *attached) fail() {
	a.broken = true
	a.link.Fail(reasonQuotaExceeded)
}

// reasonQuotaExceeded is the MQTT 5 reason code of a client that reads too slowly.
const reasonQuotaExceeded = 0x97

func (a *attached) tooLarge(b []byte) bool {
	return a.params.MaximumPacketSize > 0 && uint64(len(b)) > uint64(a.params.MaximumPacketSize)
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
