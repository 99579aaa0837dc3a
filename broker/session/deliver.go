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
	// Confirm is called with the reason code of the client's PUBACK, at QoS 1; nil if
	// nobody waits for it. It is called with the session locked and must not block. A
	// message that is dropped, or whose session ends, calls nobody, nor does one that a
	// restart has brought back.
	Confirm func(reason byte)
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
	it := item{Delivery: store.Delivery{Message: o.Message, QoS: d.QoS, Retain: d.Retain, IDs: d.IDs, Share: d.Share}, confirm: d.Confirm}
	a := s.at.Load()
	if a == nil || s.queue.n > 0 || !s.mayReplay() || len(s.replays) > 0 || !s.mayTransmit(a) {
		out := s.enqueue(it)
		o.Durable = o.Durable || s.durable && out == Queued
		return out
	}
	if s.keep(&it); it.kept {
		o.Durable = true
	}
	s.count(&it, 1)
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
	var fits bool
	if a.params.Version < 5 || len(d.IDs) == 0 && a.params.TopicAliasMaximum == 0 {
		b = o.frame(a.params.Version, 0, d.Retain).b
		fits = !a.tooLarge(b)
	} else {
		s.mu.Lock()
		defer s.mu.Unlock() // until the packet is in line: an alias must not overtake the packet that explains it
		h := Header{Version: a.params.Version, Retain: d.Retain, IDs: d.IDs, Now: o.now}
		o.buf, fits = a.encode(o.buf[:0], o.Message, &h)
		b = o.buf
	}
	if !fits {
		s.env.Counters.TooLarge.Add(1)
		return Dropped
	}
	if _, err := a.link.Write(b); err != nil {
		s.env.Counters.DroppedQoS0.Add(1)
		return Dropped
	}
	s.env.Counters.sent(o.Message)
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
	if e := s.env; e.Keeps != nil && s.at.Load() == nil && !e.Keeps(e.Now()) {
		e.Counters.DroppedRate.Add(1)
		return Dropped
	}
	if it.Share != "" && s.env.ShareIsFull(it.Share) {
		s.env.Counters.DroppedQueue.Add(1)
		return Dropped
	}
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
	s.count(&it, 1)
	s.waits(&it, 1)
	return Queued
}

func (s *Session) popQueue() item {
	it := s.queue.pop()
	s.waits(&it, -1)
	return it
}

// takeFromQueue takes out of the queue what which names, in order.
func (s *Session) takeFromQueue(which func(*item) bool) []item {
	if s.queue.n == 0 {
		return nil
	}
	taken := s.queue.removeIf(which)
	for i := range taken {
		s.waits(&taken[i], -1)
	}
	return taken
}

// waits takes note that an item is in the queue (1) or no longer (-1).
func (s *Session) waits(it *item, n int) {
	s.env.Counters.Queued.Add(int64(n))
	if it.Share != "" && s.env.Config.MaxShareQueued > 0 {
		s.env.shares.add(it.Share, n)
	}
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

// count adds n to the numbers that an item is part of.
func (s *Session) count(it *item, n int) {
	s.load.Add(int64(n))
	if it.Share != "" {
		s.shared += n
	}
}

// done says that an item is over, whichever way.
func (s *Session) done(it *item) {
	s.count(it, -1)
	if it.kept {
		s.env.Store.Append(store.Change{Kind: store.Complete, Client: s.id, Seq: it.seq})
	}
}
