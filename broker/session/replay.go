package session

import (
	"time"

	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/message"
)

// Source hands out the retained messages of a subscription, a few at a time; fewer
// than asked for means that there are no more. It is used by one goroutine at a time.
type Source interface {
	Next(now time.Time, dst []*message.Message) int
}

// replay is a subscription whose retained messages have not all been sent.
type replay struct {
	filter string
	qos    byte
	ids    []uint32
	source Source
	one    [1]*message.Message // what source is to fill
}

// Replay sends the retained messages of a new subscription, as fast as the client
// reads them: none is dropped and none makes another client wait. A connection that
// ends interrupts it, the next one of the session continues it; another subscription
// with the same filter begins it anew. [MQTT-3.3.1-9] [MQTT-3.8.4-3]
func (s *Session) Replay(filter string, qos byte, ids []uint32, source Source) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.dropReplays(func(r *replay) bool { return r.filter == filter }) // this one sends all of them
	s.replays = append(s.replays, &replay{filter: filter, qos: qos, ids: ids, source: source})
	if a := s.at.Load(); a != nil {
		s.pump(a)
	}
}

// StopReplay ends the replay of a filter: the client has unsubscribed.
func (s *Session) StopReplay(filter string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dropReplays(func(r *replay) bool { return r.filter == filter })
}

// pumpReplays sends retained messages while they may be sent and reports whether
// none is left. A message is fetched only when it can be sent: one that is replaced
// while it waits must not arrive after its successor.
func (s *Session) pumpReplays(a *attached) bool {
	for len(s.replays) > 0 {
		r := s.replays[0]
		for {
			if r.qos == 0 && (a.broken || a.link.Congested()) || r.qos > 0 && !s.mayTransmit(a) {
				return false
			}
			now := s.env.Now()
			if r.source.Next(now, r.one[:]) == 0 {
				break
			}
			s.replayOne(a, r.one[0], r, now)
		}
		s.replays = s.replays[1:]
		if s.durable && r.qos > 0 {
			s.env.Store.Append(store.Change{Kind: store.SubscriptionReplayed, Client: s.id, Filter: r.filter})
		}
	}
	s.replays = nil
	return true
}

// replayOne sends one retained message.
func (s *Session) replayOne(a *attached, m *message.Message, r *replay, now time.Time) {
	qos := min(r.qos, m.QoS)
	if qos > 0 {
		it := item{Delivery: store.Delivery{Message: m, QoS: qos, Retain: true, IDs: r.ids}}
		s.keep(&it)
		s.count(&it, 1)
		s.launch(a, it, nil)
		return
	}
	h := Header{Version: a.params.Version, Retain: true, IDs: r.ids, Now: now}
	scratch := s.env.borrow()
	defer s.env.giveBack(scratch)
	var fits bool
	*scratch, fits = a.encode((*scratch)[:0], m, &h)
	if !fits {
		s.env.Counters.TooLarge.Add(1)
		return
	}
	if _, err := a.link.Write(*scratch); err != nil {
		a.fail()
		return
	}
	s.env.Counters.sent(m)
}

func (s *Session) dropReplays(which func(*replay) bool) {
	kept := s.replays[:0]
	for _, r := range s.replays {
		if !which(r) {
			kept = append(kept, r)
		}
	}
	clear(s.replays[len(kept):])
	s.replays = kept
}
