package session

import (
	"slices"

	"github.com/topicwire/topicwire/broker/store"
)

// Loose is a delivery of a shared subscription that has left its session to be given
// to another member, or to come back.
type Loose struct {
	store.Delivery
	// Dup says that it was already sent once.
	item item
}

// TakeShared takes out of an offline session what came through shared subscriptions
// and may go to another member: what was not sent, and at QoS 1 what was sent and not
// acknowledged. What was sent at QoS 2 stays: it must be completed with this client
// or not at all. [MQTT-4.8.2-4] [MQTT-4.8.2-5]
// Each must then be given to [Session.PutBack] or to [Session.GivenAway].
func (s *Session) TakeShared(filter func(share string) bool) []Loose {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shared == 0 {
		return nil
	}
	var out []Loose
	for f := s.window.first; f != nil; {
		next := f.next
		if f.Share != "" && f.QoS == 1 && !f.onLinkNow(s) && filter(f.Share) {
			out = append(out, Loose{Delivery: f.Delivery, item: f.item})
			s.count(&f.item, -1)
			if s.resend == f {
				s.resend = next
			}
			s.env.Counters.Inflight.Add(-1)
			s.window.remove(f)
		}
		f = next
	}
	if s.queue.n > 0 {
		for _, it := range s.queue.removeIf(func(it *item) bool { return it.Share != "" && filter(it.Share) }) {
			s.env.Counters.Queued.Add(-1)
			s.count(&it, -1)
			out = append(out, Loose{Delivery: it.Delivery, item: it})
		}
	}
	return out
}

// onLinkNow reports whether the flight was sent on a connection that is still attached.
func (f *flight) onLinkNow(s *Session) bool { return s.at.Load() != nil && f.onLink }

// PutBack returns what nobody else could take to the front of the queue, in order.
func (s *Session) PutBack(loose []Loose) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		s.env.Counters.Abandoned.Add(int64(len(loose)))
		return
	}
	for _, l := range slices.Backward(loose) {
		s.queue.unshift(l.item)
		s.count(&l.item, 1)
		s.env.Counters.Queued.Add(1)
	}
	if a := s.at.Load(); a != nil {
		s.pump(a)
	}
}

// GivenAway says that another member has taken it.
func (s *Session) GivenAway(l *Loose) {
	if l.item.kept {
		s.env.Store.Append(store.Change{Kind: store.Complete, Client: s.id, Seq: l.item.seq})
	}
}
