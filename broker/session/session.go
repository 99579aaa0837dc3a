// Package session holds the delivery state of one client: what waits for it, what is
// in flight, which packet identifiers each side uses. A session outlives its
// connections; a connection is attached to it and detached again. It knows how
// packets look, but no sockets, no subscriptions index and no authentication.
//
// The promises of this package: messages of one topic and QoS leave in the order of
// their Deliver calls, live and after a resume; never more are unacknowledged than
// the client's Receive Maximum; what was queued at QoS 1 or 2 leaves only by
// acknowledgement, expiry, a full queue or the end of the session, and each of
// these is counted.
package session

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/message"
)

// Link is the connection a session is attached to. Its methods are called with the
// session's lock held and must not call back into the session.
type Link interface {
	// Write queues one packet. It copies p and does not wait for the network.
	Write(p []byte) (int, error)
	// Congested reports that more is queued than should be: what can wait should.
	Congested() bool
	// Full reports that so much is queued that QoS 0 messages are to be dropped.
	Full() bool
	// Fail ends the connection with a reason code. It does not wait.
	Fail(reason byte)
}

// Params are what a client said in CONNECT and a connection keeps to.
type Params struct {
	// Version is the MQTT version: 3, 4 or 5.
	Version byte
	// ReceiveMaximum is how many QoS 1 and 2 messages may be unacknowledged; at least 1.
	ReceiveMaximum uint16
	// MaximumPacketSize in bytes; 0 = no limit.
	MaximumPacketSize uint32
	// TopicAliasMaximum is the highest alias the client accepts; 0 = none.
	TopicAliasMaximum uint16
}

// Policy says what gives way when a queue is full.
type Policy string

// The policies.
const (
	DropOldest Policy = "drop_oldest" // the message that has waited longest
	DropNewest Policy = "drop_newest" // the one that arrives
	Refuse     Policy = "refuse"      // the one that arrives, and its publisher is told
)

// Config are the bounds of every session.
type Config struct {
	// MaxQueued is how many messages may wait for one client.
	MaxQueued int
	// MaxQueuedBytes is how many bytes they may hold, an estimate of overhead included.
	MaxQueuedBytes int64
	// Policy says what happens beyond.
	Policy Policy
	// MaxShareQueued is how many messages may wait for all members of a shared subscription
	// together; those that come then are dropped. 0 = no limit.
	MaxShareQueued int
}

// Counters count over all sessions.
type Counters struct {
	Sent         atomic.Int64 // PUBLISH packets handed to connections
	SentBytes    atomic.Int64 // their payload bytes
	DroppedQoS0  atomic.Int64 // QoS 0 messages not sent: slow connection
	DroppedQueue atomic.Int64 // QoS 1 and 2 messages dropped: queue full
	DroppedRate  atomic.Int64 // QoS 1 and 2 messages dropped: too many a second for clients that are away
	Expired      atomic.Int64 // messages dropped: expired while waiting
	TooLarge     atomic.Int64 // messages dropped: above the client's Maximum Packet Size
	Abandoned    atomic.Int64 // QoS 1 and 2 messages given up with a session that ended
	Refused      atomic.Int64 // messages the client answered with an error code
	Queued       atomic.Int64 // messages waiting now
	Inflight     atomic.Int64 // messages in flight now
}

// sent counts a PUBLISH packet.
func (c *Counters) sent(m *message.Message) {
	c.Sent.Add(1)
	c.SentBytes.Add(int64(len(m.Payload)))
}

// Env is what sessions share.
type Env struct {
	Config   Config
	Store    store.Store
	Counters *Counters
	// Hold says that the store outlives the process: what must not be said twice waits
	// until the store has it.
	Hold bool
	// Now is the clock.
	Now func() time.Time
	// Keeps is asked before a message is queued for a client that is away, and drops it if
	// it says no; nil = never.
	Keeps func(now time.Time) bool

	shares  shares
	scratch sync.Pool // *[]byte
}

// Session is one client's delivery state. Make one with New. All methods may be
// called from many goroutines at once.
type Session struct {
	id  string
	env *Env

	at   atomic.Pointer[attached] // nil while offline; written under mu
	load atomic.Int64             // queued and in flight

	mu      sync.Mutex
	durable bool // outlives its connection, so the store has it
	ended   bool
	seq     uint64
	queue   queue
	window  window
	unacked int     // flights sent on the present connection
	resend  *flight // where redelivery on the present connection stands
	held    []*held // QoS 2 deliveries that wait for the store, in order
	cut     bool    // restored, and its client was connected when the server went
	replays []*replay
	inbound map[uint16]*inbound
	shared  int // how many queued and in flight came through shared subscriptions
}

