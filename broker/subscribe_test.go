package broker_test

import (
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/session"
)

// Fault 17: what is no filter is refused, each on its own. [MQTT-3.9.3-1]
// [MQTT-4.7.1-1] [MQTT-4.7.1-2] [MQTT-4.8.2-1] [MQTT-4.8.2-2]
func TestSubackCodes(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{limits: broker.Limits{MaxSubscriptions: 4, MaxTopicLevels: 5}})
		p := s.connect(v, "p")
		p.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 9, Filters: packets.Subscriptions{
			{Filter: "a", Qos: 0},
			{Filter: "b/+", Qos: 1},
			{Filter: "c/#", Qos: 2},
			{Filter: "a+/b"},
			{Filter: "a/b#"},
			{Filter: "#/a"},
			{Filter: "$share//a"},
			{Filter: "$share/g/"},
			{Filter: "1/2/3/4/5/6"},
			{Filter: "$share/g/1/2/3/4/5", Qos: 1},
			{Filter: "one/too/many"},
			{Filter: "a", Qos: 2},
		}})
		ack := p.want(packets.Suback)
		invalid, quota := byte(0x8F), byte(0x97)
		if v == 4 {
			invalid, quota = 0x80, 0x80
		}
		want := []byte{0, 1, 2, invalid, invalid, invalid, invalid, invalid, invalid, 1, quota, 2}
		if ack.PacketID != 9 || !slices.Equal(ack.ReasonCodes, want) {
			t.Errorf("SUBACK %d %#x, want 9 %#x", ack.PacketID, ack.ReasonCodes, want)
		}
		p.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, PacketID: 10, Filters: packets.Subscriptions{
			{Filter: "a"}, {Filter: "never"}, {Filter: "a#"},
		}})
		un := p.want(packets.Unsuback)
		if un.PacketID != 10 {
			t.Errorf("UNSUBACK %d", un.PacketID)
		}
		if v == 5 && !slices.Equal(un.ReasonCodes, []byte{0, 0x11, 0x8F}) { // [MQTT-3.11.3-1]
			t.Errorf("UNSUBACK codes %#x", un.ReasonCodes)
		}
		if v == 4 && un.FixedHeader.Remaining != 2 {
			t.Errorf("3.1.1: UNSUBACK of %d bytes", un.FixedHeader.Remaining)
		}
		p.publish("a", "x")
		p.quiet()
	})
}

// Fault 18: wildcards, the parent level and topics that begin with $.
// [MQTT-4.7.2-1]
func TestWildcards(t *testing.T) {
	for _, c := range []struct {
		filter string
		topics []string // those that match
	}{
		{"#", []string{"a", "a/b", "a/b/c", "/"}},
		{"+/#", []string{"a", "a/b", "a/b/c", "/"}},
		{"a/#", []string{"a", "a/b", "a/b/c"}},
		{"+/+/#", []string{"a/b", "a/b/c", "/"}},
		{"+/b", []string{"a/b"}},
		{"$foo/#", []string{"$foo/b"}},
	} {
		all := []string{"a", "a/b", "a/b/c", "/", "$foo/b"}
		s := serve(t, setup{})
		pub := s.connect(4, "pub")
		live := s.connect(4, "live")
		live.subscribe(c.filter, 0)
		for _, topic := range all {
			pub.publish(topic, "x", retain)
		}
		late := s.connect(4, "late")
		late.subscribe(c.filter, 0)
		for _, p := range []*peer{live, late} {
			var got []string
			for range c.topics {
				got = append(got, p.want(packets.Publish).TopicName)
			}
			slices.Sort(got)
			want := slices.Sorted(slices.Values(c.topics))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.filter, diff)
			}
			p.quiet()
		}
	}
}

