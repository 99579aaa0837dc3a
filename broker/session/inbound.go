package session

import "github.com/topicwire/topicwire/broker/store"

// inbound is a QoS 2 message of the client's that was accepted, or is about to be,
// and that the client has not released.
type inbound struct {
	done bool
	wait func(reason byte) // who waits for the outcome besides the first PUBLISH; nil = nobody
}

// Arrival is what a session knows of the packet identifier of a QoS 2 PUBLISH.
type Arrival byte

// The arrivals.
const (
	First   Arrival = iota // not seen: it is to be handed on
	Pending                // a repetition; the first is still being made durable
	Known                  // a repetition of one that was accepted: it is only acknowledged
)

// Arrive takes note of a QoS 2 PUBLISH, so that it is handed on exactly once however
// often it comes. [MQTT-4.3.3-10] When the answer is Pending, wait is called with the
// reason code as soon as it is known.
func (s *Session) Arrive(id uint16, wait func(reason byte)) Arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	if in := s.inbound[id]; in != nil {
		if in.done {
			return Known
		}
		in.wait = wait
		return Pending
	}
	if s.ended {
		return First
	}
	if s.inbound == nil {
		s.inbound = map[uint16]*inbound{}
	}
	s.inbound[id] = &inbound{}
	return First
}

// Taken says that a First has been handed on, so that the store remembers its
// identifier: with what came of the message or after it, and never before. Remembered
// alone, the message would be taken for one that was handed on.
func (s *Session) Taken(id uint16) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.durable && s.inbound[id] != nil {
		s.env.Store.Append(store.Change{Kind: store.InboundPut, Client: s.id, PacketID: id})
	}
}

// Arrived says what became of a First: accepted, or refused with an error code; the
// identifier of a refused message is free again. [MQTT-4.3.3-9]
func (s *Session) Arrived(id uint16, reason byte) {
	s.mu.Lock()
	in := s.inbound[id]
	if in == nil {
		s.mu.Unlock()
		return
	}
	wait := in.wait
	in.done, in.wait = true, nil
	if reason >= firstError {
		s.forgetInbound(id)
	}
	s.mu.Unlock()
	if wait != nil {
		wait(reason)
	}
}

// Release takes a PUBREL and reports whether the identifier was known.
// [MQTT-4.3.3-11] [MQTT-4.3.3-12]
func (s *Session) Release(id uint16) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.inbound[id] == nil {
		return false
	}
	s.forgetInbound(id)
	return true
}

func (s *Session) forgetInbound(id uint16) {
	delete(s.inbound, id)
	if s.durable {
		s.env.Store.Append(store.Change{Kind: store.InboundDelete, Client: s.id, PacketID: id})
	}
}
