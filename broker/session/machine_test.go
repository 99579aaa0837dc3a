package session_test

import (
	"fmt"
	"time"

	"pgregory.net/rapid"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/message"
)

// machine drives a session by random events and keeps what must be true of it.
type machine struct {
	env     *session.Env
	now     *time.Time
	fan     session.Fanout
	session *session.Session
	link    *link // nil while offline
	old     *link // one that was replaced
	window  int
	read    int // of link.sent

	published int
	expected  []expected        // what the client has not completed, in order of publication
	open      map[uint16]*state // what the client knows of identifiers on this connection, QoS 2 across connections
}

type expected struct {
	payload string
	qos     byte
	sent    bool
	expires time.Time
}

// state is an exchange the client has begun.
type state struct {
	payload  string
	qos      byte
	received bool // PUBREC sent
}

func (m *machine) deliver(t *rapid.T) {
	qos := byte(rapid.IntRange(0, 2).Draw(t, "qos"))
	m.published++
	msg := &message.Message{Topic: "a", Payload: []byte(fmt.Sprint(m.published)), QoS: qos, Received: *m.now}
	e := expected{payload: string(msg.Payload), qos: qos}
	if rapid.IntRange(0, 4).Draw(t, "expires") == 0 {
		msg.Props.HasExpiry, msg.Props.Expiry = true, 10
		e.expires = m.now.Add(10 * time.Second)
	}
	o := m.fan.Begin(msg, *m.now)
	m.session.Deliver(o, session.Delivery{QoS: qos})
	m.fan.End(o)
	if qos > 0 {
		m.expected = append(m.expected, e)
	}
	m.look(t)
}

// look reads what the session has sent and checks every rule.
func (m *machine) look(t *rapid.T) {
	if m.link == nil {
		return
	}
	for ; m.read < len(m.link.sent); m.read++ {
		s := m.link.sent[m.read]
		if s.kind == 0x60 { // PUBREL
			if st := m.open[s.id]; st == nil || st.qos != 2 || !st.received {
				t.Fatalf("PUBREL %d for %+v", s.id, st)
			}
			continue
		}
		if s.qos == 0 {
			continue
		}
		m.lookPublish(t, s)
	}
	if n := m.unacknowledged(); n > m.window {
		t.Fatalf("%d unacknowledged, the window is %d", n, m.window)
	}
}

func (m *machine) lookPublish(t *rapid.T, s sent) {
	at := -1
	for i := range m.expected {
		if m.expected[i].payload == s.payload {
			at = i
			break
		}
	}
	if at < 0 {
		t.Fatalf("message %s was completed or never published", s.payload)
	}
	e := &m.expected[at]
	if s.dup != e.sent {
		t.Fatalf("message %s with DUP %v, sent before: %v", s.payload, s.dup, e.sent)
	}
	for i := range at { // nothing of the same QoS that came before may still wait to be sent
		if f := &m.expected[i]; f.qos == e.qos && !f.sent && (f.expires.IsZero() || m.now.Before(f.expires)) {
			t.Fatalf("message %s overtook %s", s.payload, f.payload)
		}
	}
	if st := m.open[s.id]; st != nil && st.payload != s.payload {
		t.Fatalf("identifier %d is in use for %s and given to %s", s.id, st.payload, s.payload)
	}
	e.sent = true
	m.open[s.id] = &state{payload: s.payload, qos: s.qos}
}

// unacknowledged counts the PUBLISH packets sent on this connection and not completed.
func (m *machine) unacknowledged() int {
	seen := map[uint16]bool{}
	for _, s := range m.link.sent[:m.read] {
		if s.kind == 0x30 && s.qos > 0 && m.open[s.id] != nil && m.open[s.id].payload == s.payload {
			seen[s.id] = true
		}
	}
	return len(seen)
}

func (m *machine) complete(payload string) {
	for i := range m.expected {
		if m.expected[i].payload == payload {
			m.expected = append(m.expected[:i], m.expected[i+1:]...)
			return
		}
	}
}

