package session

import "github.com/topicwire/topicwire/broker/store"

// Acknowledge takes a PUBACK, PUBREC or PUBCOMP of the client. link is the
// connection it came on: what a connection that has been replaced still says is
// ignored.
func (s *Session) Acknowledge(link Link, ack Ack, id uint16, reason byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.at.Load()
	if a == nil || a.link != link {
		return
	}
	f := s.window.byID[id]
	switch ack {
	case Puback:
		if f == nil || f.QoS != 1 {
			return
		}
		s.countRefusal(reason)
		if f.confirm != nil {
			f.confirm(reason)
		}
		s.land(f)
	case Pubrec:
		s.pubrec(a, f, id, reason)
	case Pubcomp:
		if f == nil || f.QoS != 2 || !f.received {
			return
		}
		s.land(f)
	case Pubrel:
		return // the client's side of QoS 2: see Release
	}
	s.pump(a)
}

// pubrec answers a PUBREC: a receipt moves the delivery to its second half, an
// error ends it. [MQTT-4.3.3-4] [MQTT-4.3.3-5]
func (s *Session) pubrec(a *attached, f *flight, id uint16, reason byte) {
	if f == nil || f.QoS != 2 {
		if reason < firstError {
			s.writeAck(a, Pubrel, id, reasonNoSuchID)
		}
		return
	}
	if reason >= firstError {
		s.countRefusal(reason)
		s.land(f)
		return
	}
	if !f.received {
		f.received = true
		if f.kept {
			s.env.Store.Append(store.Change{Kind: store.Received, Client: s.id, Seq: f.seq, PacketID: f.id})
		}
	}
	if !f.kept || !s.env.Hold {
		s.writeAck(a, Pubrel, id, 0)
		return
	}
	// After a PUBREL the message must never be sent again [MQTT-4.3.3-6]: the store has
	// to know that first. The link may be another one by then, which sends its own.
	s.env.Store.Sync(func(err error) {
		if err != nil {
			a.link.Fail(reasonImplementation)
			return
		}
		s.writeAck(a, Pubrel, id, 0)
	})
}

// Reason codes of MQTT 5 that this package sends or looks at.
const (
	firstError     = 0x80 // this and above are errors
	reasonNoSuchID = 0x92

	reasonImplementation = 0x83
)

func (s *Session) writeAck(a *attached, ack Ack, id uint16, reason byte) {
	var b [5]byte
	_, _ = a.link.Write(AppendAck(b[:0], ack, a.params.Version, id, reason)) // a connection that takes no more is ending
}

func (s *Session) countRefusal(reason byte) {
	if reason >= firstError {
		s.env.Counters.Refused.Add(1)
	}
}

// land ends a flight: its identifier is free and its place in the window returns.
// [MQTT-4.4.0-2]
func (s *Session) land(f *flight) {
	if s.resend == f {
		s.resend = f.next
	}
	if f.onLink {
		s.unacked--
	}
	s.env.Counters.Inflight.Add(-1)
	it := f.item
	s.window.remove(f)
	s.done(&it)
}
