package session

import (
	"sync/atomic"

	"github.com/topicwire/topicwire/broker/store"
)

// held is a QoS 2 delivery that has its packet identifier and is not sent before the
// store knows it: sent with another one after a restart, the client would take it for
// another message. [MQTT-4.3.3-2]
type held struct {
	f      *flight
	id     uint16
	stored bool
}

// hold lets a flight wait for the store. It has its place in the connection's window
// already.
func (s *Session) hold(a *attached, f *flight) {
	f.onLink = true
	s.unacked++
	s.env.Store.Append(store.Change{Kind: store.Sent, Client: s.id, Seq: f.seq, PacketID: f.id})
	h := &held{f: f, id: f.id}
	s.held = append(s.held, h)
	// The answer may come at once, while the session is locked here.
	const calling, returned, answered = 0, 1, 2
	var state atomic.Int32
	s.env.Store.Sync(func(err error) {
		if err != nil {
			a.link.Fail(reasonImplementation) // on the next connection it is sent
			return
		}
		if state.CompareAndSwap(calling, answered) {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		h.stored = true
		s.sendHeld(a)
		if s.at.Load() == a {
			s.pump(a) // what could not be sent has made room
		}
	})
	if !state.CompareAndSwap(calling, returned) {
		h.stored = true
		s.sendHeld(a)
	}
}

// sendHeld sends what the store knows by now, in order.
func (s *Session) sendHeld(a *attached) {
	if s.at.Load() != a {
		return // another connection has sent it, or will
	}
	for len(s.held) > 0 && s.held[0].stored {
		f, id := s.held[0].f, s.held[0].id
		s.held = s.held[1:]
		if s.window.byID[id] != f || !f.onLink || f.sent {
			continue // it has gone another way meanwhile
		}
		f.onLink = false
		s.unacked--
		s.redeliver(a, f)
	}
	if len(s.held) == 0 {
		s.held = nil
	}
}
