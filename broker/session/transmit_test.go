package session_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/message"
)

// deliver gives a session a message to topic a.
func deliver(s *session.Session, now time.Time, payload string, d session.Delivery, change ...func(*message.Message)) session.Outcome {
	m := &message.Message{Topic: "a", Payload: []byte(payload), QoS: d.QoS, Received: now}
	for _, f := range change {
		f(m)
	}
	var fan session.Fanout
	o := fan.Begin(m, now)
	defer fan.End(o)
	return s.Deliver(o, d)
}

func expires(seconds uint32) func(*message.Message) {
	return func(m *message.Message) { m.Props.Expiry, m.Props.HasExpiry = seconds, true }
}

// brief says what was sent: payloads, with ! where DUP was set.
func brief(l *link) string {
	var words []string
	for _, s := range l.sent {
		word := s.payload
		if s.kind != 0x30 {
			word = fmt.Sprintf("%x", s.kind)
		}
		if s.dup {
			word += "!"
		}
		words = append(words, word)
	}
	return strings.Join(words, " ")
}

// A packet that the connection has refused was not sent: on the next one it comes for
// the first time, without DUP. What was sent before has DUP, also when it was refused
// in between. [MQTT-3.3.1-1] [MQTT-3.3.1-2]
func TestARefusedPacketHasNoDupLater(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		env, now := newEnv(session.Config{})
		s := session.New("c", env, false)
		params := session.Params{Version: 4, ReceiveMaximum: 10}
		first := &link{}
		s.Attach(first, params)
		d := session.Delivery{QoS: qos}
		deliver(s, *now, "sent", d)
		first.closed = true // it takes no more
		deliver(s, *now, "refused", d)
		if first.failed == 0 {
			t.Error("a connection that refuses a packet is not ended")
		}
		deliver(s, *now, "queued", d)
		if got := brief(first); got != "sent" {
			t.Errorf("QoS %d: sent %q", qos, got)
		}
		s.Detach(first)
		s.Attach(&link{closed: true}, params) // one that takes nothing at all
		next := &link{}
		s.Attach(next, params)
		if got := brief(next); got != "sent! refused queued" {
			t.Errorf("QoS %d: the next connection got %q", qos, got)
		}
		last := &link{}
		s.Attach(last, params)
		if got := brief(last); got != "sent! refused! queued!" {
			t.Errorf("QoS %d: the last connection got %q", qos, got)
		}
		if n := env.Counters.Sent.Load(); n != 7 {
			t.Errorf("QoS %d: %d packets are counted as sent, want 7", qos, n)
		}
	}
}

// What the connection has refused and has expired since is not sent. [MQTT-3.3.2-5]
func TestARefusedPacketExpires(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		env, now := newEnv(session.Config{})
		s := session.New("c", env, false)
		s.Attach(&link{closed: true}, session.Params{Version: 4, ReceiveMaximum: 10})
		deliver(s, *now, "old", session.Delivery{QoS: qos}, expires(10))
		*now = now.Add(10 * time.Second)
		next := &link{}
		s.Attach(next, session.Params{Version: 4, ReceiveMaximum: 10})
		if len(next.sent) > 0 || s.Load() != 0 || env.Counters.Expired.Load() != 1 {
			t.Errorf("QoS %d: %q was sent, load %d, %d expired", qos, brief(next), s.Load(), env.Counters.Expired.Load())
		}
	}
}

// A client may have all 65,535 packet identifiers in flight, and gets all of that again.
func TestEveryIdentifierIsRedelivered(t *testing.T) {
	const most = 65535
	env, now := newEnv(session.Config{})
	s := session.New("c", env, false)
	params := session.Params{Version: 4, ReceiveMaximum: most}
	s.Attach(&link{}, params)
	for range most + 1 {
		deliver(s, *now, "", session.Delivery{QoS: 1})
	}
	next := &link{}
	s.Attach(next, params)
	if len(next.sent) != most {
		t.Fatalf("%d messages were sent again, want %d", len(next.sent), most)
	}
	s.Acknowledge(next, session.Puback, 1, 0)
	if len(next.sent) != most+1 || next.sent[most].id != 1 {
		t.Error("the message that waits does not follow when an identifier is free")
	}
}

// lateStore answers when the test wants it to.
type lateStore struct {
	*store.Memory
	waiting []func(error)
}

func (s *lateStore) Sync(done func(error)) { s.waiting = append(s.waiting, done) }

func (s *lateStore) answer() {
	waiting := s.waiting
	s.waiting = nil
	for _, done := range waiting {
		done(nil)
	}
}

// A QoS 2 message that the client takes no packet of, found out when the store has its
// identifier, does not hold up the one behind it. [MQTT-3.1.2-25]
func TestASkippedMessageMakesRoomForTheNext(t *testing.T) {
	env, now := newEnv(session.Config{})
	late := &lateStore{Memory: store.NewMemory()}
	env.Store, env.Hold = late, true
	s := session.New("c", env, true)
	l := &link{}
	s.Attach(l, session.Params{Version: 4, ReceiveMaximum: 1, MaximumPacketSize: 50})
	d := session.Delivery{QoS: 2}
	deliver(s, *now, strings.Repeat("x", 50), d)
	deliver(s, *now, "small", d)
	late.answer()
	late.answer()
	if got := brief(l); got != "small" {
		t.Errorf("sent %q", got)
	}
}

// sizes takes MQTT 5 packets and keeps their sizes.
type sizes struct{ sent []int }

func (l *sizes) Write(p []byte) (int, error) {
	l.sent = append(l.sent, len(p))
	return len(p), nil
}
func (*sizes) Congested() bool { return false }
func (*sizes) Full() bool      { return false }
func (*sizes) Fail(byte)       {}

// A packet that is too large for the alias that it sets goes without. [MQTT-3.1.2-24]
func TestAnAliasDoesNotMakeAPacketTooLarge(t *testing.T) {
	for qos := range byte(3) {
		env, now := newEnv(session.Config{})
		s := session.New("c", env, false)
		l := &sizes{}
		s.Attach(l, session.Params{Version: 5, ReceiveMaximum: 10, MaximumPacketSize: 50, TopicAliasMaximum: 1})
		to := func(topic string) func(*message.Message) { return func(m *message.Message) { m.Topic = topic } }
		room := 50 - 2 - 2 - len("topic") - 1
		if qos > 0 {
			room -= 2
		}
		d := session.Delivery{QoS: qos}
		for _, payload := range []int{room + 1, room, room - 1} {
			deliver(s, *now, strings.Repeat("x", payload), d, to("topic"))
		}
		deliver(s, *now, "", d, to("topic")) // sets the alias
		deliver(s, *now, "", d, to("topic")) // uses it
		with := 50 - room + 3
		if got, want := fmt.Sprint(l.sent), fmt.Sprint([]int{50, 49, with, with - len("topic")}); got != want {
			t.Errorf("QoS %d: packets of %s bytes, want %s", qos, got, want)
		}
		if n := env.Counters.TooLarge.Load(); n != 1 {
			t.Errorf("QoS %d: %d were too large", qos, n)
		}
	}
}
