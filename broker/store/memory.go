package store

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/topicwire/topicwire/message"
)

// Memory is the store that forgets with the process. It is durable only in so far
// as a broker that is closed and made anew on the same Memory finds everything
// again; Sync therefore answers at once.
type Memory struct {
	sessions sync.Map // client identifier → *record

	mu       sync.Mutex
	retained map[string]*message.Message
}

// record is all that is kept of one client.
type record struct {
	mu       sync.Mutex
	exists   bool
	session  Session
	subs     map[string]Subscription
	queue    map[uint64]*queued
	inbound  map[uint16]struct{}
	will     *Will
	willKept bool
}

type queued struct {
	delivery Delivery
	packetID uint16
	state    Kind // Enqueue, Sent or Received
}

// NewMemory returns an empty store.
func NewMemory() *Memory { return &Memory{retained: map[string]*message.Message{}} }

// Append takes the change over.
func (m *Memory) Append(c Change) {
	switch c.Kind {
	case RetainedPut:
		m.mu.Lock()
		m.retained[c.Delivery.Message.Topic] = c.Delivery.Message
		m.mu.Unlock()
	case RetainedDelete:
		m.mu.Lock()
		delete(m.retained, c.Topic)
		m.mu.Unlock()
	default:
		m.appendTo(&c)
	}
}

func (m *Memory) appendTo(c *Change) {
	v, ok := m.sessions.Load(c.Client)
	if !ok {
		if c.Kind != SessionPut && c.Kind != WillPut {
			return // the session has ended; what was still under way for it goes with it
		}
		v, _ = m.sessions.LoadOrStore(c.Client, &record{
			subs: map[string]Subscription{}, queue: map[uint64]*queued{}, inbound: map[uint16]struct{}{},
		})
	}
	r, ok := v.(*record)
	if !ok {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.apply(c)
	if !r.exists && !r.willKept {
		m.sessions.Delete(c.Client)
	}
}

func (r *record) apply(c *Change) {
	switch c.Kind {
	case SessionPut:
		r.exists, r.session = true, c.Session
	case SessionDelete:
		r.exists = false
		clear(r.subs)
		clear(r.queue)
		clear(r.inbound)
	case SubscriptionPut:
		r.subs[c.Filter] = c.Subscription
	case SubscriptionDelete:
		delete(r.subs, c.Filter)
	case SubscriptionReplayed:
		if s, ok := r.subs[c.Filter]; ok {
			s.Replaying = false
			r.subs[c.Filter] = s
		}
	case Enqueue:
		r.queue[c.Seq] = &queued{delivery: c.Delivery, state: Enqueue}
	case Sent, Received:
		if q := r.queue[c.Seq]; q != nil {
			q.state, q.packetID = c.Kind, c.PacketID
		}
	case Complete:
		delete(r.queue, c.Seq)
	case InboundPut:
		r.inbound[c.PacketID] = struct{}{}
	case InboundDelete:
		delete(r.inbound, c.PacketID)
	case WillPut:
		r.will, r.willKept = c.Will, true
	case WillDelete:
		if c.Will == nil || r.will != nil && r.will.Message == c.Will.Message {
			r.will, r.willKept = nil, false
		}
	default:
	}
}

// Sync answers at once: there is nothing to wait for.
func (m *Memory) Sync(done func(error)) { done(nil) }

// Err is always nil.
func (m *Memory) Err() error { return nil }

// Close does nothing; the state stays for another Load.
func (m *Memory) Close() error { return nil }

// Load visits what was kept.
func (m *Memory) Load(ctx context.Context, visit func(Change) error) error {
	var err error
	m.sessions.Range(func(k, v any) bool {
		client, _ := k.(string)
		if r, ok := v.(*record); ok {
			err = r.load(client, visit)
		}
		if err == nil {
			err = ctx.Err()
		}
		return err == nil
	})
	if err != nil {
		return err
	}
	m.mu.Lock()
	retained := slices.Collect(maps.Values(m.retained))
	m.mu.Unlock()
	for _, msg := range retained {
		if err := visit(Change{Kind: RetainedPut, Delivery: Delivery{Message: msg}}); err != nil {
			return err
		}
	}
	return nil
}

// load visits one client's state. The record is copied first: what visit does may
// append to it.
func (r *record) load(client string, visit func(Change) error) error {
	r.mu.Lock()
	var changes []Change
	if r.exists {
		changes = append(changes, Change{Kind: SessionPut, Client: client, Session: r.session})
		for filter, s := range r.subs {
			changes = append(changes, Change{Kind: SubscriptionPut, Client: client, Filter: filter, Subscription: s})
		}
		for id := range r.inbound {
			changes = append(changes, Change{Kind: InboundPut, Client: client, PacketID: id})
		}
		for _, seq := range slices.SortedFunc(maps.Keys(r.queue), cmp.Compare) {
			q := r.queue[seq]
			changes = append(changes, Change{Kind: Enqueue, Client: client, Seq: seq, Delivery: q.delivery})
			if q.state != Enqueue {
				changes = append(changes, Change{Kind: q.state, Client: client, Seq: seq, PacketID: q.packetID})
			}
		}
	}
	if r.willKept {
		changes = append(changes, Change{Kind: WillPut, Client: client, Will: r.will})
	}
	r.mu.Unlock()
	for _, c := range changes {
		if err := visit(c); err != nil {
			return err
		}
	}
	return nil
}
