package broker_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
)

// Fault 1: a client's own packet identifiers and ours are two worlds.
// [MQTT-2.2.1-3] [MQTT-4.4.0-1]
func TestPacketIdentifiersOfBothDirectionsAreSeparate(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{})
		sub := s.connect(v, "sub", persistent)
		sub.subscribe("a", 1)
		pub := s.connect(v, "pub")
		pub.publish("a", "one")
		got := sub.wantMessage("a", "one")
		// The subscriber uses the very same identifier for packets of its own.
		sub.send(publishPacket("elsewhere", "x", 1, got.PacketID))
		sub.wantCode(packets.Puback, 0)
		sub.send(publishPacket("elsewhere", "x", 2, got.PacketID))
		sub.wantCode(packets.Pubrec, 0)
		sub.ackPublish(packets.Pubrel, got.PacketID)
		sub.wantCode(packets.Pubcomp, 0)
		ack := sub.subscribe("b", 1, func(pk *packets.Packet) { pk.PacketID = got.PacketID })
		if ack.PacketID != got.PacketID || ack.ReasonCodes[0] != 1 {
			t.Fatalf("SUBACK %d %v", ack.PacketID, ack.ReasonCodes)
		}
		sub.lose()
		sub = s.connect(v, "sub", persistent)
		again := sub.wantMessage("a", "one")
		if !again.FixedHeader.Dup || again.PacketID != got.PacketID {
			t.Errorf("redelivered with DUP %v, id %d; want true, %d", again.FixedHeader.Dup, again.PacketID, got.PacketID)
		}
	})
}

// Fault 2: the window is never passed and its places come back.
// [MQTT-3.3.4-9] [MQTT-4.9.0-2]
func TestReceiveMaximumIsHonouredAndReturns(t *testing.T) {
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprint("QoS", qos), func(t *testing.T) {
			const window, n = 10, 200
			s := serve(t, setup{})
			sub := s.connect(5, "sub", receiveMaximum(window))
			sub.subscribe("a", qos)
			pub := s.connect(5, "pub")
			for i := range n {
				publishAt(pub, qos, "a", strconv.Itoa(i))
			}
			for i := 0; i < n; i += window {
				var ids []uint16
				for j := range window {
					ids = append(ids, sub.wantMessage("a", strconv.Itoa(i+j)).PacketID)
				}
				sub.quiet() // nothing beyond the window
				finish(sub, qos, ids...)
			}
		})
	}
}

// publishAt publishes at any QoS and completes the exchange.
func publishAt(p *peer, qos byte, topic, payload string) {
	p.t.Helper()
	p.send(publishPacket(topic, payload, qos, 7))
	switch qos {
	case 1:
		p.wantCode(packets.Puback, 0)
	case 2:
		p.wantCode(packets.Pubrec, 0)
		p.ackPublish(packets.Pubrel, 7)
		p.wantCode(packets.Pubcomp, 0)
	}
}

// finish acknowledges deliveries to the end.
func finish(p *peer, qos byte, ids ...uint16) {
	p.t.Helper()
	if qos == 1 {
		for _, id := range ids {
			p.ackPublish(packets.Puback, id)
		}
		return
	}
	for _, id := range ids {
		p.ackPublish(packets.Pubrec, id)
		if rel := p.want(packets.Pubrel); rel.PacketID != id {
			p.t.Fatalf("PUBREL for %d, want %d", rel.PacketID, id)
		}
	}
	for _, id := range ids {
		p.ackPublish(packets.Pubcomp, id)
	}
}