// The options of a subscription. [MQTT-3.8.3-3] [MQTT-3.3.1-12] [MQTT-3.3.1-13]
func TestSubscriptionOptions(t *testing.T) {
	s := serve(t, setup{})
	p, other := s.connect(5, "p"), s.connect(5, "other")
	p.subscribe("a", 1, func(pk *packets.Packet) { pk.Filters[0].NoLocal = true })
	p.send(publishPacket("a", "own", 1, 7, retain))
	p.wantCode(packets.Puback, 0)
	p.quiet()
	other.publish("a", "other", retain)
	if got := p.wantMessage("a", "other"); got.FixedHeader.Retain {
		t.Error("RETAIN on a live message without Retain As Published")
	}
	p.ackPublish(packets.Puback, 1)
	p.subscribe("a", 0, func(pk *packets.Packet) { pk.Filters[0].RetainAsPublished, pk.Filters[0].RetainHandling = true, 2 })
	other.publish("a", "more", retain)
	if got := p.wantMessage("a", "more"); !got.FixedHeader.Retain || got.FixedHeader.Qos != 0 {
		t.Errorf("RETAIN %v at QoS %d, want it as published at QoS 0", got.FixedHeader.Retain, got.FixedHeader.Qos)
	}
}

// Retain Handling 0, 1 and 2. [MQTT-3.3.1-9] [MQTT-3.3.1-10] [MQTT-3.3.1-11]
func TestRetainHandling(t *testing.T) {
	s := serve(t, setup{})
	p := s.connect(5, "p")
	p.publish("a", "kept", retain)
	handling := func(n byte) func(*packets.Packet) {
		return func(pk *packets.Packet) { pk.Filters[0].RetainHandling = n }
	}
	for i, c := range []struct {
		handling byte
		sent     bool
	}{{2, false}, {1, false}, {0, true}, {0, true}} {
		p.subscribe("a", 0, handling(c.handling))
		if c.sent {
			if got := p.wantMessage("a", "kept"); !got.FixedHeader.Retain {
				t.Error("no RETAIN flag")
			}
		}
		p.quiet()
		if t.Failed() {
			t.Fatal("at step", i)
		}
	}
	fresh := s.connect(5, "fresh")
	fresh.subscribe("a", 0, handling(1))
	fresh.wantMessage("a", "kept")
	fresh.subscribe("$share/g/a", 0)
	fresh.quiet()                                // never for a shared subscription
	s.connect(5, "pub").publish("a", "", retain) // removes it, and is delivered [MQTT-3.3.1-6]
	for _, q := range []*peer{p, fresh} {
		q.wantMessage("a", "")
	}
	late := s.connect(5, "late")
	late.subscribe("a", 0)
	late.quiet()
}

// Overlapping subscriptions: one copy, the highest QoS, every identifier.
// [MQTT-3.3.4-2] [MQTT-3.3.4-3]
func TestOverlappingSubscriptions(t *testing.T) {
	s := serve(t, setup{})
	p, pub := s.connect(5, "p"), s.connect(5, "pub")
	id := func(n int) func(*packets.Packet) {
		return func(pk *packets.Packet) { pk.Properties.SubscriptionIdentifier = []int{n} }
	}
	p.subscribe("a/#", 0, id(1))
	p.subscribe("a/+", 1, id(200))
	p.subscribe("+/b", 2)
	pub.publish("a/b", "x")
	got := p.wantMessage("a/b", "x")
	slices.Sort(got.Properties.SubscriptionIdentifier)
	if got.FixedHeader.Qos != 1 || !slices.Equal(got.Properties.SubscriptionIdentifier, []int{1, 200}) {
		t.Errorf("QoS %d, identifiers %v", got.FixedHeader.Qos, got.Properties.SubscriptionIdentifier)
	}
	p.quiet()
	for _, bad := range []int{0, 268_435_456} {
		q := s.connect(5, "q")
		q.send(packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1,
			Filters:    packets.Subscriptions{{Filter: "a"}},
			Properties: packets.Properties{SubscriptionIdentifier: []int{bad}},
		})
		if bad > 0 {
			q.wantClosed()
		}
	}
}

