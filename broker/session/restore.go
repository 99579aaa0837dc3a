package session

import "github.com/topicwire/topicwire/broker/store"

// Restore applies a change that the store has kept, before the session is attached
// for the first time. Changes that do not concern deliveries are ignored.
func (s *Session) Restore(c *store.Change) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch c.Kind {
	case store.Enqueue:
		s.seq = max(s.seq, c.Seq)
		it := item{Delivery: c.Delivery, seq: c.Seq, kept: true, dup: s.cut && c.Delivery.QoS == 1}
		s.queue.push(it)
		s.count(&it, 1)
		s.waits(&it, 1)
	case store.Sent, store.Received:
		s.restoreFlight(c)
	case store.InboundPut:
		if s.inbound == nil {
			s.inbound = map[uint16]*inbound{}
		}
		s.inbound[c.PacketID] = &inbound{done: true}
	default:
	}
}

// restoreFlight puts a delivery that was under way back under way, with its packet
// identifier: at QoS 2 the client may know it. [MQTT-4.4.0-1]
func (s *Session) restoreFlight(c *store.Change) {
	if f := s.window.byID[c.PacketID]; f != nil && f.seq == c.Seq {
		f.received = c.Kind == store.Received
		return
	}
	if s.window.byID[c.PacketID] != nil || c.PacketID == 0 {
		return
	}
	if s.queue.n == 0 || s.queue.at(s.queue.n-1).seq != c.Seq { // the state follows its delivery
		return
	}
	it := s.queue.popLast()
	s.waits(&it, -1)
	s.env.Counters.Inflight.Add(1)
	f := s.window.put(it, c.PacketID)
	f.received, f.sent = c.Kind == store.Received, true
	s.window.id = c.PacketID
}

// Interrupted says, before Restore, that the client was connected when the server
// went. What the store knows as waiting may then have been sent: it leaves with DUP.
// [MQTT-3.3.1-1] At QoS 2 nothing is sent before the store knows it.
func (s *Session) Interrupted() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cut = true
}
