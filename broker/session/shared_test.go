package session_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/store"
)

const share = "$share/g/a"

func every(string) bool { return true }

// What nobody else has taken comes back to its place: redelivered with DUP under its
// packet identifier, and what waited waits in order. [MQTT-3.3.1-1] [MQTT-4.4.0-1]
func TestSharedMessagesComeBackToTheirPlace(t *testing.T) {
	for _, meanwhile := range []bool{false, true} { // whether the client is back before they are
		env, now := newEnv(session.Config{})
		s := session.New("c", env, true)
		params := session.Params{Version: 4, ReceiveMaximum: 4}
		first := &link{}
		s.Attach(first, params)
		for i, via := range []string{"", share, "", share, share, ""} {
			deliver(s, *now, fmt.Sprint(i), session.Delivery{QoS: 1, Share: via})
		}
		s.Detach(first)
		loose := s.TakeShared(every)
		if len(loose) != 3 || s.Load() != 3 {
			t.Fatalf("%d were taken, load %d", len(loose), s.Load())
		}
		next := &link{}
		if meanwhile {
			s.Attach(next, params)
		}
		s.PutBack(loose)
		if !meanwhile {
			s.Attach(next, params)
		}
		want := "0! 1! 2! 3!"
		if meanwhile { // its own came at once
			want = "0! 2! 5 1!"
		}
		if got := brief(next); got != want {
			t.Errorf("back meanwhile %v: got %q, want %q", meanwhile, got, want)
		}
		ids := map[string]uint16{}
		for _, p := range first.sent {
			ids[p.payload] = p.id
		}
		for _, p := range next.sent {
			if id, sent := ids[p.payload]; sent && id != p.id {
				t.Errorf("message %s had the identifier %d and now has %d", p.payload, id, p.id)
			}
		}
		for i := 0; i < len(next.sent); i++ {
			s.Acknowledge(next, session.Puback, next.sent[i].id, 0)
		}
		if len(next.sent) != 6 || s.Load() != 0 {
			t.Errorf("back meanwhile %v: %q, load %d", meanwhile, brief(next), s.Load())
		}
		if env.Counters.Queued.Load() != 0 || env.Counters.Inflight.Load() != 0 {
			t.Errorf("gauges: %d queued, %d in flight", env.Counters.Queued.Load(), env.Counters.Inflight.Load())
		}
	}
}

// What has expired goes to no other member. [MQTT-3.3.2-5]
func TestExpiredSharedMessagesGoNowhere(t *testing.T) {
	env, now := newEnv(session.Config{})
	env.Store.Append(store.Change{Kind: store.SessionPut, Client: "c"})
	s := session.New("c", env, true)
	l := &link{}
	s.Attach(l, session.Params{Version: 4, ReceiveMaximum: 1})
	d := session.Delivery{QoS: 1, Share: share}
	deliver(s, *now, "in flight", d, expires(10))
	deliver(s, *now, "waits", d, expires(10))
	deliver(s, *now, "lasts", d)
	s.Detach(l)
	*now = now.Add(10 * time.Second)
	loose := s.TakeShared(every)
	if len(loose) != 1 || string(loose[0].Message.Payload) != "lasts" || env.Counters.Expired.Load() != 2 {
		t.Errorf("%d were taken, %d expired", len(loose), env.Counters.Expired.Load())
	}
	s.GivenAway(&loose[0])
	kept := 0
	_ = env.Store.Load(t.Context(), func(c store.Change) error {
		if c.Kind == store.Enqueue {
			kept++
		}
		return nil
	})
	if kept != 0 {
		t.Errorf("the store keeps %d", kept)
	}
}