// Fault 3: after a resume the window holds, the order is that of publication and
// DUP is set on what was sent before, and only on that.
// [MQTT-3.3.1-1] [MQTT-3.3.4-9] [MQTT-4.6.0-1]
func TestResumeKeepsOrderAndWindow(t *testing.T) {
	s := serve(t, setup{})
	sub := s.connect(5, "sub", persistent, receiveMaximum(20))
	sub.subscribe("a", 1)
	pub := s.connect(5, "pub")
	for i := range 100 {
		pub.publish("a", strconv.Itoa(i))
	}
	for i := range 20 {
		sub.wantMessage("a", strconv.Itoa(i))
	}
	sub.lose()
	sub = s.connect(5, "sub", persistent, receiveMaximum(10))
	if !sub.ack.SessionPresent {
		t.Fatal("the session was not resumed")
	}
	var ids []uint16
	for i := range 100 {
		got := sub.wantMessage("a", strconv.Itoa(i))
		if sent := i < 20; got.FixedHeader.Dup != sent {
			t.Fatalf("message %d has DUP %v, want %v", i, got.FixedHeader.Dup, sent)
		}
		if ids = append(ids, got.PacketID); len(ids) == 10 {
			sub.quiet()
			for _, id := range ids {
				sub.ackPublish(packets.Puback, id)
			}
			ids = nil
		}
	}
}

// Fault 4: a message in flight keeps its topic; aliases end with the connection.
// [MQTT-3.3.2-7]
func TestOutboundAliasesEndWithTheConnection(t *testing.T) {
	s := serve(t, setup{})
	aliases := func(pk *packets.Packet) { pk.Properties.TopicAliasMaximum = 2 }
	sub := s.connect(5, "sub", persistent, aliases)
	sub.subscribe("some/#", 1)
	pub := s.connect(5, "pub")
	for _, topic := range []string{"some/a", "some/a", "some/b", "some/c", "some/b"} {
		pub.publish(topic, "x")
	}
	for i, want := range []struct {
		topic string
		alias uint16
	}{{"some/a", 1}, {"", 1}, {"some/b", 2}, {"some/c", 0}, {"", 2}} {
		got := sub.want(packets.Publish)
		if got.TopicName != want.topic || got.Properties.TopicAlias != want.alias {
			t.Errorf("message %d: topic %q alias %d, want %q %d", i, got.TopicName, got.Properties.TopicAlias, want.topic, want.alias)
		}
	}
	sub.lose()
	sub = s.connect(5, "sub", persistent)
	for _, topic := range []string{"some/a", "some/a", "some/b", "some/c", "some/b"} {
		got := sub.wantMessage(topic, "x")
		if got.Properties.TopicAlias != 0 {
			t.Errorf("alias %d for a client that takes none", got.Properties.TopicAlias)
		}
	}
}

// A client's topic aliases stand for what it set them to last, for each of its connections
// anew, at every QoS. [MQTT-3.3.2-7] [MQTT-3.3.2-12]
func TestInboundAliases(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{MaxTopicAliases: 2}})
	sub := s.connect(5, "sub")
	sub.subscribe("#", 0)
	aliased := func(topic, payload string, qos byte, id, n uint16) packets.Packet {
		return publishPacket(topic, payload, qos, id, func(pk *packets.Packet) {
			pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = n, true
		})
	}
	pub, other := s.connect(5, "pub", persistent), s.connect(5, "other")
	pub.send(aliased("one", "sets 2", 0, 0, 2))
	pub.send(aliased("", "uses 2", 1, 1, 2))
	pub.wantCode(packets.Puback, 0)
	pub.send(aliased("two", "sets 1", 2, 1, 1))
	pub.wantCode(packets.Pubrec, 0)
	pub.send(aliased("three", "sets 2 anew", 0, 0, 2))
	pub.send(aliased("", "uses 2", 0, 0, 2))
	pub.send(aliased("", "uses 1", 0, 0, 1))
	for _, want := range [][2]string{
		{"one", "sets 2"}, {"one", "uses 2"}, {"two", "sets 1"}, {"three", "sets 2 anew"}, {"three", "uses 2"}, {"two", "uses 1"},
	} {
		if got := sub.wantMessage(want[0], want[1]); got.Properties.TopicAlias != 0 {
			t.Errorf("the publisher's alias %d reaches a subscriber", got.Properties.TopicAlias)
		}
	}
	pub.lose()
	for _, p := range []*peer{s.connect(5, "pub", persistent), other} {
		p.send(aliased("", "x", 0, 0, 2))
		if code := p.wantClosed(); code != 0x94 {
			t.Errorf("DISCONNECT %#x, want 0x94", code)
		}
	}
	sub.quiet()
}