// Fault 19: a shared subscription reaches members that are online, evenly, and
// what a member leaves behind reaches the others. [MQTT-4.8.2-4]
func TestSharedSubscriptions(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{})
		s.connect(v, "offline", persistent).subscribeAndLeave("$share/g/a", 1)
		one, two := s.connect(v, "one", persistent), s.connect(v, "two")
		one.subscribe("$share/g/a", 1)
		two.subscribe("$share/g/a", 1)
		pub := s.connect(v, "pub")
		pub.publishMany("a", 1, 100)
		count := map[string]int{}
		for range 50 { // least in flight first: half each
			count[string(one.want(packets.Publish).Payload)]++
			got := two.want(packets.Publish)
			count[string(got.Payload)]++
			two.ackPublish(packets.Puback, got.PacketID)
		}
		if len(count) != 100 {
			t.Fatalf("%d different messages, want 100", len(count))
		}
		one.quiet()
		two.quiet()
		one.lose() // with 50 unacknowledged
		for range 50 {
			got := two.want(packets.Publish)
			if got.FixedHeader.Dup {
				t.Error("DUP on a first delivery to this client")
			}
			two.ackPublish(packets.Puback, got.PacketID)
		}
		two.quiet()
		one = s.connect(v, "one", persistent)
		one.quiet() // they are not delivered twice
		// Another name is another group.
		one.subscribe("$share/h/a", 0)
		pub.publish("a", "both")
		one.wantMessage("a", "both")
	})
}

// With nobody online, a shared message waits for a member whose session is kept.
func TestSharedMessageWaitsForAMember(t *testing.T) {
	s := serve(t, setup{})
	s.connect(5, "c", persistent).subscribeAndLeave("$share/g/a", 1)
	pub := s.connect(5, "pub")
	pub.publish("a", "x")
	c := s.connect(5, "c", persistent)
	c.wantMessage("a", "x")
}

// A member that nobody has stood in for is sent again what it had not acknowledged, as any
// client. [MQTT-3.3.1-1] [MQTT-4.4.0-1]
func TestSharedMessageIsRedeliveredToItsOnlyMember(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{})
		c := s.connect(v, "c", persistent)
		c.subscribe("$share/g/a", 1)
		c.subscribe("b", 1)
		pub := s.connect(v, "pub")
		for i, topic := range []string{"a", "b", "a", "b"} {
			pub.publish(topic, strconv.Itoa(i))
		}
		var before []uint16
		for i, topic := range []string{"a", "b", "a", "b"} {
			before = append(before, c.wantMessage(topic, strconv.Itoa(i)).PacketID)
		}
		c.lose()
		c = s.connect(v, "c", persistent)
		for i, topic := range []string{"a", "b", "a", "b"} {
			got := c.wantMessage(topic, strconv.Itoa(i))
			if !got.FixedHeader.Dup || got.PacketID != before[i] {
				t.Errorf("message %d: DUP %v, identifier %d, before %d", i, got.FixedHeader.Dup, got.PacketID, before[i])
			}
		}
		c.quiet()
	})
}

// A message that one member cannot take goes to another that can. (MQTT 5, section 4.8.2)
func TestSharedMessageGoesToAMemberThatTakesIt(t *testing.T) {
	for qos := range byte(3) {
		s := serve(t, setup{})
		small := s.connect(5, "small", func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = 50 })
		large := s.connect(5, "large")
		small.subscribe("$share/g/a", qos)
		large.subscribe("$share/g/a", qos)
		pub := s.connect(5, "pub")
		for range 10 {
			publishAt(pub, qos, "a", strings.Repeat("x", 50))
		}
		for range 10 {
			large.want(packets.Publish)
		}
		large.quiet()
		small.quiet()
	}
}

