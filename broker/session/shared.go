package session

import (
	"slices"
	"sync"

	"github.com/topicwire/topicwire/broker/store"
)

// Loose is a delivery of a shared subscription that has left its session to be given
// to another member, or to come back.
type Loose struct {
	store.Delivery
	item  item
	id    uint16 // the packet identifier that it was sent with; 0 = it was in the queue
	order uint64 // its place among those in flight
	sent  bool
}

// TakeShared takes out of an offline session what came through shared subscriptions
// and may go to another member: what was not sent, and at QoS 1 what was sent and not
// acknowledged. What was sent at QoS 2 stays: it must be completed with this client
// or not at all. [MQTT-4.8.2-4] [MQTT-4.8.2-5] What has expired is for nobody any more.
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
		if f.Share != "" && (f.QoS == 1 || !f.sent) && !f.onLinkNow(s) && filter(f.Share) {
			l := Loose{item: f.item, id: f.id, order: f.order, sent: f.sent}
			if s.resend == f {
				s.resend = next
			}
			s.env.Counters.Inflight.Add(-1)
			s.window.remove(f)
			out = s.loosen(out, l)
		}
		f = next
	}
	for _, it := range s.takeFromQueue(func(it *item) bool { return it.Share != "" && filter(it.Share) }) {
		out = s.loosen(out, Loose{item: it})
	}
	return out
}

// loosen adds what has been taken out to a list, unless it has expired. [MQTT-3.3.2-5]
func (s *Session) loosen(list []Loose, l Loose) []Loose {
	if m := l.item.Message; m.Props.HasExpiry && m.Expired(s.env.Now()) {
		s.env.Counters.Expired.Add(1)
		s.done(&l.item)
		return list
	}
	s.count(&l.item, -1)
	l.Delivery = l.item.Delivery
	return append(list, l)
}

// onLinkNow reports whether the flight was sent on a connection that is still attached.
func (f *flight) onLinkNow(s *Session) bool { return s.at.Load() != nil && f.onLink }

// PutBack returns what nobody else could take: what was in flight to its place and its
// packet identifier [MQTT-4.4.0-1], the rest to the front of the queue, in order.
func (s *Session) PutBack(loose []Loose) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		s.env.Counters.Abandoned.Add(int64(len(loose)))
		return
	}
	a := s.at.Load()
	for _, l := range slices.Backward(loose) {
		s.count(&l.item, 1)
		if l.id == 0 || s.window.byID[l.id] != nil {
			l.item.dup = l.item.dup || l.sent
			s.queue.unshift(l.item)
			s.waits(&l.item, 1)
			continue
		}
		s.env.Counters.Inflight.Add(1)
		s.window.putBack(l.item, l.id, l.order).sent = l.sent
		if a != nil { // its client has come back meanwhile
			s.resend = s.window.first
		}
	}
	if a != nil {
		s.pump(a)
	}
}

// GivenAway says that another member has taken it.
func (s *Session) GivenAway(l *Loose) {
	if l.item.kept {
		s.env.Store.Append(store.Change{Kind: store.Complete, Client: s.id, Seq: l.item.seq})
	}
}

// shares counts what waits for the members of each shared subscription, in all their
// queues together.
type shares struct {
	mu  sync.Mutex
	all map[string]int
}

func (s *shares) add(share string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all == nil {
		s.all = map[string]int{}
	}
	if s.all[share] += n; s.all[share] <= 0 {
		delete(s.all, share)
	}
}

func (s *shares) waiting(share string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[share]
}

// ShareIsFull reports whether as many messages wait for a shared subscription, named
// $share/group/filter, as may.
func (e *Env) ShareIsFull(share string) bool {
	return e.Config.MaxShareQueued > 0 && e.shares.waiting(share) >= e.Config.MaxShareQueued
}