// Fault 5: 20,000 messages wait and arrive in order.
func TestOfflineQueueHoldsTwentyThousandInOrder(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		const n = 20_000
		s := serve(t, setup{})
		s.connect(v, "sub", persistent).subscribeAndLeave("a", 1)
		pub := s.connect(v, "pub")
		pub.publishMany("a", 1, n)
		sub := s.connect(v, "sub", persistent)
		for i := range n {
			got := sub.wantMessage("a", strconv.Itoa(i))
			if got.FixedHeader.Dup {
				t.Fatal("DUP on a first delivery") // [MQTT-3.3.1-2]
			}
			sub.ackPublish(packets.Puback, got.PacketID)
		}
		sub.quiet()
	})
}

func (p *peer) subscribeAndLeave(filter string, qos byte) {
	p.t.Helper()
	p.subscribe(filter, qos)
	p.bye()
}

// publishMany publishes 0, 1, 2, ... with a window of its own.
func (p *peer) publishMany(topic string, qos byte, n int, change ...func(*packets.Packet)) {
	p.t.Helper()
	const batch = 500
	for i := 0; i < n; i += batch {
		var b []byte
		for j := i; j < min(i+batch, n); j++ {
			b = append(b, p.encode(publishPacket(topic, strconv.Itoa(j), qos, uint16(j-i+1), change...))...)
		}
		p.write(b)
		for j := i; j < min(i+batch, n) && qos > 0; j++ {
			if ack := p.wantCode(packets.Puback, 0); int(ack.PacketID) != j-i+1 { // [MQTT-4.6.0-2]
				p.t.Fatalf("PUBACK for %d, want %d", ack.PacketID, j-i+1)
			}
		}
	}
}

// Fault 6: a reader that takes its time gets every retained message.
func TestTwentyThousandRetainedMessagesReachASlowReader(t *testing.T) {
	for _, qos := range []byte{0, 1} {
		t.Run(fmt.Sprint("QoS", qos), func(t *testing.T) {
			const n = 20_000
			s := serve(t, setup{})
			pub := s.connect(4, "pub")
			payload := make([]byte, 1024)
			for i := 0; i < n; i += 500 {
				var b []byte
				for j := i; j < i+500; j++ {
					b = append(b, pub.encode(publishPacket(fmt.Sprintf("r/%d/x", j), string(payload), 1, uint16(j-i+1), retain))...)
				}
				pub.write(b)
				for range 500 {
					pub.wantCode(packets.Puback, 0)
				}
			}
			sub := s.connect(4, "sub")
			sub.subscribe("r/#", qos)
			// A live message on another connection is not held up meanwhile.
			pub.publish("other", "x")
			seen := map[string]bool{}
			for range n {
				got := sub.want(packets.Publish)
				if !got.FixedHeader.Retain || seen[got.TopicName] {
					t.Fatalf("%s: RETAIN %v, seen before %v", got.TopicName, got.FixedHeader.Retain, seen[got.TopicName])
				}
				seen[got.TopicName] = true
				if qos > 0 {
					sub.ackPublish(packets.Puback, got.PacketID)
				}
			}
			sub.quiet()
		})
	}
}