// attached is a connection and what it agreed to; immutable but for what is under
// Session.mu.
type attached struct {
	link   Link
	params Params

	aliases map[string]uint16
	broken  bool // it has refused a packet, so it is ending: what waits is for the next one
}

// New makes a session that is offline and empty. A durable one hands what it must
// not lose to the store.
func New(id string, env *Env, durable bool) *Session {
	return &Session{id: id, env: env, durable: durable}
}

// ID is the client identifier.
func (s *Session) ID() string { return s.id }

// Online reports whether a connection is attached.
func (s *Session) Online() bool { return s.at.Load() != nil }

// Load is how many messages are queued or in flight.
func (s *Session) Load() int { return int(s.load.Load()) }

// SetDurable says whether the session outlives its connection, and reports whether
// that is news. What waits when a session becomes durable is handed to the store;
// when it no longer is, the store forgets the session.
func (s *Session) SetDurable(durable bool) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.durable == durable || s.ended {
		return false
	}
	s.durable = durable
	if !durable {
		s.env.Store.Append(store.Change{Kind: store.SessionDelete, Client: s.id})
	}
	for f := s.window.first; f != nil; f = f.next {
		f.kept = false
		if s.keep(&f.item); f.kept {
			s.env.Store.Append(store.Change{Kind: flightState(f), Client: s.id, Seq: f.seq, PacketID: f.id})
		}
	}
	for i := range s.queue.n {
		s.queue.at(i).kept = false
		s.keep(s.queue.at(i))
	}
	for id := range s.inbound {
		if durable {
			s.env.Store.Append(store.Change{Kind: store.InboundPut, Client: s.id, PacketID: id})
		}
	}
	return true
}

// Attach makes link the session's connection, in place of any other, and starts
// delivery: first what was in flight, with DUP [MQTT-3.3.1-1] [MQTT-4.4.0-1], in its
// old order, then what waits.
func (s *Session) Attach(link Link, p Params) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	a := &attached{link: link, params: p}
	if p.ReceiveMaximum == 0 {
		a.params.ReceiveMaximum = 1
	}
	s.unacked, s.resend, s.held = 0, s.window.first, nil
	for f := s.window.first; f != nil; f = f.next {
		f.onLink = false
	}
	s.at.Store(a)
	s.pump(a)
}

// Detach takes link away if it is still the session's connection, and reports
// whether it was.
func (s *Session) Detach(link Link) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.at.Load()
	if a == nil || a.link != link {
		return false
	}
	s.at.Store(nil)
	s.resend, s.held = nil, nil // retained messages that are still due go on with the next connection
	s.window.rest()
	return true
}

// End ends the session: what waits is given up, nothing is accepted any more.
func (s *Session) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return
	}
	s.ended = true
	s.at.Store(nil)
	c := s.env.Counters
	c.Abandoned.Add(int64(s.queue.n + s.window.len()))
	for i := range s.queue.n {
		s.waits(s.queue.at(i), -1)
	}
	c.Inflight.Add(-int64(s.window.len()))
	s.load.Store(0)
	s.shared = 0
	s.queue, s.window, s.replays, s.resend, s.held, s.inbound = queue{}, window{}, nil, nil, nil, nil
	if s.durable {
		s.env.Store.Append(store.Change{Kind: store.SessionDelete, Client: s.id})
	}
}

// Drained continues delivery after congestion. link is the one that has drained.
func (s *Session) Drained(link Link) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if a := s.at.Load(); a != nil && a.link == link {
		s.pump(a)
	}
}

// Stats are numbers of one session.
type Stats struct {
	Queued, Inflight int
	QueuedBytes      int64
}

// Stats returns the session's present numbers.
func (s *Session) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Stats{Queued: s.queue.n, Inflight: s.window.len(), QueuedBytes: s.queue.bytes}
}

// Durable reports whether the session outlives its connection.
func (s *Session) Durable() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.durable
}

// Withhold takes out of the queue what the client may not receive any more. What is in
// flight has been sent, and is completed.
func (s *Session) Withhold(allowed func(topic string) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, it := range s.takeFromQueue(func(it *item) bool { return !allowed(it.Message.Topic) }) {
		s.env.Counters.Abandoned.Add(1)
		s.done(&it)
	}
}
