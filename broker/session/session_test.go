package session_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/message"
)

// link is a connection that a test reads.
type link struct {
	sent      []sent
	congested bool
	full      bool
	failed    byte
	closed    bool
}

// sent is one packet, taken apart.
type sent struct {
	kind    byte // upper half of the first byte
	qos     byte
	dup     bool
	retain  bool
	id      uint16
	topic   string
	payload string
}

func (l *link) Write(p []byte) (int, error) {
	if l.closed {
		return 0, fmt.Errorf("closed")
	}
	s := sent{kind: p[0] & 0xF0}
	n, w := binary.Uvarint(p[1:])
	body := p[1+w:]
	if int(n) != len(body) {
		panic("a packet with a wrong length")
	}
	if s.kind != 0x30 {
		s.id = binary.BigEndian.Uint16(body)
	} else {
		s.qos, s.dup, s.retain = p[0]>>1&3, p[0]&8 != 0, p[0]&1 != 0
		t := int(binary.BigEndian.Uint16(body))
		s.topic = string(body[2 : 2+t])
		body = body[2+t:]
		if s.qos > 0 {
			s.id = binary.BigEndian.Uint16(body)
			body = body[2:]
		}
		s.payload = string(body)
	}
	l.sent = append(l.sent, s)
	return len(p), nil
}

func (l *link) Congested() bool { return l.congested }
func (l *link) Full() bool      { return l.full }
func (l *link) Fail(r byte)     { l.failed, l.closed = r, true }

func newEnv(cfg session.Config) (*session.Env, *time.Time) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	if cfg.MaxQueued == 0 {
		cfg.MaxQueued = 1 << 20
	}
	if cfg.MaxQueuedBytes == 0 {
		cfg.MaxQueuedBytes = 1 << 40
	}
	return &session.Env{
		Config: cfg, Store: store.NewMemory(), Counters: &session.Counters{},
		Now: func() time.Time { return now },
	}, &now
}

// Whatever happens in whatever order: at least once, in order, within the window, DUP
// only on redelivery, identifiers never in use twice.
// [MQTT-2.2.1-3] [MQTT-3.3.1-1] [MQTT-3.3.4-9] [MQTT-4.3.3-5] [MQTT-4.4.0-1] [MQTT-4.6.0-1]
func TestSessionKeepsItsPromises(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		env, now := newEnv(session.Config{})
		m := &machine{env: env, now: now, open: map[uint16]*state{}}
		m.session = session.New("c", env, rapid.Bool().Draw(t, "durable"))
		t.Repeat(map[string]func(*rapid.T){
			"deliver": m.deliver, "deliver more": m.deliver, "acknowledge": m.acknowledge, "acknowledge more": m.acknowledge,
			"attach": m.attach, "detach": m.detach, "stale": m.stale, "congest": m.congest, "wait": m.wait, "break": m.breaks,
			"durable": m.becomeDurable,
		})
		m.finish(t)
	})
}

// A session made anew from the store behaves as the one before.
func TestRestoreIsComplete(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		env, now := newEnv(session.Config{})
		env.Store.Append(store.Change{Kind: store.SessionPut, Client: "c"})
		m := &machine{env: env, now: now, open: map[uint16]*state{}}
		m.session = session.New("c", env, true)
		t.Repeat(map[string]func(*rapid.T){
			"deliver": m.deliver, "acknowledge": m.acknowledge, "attach": m.attach, "detach": m.detach, "congest": m.congest,
			"restart": func(t *rapid.T) {
				m.env.Counters = &session.Counters{}
				m.session = session.New("c", m.env, true)
				err := m.env.Store.Load(t.Context(), func(c store.Change) error {
					m.session.Restore(&c)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				m.link, m.old = nil, nil
			},
		})
		m.finish(t)
	})
}

func TestInbound(t *testing.T) {
	env, _ := newEnv(session.Config{})
	s := session.New("c", env, false)
	if s.Arrive(1, nil) != session.First {
		t.Error("a new identifier is not new")
	}
	var told []byte
	if s.Arrive(1, func(r byte) { told = append(told, r) }) != session.Pending {
		t.Error("a repetition before the outcome is not pending")
	}
	s.Arrived(1, 0)
	if string(told) != "\x00" {
		t.Errorf("told %v", told)
	}
	if s.Arrive(1, nil) != session.Known {
		t.Error("an accepted identifier is not known")
	}
	if !s.Release(1) || s.Release(1) {
		t.Error("Release")
	}
	s.Arrive(2, nil)
	s.Arrived(2, 0x97)
	if s.Arrive(2, nil) != session.First {
		t.Error("the identifier of a refused message is not free")
	}
}

func TestQueueBytesAreBounded(t *testing.T) {
	env, now := newEnv(session.Config{MaxQueuedBytes: 10_000, Policy: session.DropOldest})
	s := session.New("c", env, true)
	var fan session.Fanout
	for range 100 {
		o := fan.Begin(&message.Message{Topic: "a", Payload: make([]byte, 1000), QoS: 1}, *now)
		s.Deliver(o, session.Delivery{QoS: 1})
		fan.End(o)
	}
	st := s.Stats()
	if st.QueuedBytes > 10_000 || st.Queued == 0 || env.Counters.DroppedQueue.Load() != int64(100-st.Queued) {
		t.Errorf("%+v, %d dropped", st, env.Counters.DroppedQueue.Load())
	}
}

// counted is a source of so many retained messages.
type counted int

func (c *counted) Next(_ time.Time, dst []*message.Message) int {
	if *c == 0 {
		return 0
	}
	*c--
	dst[0] = &message.Message{Topic: "r", Payload: []byte(fmt.Sprint(*c)), QoS: 1}
	return 1
}

// A connection that takes nothing any more does not use the retained messages up: the
// next one gets them. At QoS 0 the one that found it out is lost.
func TestABrokenConnectionStopsAReplay(t *testing.T) {
	for qos, lost := range []int{1, 0} {
		const n = 10
		env, _ := newEnv(session.Config{})
		s := session.New("c", env, false)
		broken := &link{closed: true}
		s.Attach(broken, session.Params{Version: 4, ReceiveMaximum: 2 * n})
		source := counted(n)
		s.Replay("r", byte(qos), nil, &source)
		s.Drained(broken) // whatever happens on it
		if left := int(source); left != n-1 {
			t.Errorf("QoS %d: %d messages are left, want %d", qos, left, n-1)
		}
		s.Detach(broken)
		next := &link{}
		s.Attach(next, session.Params{Version: 4, ReceiveMaximum: 2 * n})
		if len(next.sent) != n-lost {
			t.Errorf("QoS %d: the next connection got %d messages, want %d", qos, len(next.sent), n-lost)
		}
	}
}