// A connection that ends while retained messages are sent interrupts that, and the
// session's next one continues it: each is sent once. [MQTT-3.3.1-9]
func TestAReconnectContinuesRetainedMessages(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		const n = 3000
		s := serve(t, setup{})
		pub := s.connect(v, "pub")
		for i := range n {
			pub.publish("r/"+strconv.Itoa(i), "x", retain)
		}
		sub := s.connect(v, "sub", persistent)
		sub.subscribe("r/#", 1)
		seen := map[string]bool{}
		for connection := 1; len(seen) < n; connection++ {
			for range min(900, n-len(seen)) { // fewer than may be in flight
				got := sub.want(packets.Publish)
				if !got.FixedHeader.Dup && (seen[got.TopicName] || !got.FixedHeader.Retain) {
					t.Fatalf("connection %d: %s, RETAIN %v, again", connection, got.TopicName, got.FixedHeader.Retain)
				}
				seen[got.TopicName] = true
				sub.ackPublish(packets.Puback, got.PacketID)
			}
			sub.lose()
			sub = s.connect(v, "sub", persistent)
		}
		// A QoS 0 subscription goes on as well; what was on its way is lost, as ever at QoS 0.
		const large = 600 // more than the sockets' buffers hold
		for i := range large {
			pub.publish("q/"+strconv.Itoa(i), strings.Repeat("x", 30_000), retain)
		}
		sub.subscribe("q/#", 0)
		last := sub.want(packets.Publish).TopicName
		_ = sub.conn.Close()
		sub = s.connect(v, "sub", persistent)
		for last != "q/"+strconv.Itoa(large-1) {
			last = sub.want(packets.Publish).TopicName
		}
		sub.quiet()
		// A new subscription with the same filter begins anew, and the old one is not
		// continued beside it. [MQTT-3.8.4-3]
		_ = sub.conn.Close()
		sub = s.connect(v, "sub", persistent)
		sub.subscribe("q/#", 0)
		seen = map[string]bool{}
		for range large {
			seen[sub.want(packets.Publish).TopicName] = true
		}
		if len(seen) != large {
			t.Errorf("%d different retained messages, want %d", len(seen), large)
		}
		sub.quiet()
	})
}

// Fault 7: a message that is too large for a client is skipped, and nothing
// gets stuck behind or in front of it. [MQTT-3.1.2-24] [MQTT-3.1.2-25]
func TestMessageAboveMaximumPacketSizeIsSkipped(t *testing.T) {
	s := serve(t, setup{})
	sub := s.connect(5, "sub", func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = 100 }, receiveMaximum(2))
	pub := s.connect(5, "pub")
	for _, qos := range []byte{0, 1} {
		sub.subscribe("a", qos)
		for range 5 {
			pub.publish("a", "small")
			pub.publish("a", string(make([]byte, 200)))
		}
		for range 5 {
			got := sub.wantMessage("a", "small")
			if qos > 0 {
				sub.ackPublish(packets.Puback, got.PacketID)
			}
		}
		sub.quiet()
	}
}

// Fault 8: a client that takes its own session over again and again loses nothing.
// [MQTT-3.1.4-3]
func TestTakeOverLosesNothing(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		const n = 2000
		s := serve(t, setup{})
		sub := s.connect(v, "sub", persistent)
		sub.subscribe("a", 1)
		go func() {
			pub := s.connect(v, "pub")
			pub.publishMany("a", 1, n)
		}()
		next := 0
		for next < n {
			got, err := sub.next()
			if err != nil {
				t.Fatal(err)
			}
			i, _ := strconv.Atoi(string(got.Payload))
			if i == next {
				next++
			} else if i > next || !got.FixedHeader.Dup {
				t.Fatalf("got message %d (DUP %v), want %d", i, got.FixedHeader.Dup, next)
			}
			sub.ackPublish(packets.Puback, got.PacketID)
			if i == next-1 && next%50 == 0 {
				old := sub
				sub = s.connect(v, "sub", persistent)
				if !sub.ack.SessionPresent {
					t.Fatal("the session was lost")
				}
				if code := old.wantClosed(); v == 5 && code != 0x8E {
					t.Fatalf("taken over with DISCONNECT %#x, want 0x8E", code)
				}
			}
		}
	})
}