func (m *machine) acknowledge(t *rapid.T) {
	if m.link == nil || len(m.open) == 0 {
		t.Skip("nothing to acknowledge")
	}
	var ids []uint16
	for id := range 65536 {
		if m.open[uint16(id)] != nil {
			ids = append(ids, uint16(id))
		}
	}
	id := rapid.SampledFrom(ids).Draw(t, "id")
	st := m.open[id]
	switch {
	case st.qos == 1:
		m.complete(st.payload)
		delete(m.open, id)
		m.session.Acknowledge(m.link, session.Puback, id, 0)
	case !st.received && rapid.IntRange(0, 5).Draw(t, "refuse") == 0:
		m.complete(st.payload)
		delete(m.open, id)
		m.session.Acknowledge(m.link, session.Pubrec, id, 0x97)
	case !st.received:
		st.received = true
		m.complete(st.payload)
		m.session.Acknowledge(m.link, session.Pubrec, id, 0)
	default:
		delete(m.open, id)
		m.session.Acknowledge(m.link, session.Pubcomp, id, 0)
	}
	m.look(t)
}

func (m *machine) attach(t *rapid.T) {
	m.old, m.link, m.read = m.link, &link{}, 0
	m.window = rapid.IntRange(1, 5).Draw(t, "window")
	for id, st := range m.open {
		if st.qos == 1 {
			delete(m.open, id) // identifiers of QoS 1 mean nothing on another connection
		}
	}
	m.session.Attach(m.link, session.Params{Version: 4, ReceiveMaximum: uint16(m.window)})
	m.look(t)
}

func (m *machine) detach(t *rapid.T) {
	if m.link == nil {
		t.Skip("offline")
	}
	if !m.session.Detach(m.link) {
		t.Fatal("it was not the session's connection")
	}
	m.old, m.link = m.link, nil
}

// stale lets a connection that was replaced speak: nobody listens.
func (m *machine) stale(t *rapid.T) {
	if m.old == nil {
		t.Skip("there is none")
	}
	for _, ack := range []session.Ack{session.Puback, session.Pubrec, session.Pubcomp} {
		m.session.Acknowledge(m.old, ack, uint16(rapid.IntRange(1, 10).Draw(t, "id")), 0)
	}
	m.session.Drained(m.old)
	if m.session.Detach(m.old) {
		t.Fatal("a replaced connection was detached")
	}
	m.look(t)
}

func (m *machine) congest(t *rapid.T) {
	if m.link == nil {
		t.Skip("offline")
	}
	m.link.congested = !m.link.congested
	if !m.link.congested {
		m.session.Drained(m.link)
	}
	m.look(t)
}

// breaks lets the connection refuse whatever comes from now on: it is ending.
func (m *machine) breaks(t *rapid.T) {
	if m.link == nil {
		t.Skip("offline")
	}
	m.link.closed = true
	m.look(t)
}

func (m *machine) wait(*rapid.T) {
	*m.now = m.now.Add(4 * time.Second)
	kept := m.expected[:0]
	for _, e := range m.expected {
		// What was sent at QoS 2 has to be completed, everything else may be dropped when it
		// has expired; it is not demanded any more.
		if e.expires.IsZero() || m.now.Before(e.expires) || e.sent {
			kept = append(kept, e)
		}
	}
	m.expected = kept
}

func (m *machine) becomeDurable(t *rapid.T) {
	m.session.SetDurable(rapid.Bool().Draw(t, "durable"))
}

// finish lets the client acknowledge everything: all that was promised must come.
func (m *machine) finish(t *rapid.T) {
	if m.link == nil || m.link.closed {
		m.attach(t)
	}
	if m.link.congested {
		m.congest(t)
	}
	for range 10_000 {
		if len(m.open) == 0 {
			break
		}
		for id, st := range m.open {
			switch {
			case st.qos == 1:
				m.complete(st.payload)
				delete(m.open, id)
				m.session.Acknowledge(m.link, session.Puback, id, 0)
			case !st.received:
				st.received = true
				m.complete(st.payload)
				m.session.Acknowledge(m.link, session.Pubrec, id, 0)
			default:
				delete(m.open, id)
				m.session.Acknowledge(m.link, session.Pubcomp, id, 0)
			}
			m.look(t)
			break
		}
	}
	for _, e := range m.expected {
		if e.expires.IsZero() {
			t.Fatalf("message %s (QoS %d, sent %v) never came", e.payload, e.qos, e.sent)
		}
	}
	if st := m.session.Stats(); st.Queued != 0 || st.Inflight != 0 || st.QueuedBytes != 0 || m.session.Load() != 0 {
		t.Fatalf("left behind: %+v, load %d", st, m.session.Load())
	}
	if c := m.env.Counters; c.Queued.Load() != 0 || c.Inflight.Load() != 0 {
		t.Fatalf("gauges: %d queued, %d in flight", c.Queued.Load(), c.Inflight.Load())
	}
}
