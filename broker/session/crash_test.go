package session_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/store"
)

// disk is a store that makes changes durable when the test says so, and keeps nothing
// else over a crash.
type disk struct {
	log     []store.Change
	durable int // so many of them
	waiting []syncing
}

type syncing struct {
	at   int
	done func(error)
}

func (d *disk) Append(c store.Change) { d.log = append(d.log, c) }

func (d *disk) Sync(done func(error)) {
	if d.durable == len(d.log) {
		done(nil)
		return
	}
	d.waiting = append(d.waiting, syncing{len(d.log), done})
}

func (d *disk) Err() error   { return nil }
func (d *disk) Close() error { return nil }

// commit makes the first n changes durable.
func (d *disk) commit(n int) {
	d.durable = max(d.durable, n)
	for len(d.waiting) > 0 && d.waiting[0].at <= d.durable {
		done := d.waiting[0].done
		d.waiting = d.waiting[1:]
		done(nil)
	}
}

func (d *disk) crash() { d.log, d.waiting = d.log[:d.durable], nil }

func (d *disk) Load(ctx context.Context, visit func(store.Change) error) error {
	m := store.NewMemory()
	for _, c := range d.log {
		m.Append(c)
	}
	return m.Load(ctx, visit)
}

// client is one that keeps its state for ever, as the specification wants it, and the
// server that it uses.
type client struct {
	env     *session.Env
	disk    *disk
	now     *time.Time
	session *session.Session
	link    *link // nil while offline
	read    int   // of link.sent
	replies []sent

	published int
	promised  map[string]int // what must come, and how much has to be durable for that
	seen      map[string]int // how often a message has come
	held      map[uint16]string
}

func (c *client) start(t *rapid.T) {
	c.session = session.New("c", c.env, true)
	c.session.Interrupted()
	err := c.disk.Load(context.Background(), func(change store.Change) error {
		c.session.Restore(&change)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (c *client) deliver(t *rapid.T) {
	qos := byte(rapid.IntRange(1, 2).Draw(t, "qos"))
	c.published++
	payload := fmt.Sprintf("%d at QoS %d", c.published, qos)
	deliver(c.session, *c.now, payload, session.Delivery{QoS: qos})
	c.promised[payload] = len(c.disk.log)
	c.look(t)
}

func (c *client) attach(t *rapid.T) {
	if c.link != nil { // a take-over
		c.session.Detach(c.link)
		c.link = nil
	}
	c.disk.commit(len(c.disk.log)) // CONNACK waits for that
	if rapid.Bool().Draw(t, "a message meanwhile") {
		c.deliver(t)
	}
	c.link, c.read, c.replies = &link{}, 0, nil
	c.session.Attach(c.link, session.Params{Version: 4, ReceiveMaximum: uint16(rapid.IntRange(1, 5).Draw(t, "window"))})
	c.look(t)
}

func (c *client) detach(t *rapid.T) {
	if c.link == nil {
		t.Skip("offline")
	}
	c.session.Detach(c.link)
	c.link, c.replies = nil, nil
}

// look takes what has come and notes what to answer.
func (c *client) look(t *rapid.T) {
	for ; c.link != nil && c.read < len(c.link.sent); c.read++ {
		s := c.link.sent[c.read]
		switch {
		case s.kind == 0x60: // PUBREL
			delete(c.held, s.id)
		case s.qos == 2:
			if held, again := c.held[s.id]; again && held != s.payload {
				t.Fatalf("message %s has the identifier of %s, which is not released", s.payload, held)
			} else if !again {
				if c.seen[s.payload]++; c.seen[s.payload] > 1 {
					t.Fatalf("message %s has come twice", s.payload)
				}
				c.held[s.id] = s.payload
			}
		default:
			c.seen[s.payload]++
		}
		c.replies = append(c.replies, s)
	}
}

// reply sends one of the answers that are due.
func (c *client) reply(t *rapid.T) {
	if len(c.replies) == 0 {
		t.Skip("nothing to answer")
	}
	s := c.replies[0]
	c.replies = c.replies[1:]
	kind := session.Puback
	switch {
	case s.kind == 0x60:
		kind = session.Pubcomp
	case s.qos == 2:
		kind = session.Pubrec
	}
	c.session.Acknowledge(c.link, kind, s.id, 0)
	c.look(t)
}

func (c *client) commit(t *rapid.T) {
	c.disk.commit(rapid.IntRange(c.disk.durable, len(c.disk.log)).Draw(t, "durable"))
	c.look(t)
}

func (c *client) crash(t *rapid.T) {
	for payload, n := range c.promised {
		if n > c.disk.durable { // nobody has an acknowledgement for it
			delete(c.promised, payload)
		}
	}
	c.link, c.replies = nil, nil
	c.disk.crash()
	c.env.Counters = &session.Counters{}
	c.start(t)
}

// Whatever is durable when the server crashes, at whatever moment: what was promised comes,
// and what came at QoS 2 does not come again. [MQTT-4.3.3-2] [MQTT-4.3.3-6] [MQTT-4.4.0-1]
func TestExactlyOnceOverCrashes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		env, now := newEnv(session.Config{})
		d := &disk{}
		env.Store, env.Hold = d, true
		d.Append(store.Change{Kind: store.SessionPut, Client: "c"})
		d.commit(1)
		c := &client{env: env, disk: d, now: now, promised: map[string]int{}, seen: map[string]int{}, held: map[uint16]string{}}
		c.start(t)
		t.Repeat(map[string]func(*rapid.T){
			"deliver": c.deliver, "deliver more": c.deliver, "attach": c.attach, "detach": c.detach,
			"reply": c.reply, "reply more": c.reply, "and more": c.reply, "commit": c.commit, "commit more": c.commit, "crash": c.crash,
		})
		c.attach(t)
		for len(c.replies) > 0 || d.durable < len(d.log) {
			d.commit(len(d.log))
			c.look(t)
			if len(c.replies) > 0 {
				c.reply(t)
			}
		}
		for payload := range c.promised {
			if c.seen[payload] == 0 {
				t.Fatalf("message %s never came", payload)
			}
		}
		if st := c.session.Stats(); st.Queued != 0 || st.Inflight != 0 {
			t.Fatalf("left behind: %+v", st)
		}
	})
}