// What waits for a member that is away goes to another one as soon as that comes online,
// subscribes, or takes the group up at the very moment of the publish. [MQTT-4.8.2-4]
func TestSharedMessageMovesToAMemberThatComesOnline(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{})
		s.connect(v, "away", persistent).subscribeAndLeave("$share/g/a", 1)
		s.connect(v, "back", persistent).subscribeAndLeave("$share/g/a", 1)
		pub := s.connect(v, "pub")
		pub.publishMany("a", 1, 20)
		back := s.connect(v, "back", persistent)
		for range 20 {
			back.ackPublish(packets.Puback, back.want(packets.Publish).PacketID)
		}
		back.quiet()
		back.bye()
		pub.publishMany("a", 1, 20)
		fresh := s.connect(v, "fresh")
		fresh.subscribe("$share/h/a", 1) // another group
		fresh.quiet()
		fresh.subscribe("$share/g/a", 1)
		for range 20 {
			fresh.ackPublish(packets.Puback, fresh.want(packets.Publish).PacketID)
		}
		fresh.quiet()
		s.connect(v, "away", persistent).quiet()
	})
}

// What members that are away hold is more than the queue of the one that is there: it gets
// all of it nevertheless, as it takes it.
func TestSharedMessagesWaitForRoomElsewhere(t *testing.T) {
	for _, policy := range []session.Policy{session.DropOldest, session.DropNewest, session.Refuse} {
		t.Run(string(policy), func(t *testing.T) {
			t.Parallel()
			const room = 10
			s := serve(t, setup{limits: broker.Limits{Queue: broker.QueueLimits{MaxMessages: room, Policy: policy}}})
			for _, id := range []string{"one", "two"} {
				s.connect(5, id, persistent).subscribeAndLeave("$share/g/a", 1)
			}
			s.connect(5, "pub").publishMany("a", 1, 2*room)
			c := s.connect(5, "c", receiveMaximum(1))
			c.subscribe("$share/g/a", 1)
			got := map[string]bool{}
			for range 2 * room {
				m := c.want(packets.Publish)
				got[string(m.Payload)] = true
				c.ackPublish(packets.Puback, m.PacketID)
			}
			c.quiet()
			if len(got) != 2*room {
				t.Errorf("%d different messages, want %d", len(got), 2*room)
			}
		})
	}
}

// Publishes race with members that come and go: every message is delivered.
func TestSharedMessagesSurviveMembersThatComeAndGo(t *testing.T) {
	s := serve(t, setup{})
	for _, id := range []string{"one", "two", "stays away"} {
		s.connect(5, id, persistent).subscribeAndLeave("$share/g/a", 1)
	}
	const messages = 400
	var wg sync.WaitGroup
	wg.Go(func() {
		pub := s.connect(5, "pub")
		for i := range messages {
			pub.publish("a", strconv.Itoa(i))
		}
	})
	var mu sync.Mutex
	got := map[string]bool{}
	for _, id := range []string{"one", "two"} {
		wg.Go(func() {
			for range 200 {
				p := s.connect(5, id, persistent)
				for range 3 {
					p.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}})
					for pk := p.wantAny(); pk.FixedHeader.Type == packets.Publish; pk = p.wantAny() {
						p.ackPublish(packets.Puback, pk.PacketID)
						mu.Lock()
						got[string(pk.Payload)] = true
						mu.Unlock()
					}
				}
				p.bye()
			}
		})
	}
	wg.Wait()
	last := s.connect(5, "one", persistent)
	for len(got) < messages {
		pk := last.want(packets.Publish)
		last.ackPublish(packets.Puback, pk.PacketID)
		got[string(pk.Payload)] = true
	}
}

// wantAny is the next packet.
func (p *peer) wantAny() packets.Packet {
	p.t.Helper()
	pk, err := p.next()
	if err != nil {
		p.t.Fatal(err)
	}
	return pk
}

// [MQTT-3.8.3-4]
func TestSharedSubscriptionWithNoLocalIsAnError(t *testing.T) {
	s := serve(t, setup{})
	p := s.connect(5, "p")
	p.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1,
		Filters: packets.Subscriptions{{Filter: "$share/g/a", NoLocal: true}},
	})
	if code := p.wantClosed(); code != 0x82 {
		t.Errorf("DISCONNECT %#x, want 0x82", code)
	}
}
