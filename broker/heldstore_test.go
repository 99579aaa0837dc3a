package broker_test

import (
	"sync"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/store"
)

// held is a store that makes nothing durable while it is held, and says that it is full
// if it is to.
type held struct {
	*store.Memory

	mu      sync.Mutex
	holds   bool
	full    error
	changed bool // something was appended while it holds
	waiting []func(error)
}

func (s *held) Append(c store.Change) {
	s.mu.Lock()
	s.changed = s.changed || s.holds
	s.mu.Unlock()
	s.Memory.Append(c)
}

func (s *held) Sync(done func(error)) {
	s.mu.Lock()
	wait := s.changed
	if wait {
		s.waiting = append(s.waiting, done)
	}
	s.mu.Unlock()
	if !wait {
		done(nil)
	}
}

func (s *held) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.full
}

// hold holds the store; a reason says that it is full, too.
func (s *held) hold(full error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds, s.full = true, full
}

func (s *held) release() {
	s.mu.Lock()
	waiting := s.waiting
	s.holds, s.changed, s.full, s.waiting = false, false, nil, nil
	s.mu.Unlock()
	for _, done := range waiting {
		done(nil)
	}
}

// While the store takes nothing, a subscription of a session that is kept is refused, and
// at once: nothing has to be waited for.
func TestSubscriptionsAreRefusedWhileTheStoreIsFull(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		kept := &held{Memory: store.NewMemory()}
		s := serve(t, setup{opts: broker.Options{Store: kept}})
		c, fleeting := s.connect(v, "c", persistent), s.connect(v, "fleeting")
		kept.hold(refusal(0x97))
		t.Cleanup(kept.release)
		want := byte(0x97)
		if v == 4 {
			want = 0x80
		}
		if got := c.subscribe("a", 1).ReasonCodes[0]; got != want {
			t.Errorf("SUBACK %#x, want %#x", got, want)
		}
		c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, PacketID: 1, Filters: packets.Subscriptions{{Filter: "a"}}})
		c.want(packets.Unsuback)
		if got := fleeting.subscribe("a", 1).ReasonCodes[0]; got != 1 {
			t.Errorf("SUBACK of a session that is not kept: %#x", got)
		}
	})
}

// A client that unsubscribes before its subscription is durable gets no retained
// messages. [MQTT-3.10.4-2]
func TestNoReplayAfterUnsubscribing(t *testing.T) {
	kept := &held{Memory: store.NewMemory()}
	s := serve(t, setup{opts: broker.Options{Store: kept}})
	s.connect(5, "pub").publish("a", "retained", retain)
	c := s.connect(5, "c", persistent)
	kept.hold(nil)
	c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1, Filters: packets.Subscriptions{{Filter: "a", Qos: 1}}})
	c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, PacketID: 2, Filters: packets.Subscriptions{{Filter: "a"}}})
	c.quiet() // the store answers neither
	kept.release()
	c.want(packets.Suback)
	c.wantCode(packets.Unsuback, 0)
	c.quiet()
}
