package broker_test

import (
	"context"
	"errors"
	"strconv"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/message"
)

// Fault 9: a repeated QoS 2 PUBLISH is acknowledged, not refused, and delivered
// once, also when it is repeated on another connection. [MQTT-4.3.3-10]
func TestRepeatedQoS2PublishIsDeliveredOnce(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{})
		sub := s.connect(v, "sub")
		sub.subscribe("a", 0)
		pub := s.connect(v, "pub", persistent)
		again := func(pk *packets.Packet) { pk.FixedHeader.Dup = true }
		pub.send(publishPacket("a", "one", 2, 5))
		pub.wantCode(packets.Pubrec, 0)
		pub.send(publishPacket("a", "one", 2, 5, again))
		pub.wantCode(packets.Pubrec, 0)
		pub.lose()
		pub = s.connect(v, "pub", persistent)
		pub.send(publishPacket("a", "one", 2, 5, again))
		pub.wantCode(packets.Pubrec, 0)
		pub.ackPublish(packets.Pubrel, 5)
		pub.wantCode(packets.Pubcomp, 0)
		pub.ackPublish(packets.Pubrel, 5)
		want := byte(0)
		if v == 5 {
			want = 0x92
		}
		pub.wantCode(packets.Pubcomp, want)
		// The identifier is free: the next message with it is another one.
		pub.send(publishPacket("a", "two", 2, 5))
		pub.wantCode(packets.Pubrec, 0)
		sub.wantMessage("a", "one")
		sub.wantMessage("a", "two")
		sub.quiet()
	})
}

// The client that repeats a message before the first is durable gets its PUBREC when
// that is so, on the connection it repeated it on.
func TestQoS2RepeatedWhilePending(t *testing.T) {
	p := make(pending, 10)
	s := serve(t, setup{accept: func(context.Context, *message.Message) (broker.Pending, error) { return p, nil }})
	pub := s.connect(5, "pub", persistent)
	pub.send(publishPacket("a", "one", 2, 5))
	durable := <-p
	pub.lose()
	pub = s.connect(5, "pub", persistent)
	pub.send(publishPacket("a", "one", 2, 5, func(pk *packets.Packet) { pk.FixedHeader.Dup = true }))
	pub.quiet()
	durable(nil)
	pub.wantCode(packets.Pubrec, 0)
	if len(p) != 0 {
		t.Error("the message was accepted twice")
	}
}

// Fault 9: open QoS 2 messages do not keep QoS 0 out.
func TestQoS0PassesAFullReceiveWindow(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{MaxInflight: 3}})
	sub := s.connect(5, "sub")
	sub.subscribe("a", 0)
	pub := s.connect(5, "pub")
	for id := uint16(1); id <= 3; id++ {
		pub.send(publishPacket("b", "x", 2, id))
		pub.wantCode(packets.Pubrec, 0)
	}
	pub.send(publishPacket("a", "through", 0, 0))
	sub.wantMessage("a", "through")
	// One more at QoS 1 is beyond what the CONNACK allowed. [MQTT-3.3.4-9]
	pub.send(publishPacket("b", "x", 1, 4))
	if code := pub.wantClosed(); code != 0x93 {
		t.Errorf("DISCONNECT %#x, want 0x93", code)
	}
}

// Fault 9: a PUBREC with an error ends the delivery and its place returns.
// [MQTT-4.9.0-2]
func TestRefusedPubrecReturnsQuota(t *testing.T) {
	s := serve(t, setup{})
	sub := s.connect(5, "sub", receiveMaximum(1))
	sub.subscribe("a", 2)
	pub := s.connect(5, "pub")
	for i := range 5 {
		pub.publish("a", strconv.Itoa(i), func(pk *packets.Packet) {})
	}
	// QoS 1 publishes are delivered at QoS 1; make them QoS 2.
	sub.ackPublish(packets.Puback, sub.wantMessage("a", "0").PacketID)
	for i := 1; i < 5; i++ {
		sub.ackPublish(packets.Puback, sub.wantMessage("a", strconv.Itoa(i)).PacketID)
	}
	for i := range 3 {
		publishAt(pub, 2, "a", "q2-"+strconv.Itoa(i))
	}
	for i := range 3 {
		got := sub.wantMessage("a", "q2-"+strconv.Itoa(i))
		sub.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pubrec}, PacketID: got.PacketID, ReasonCode: 0x97})
	}
	sub.quiet()
}

// An outbound QoS 2 exchange is resumed where it stood. [MQTT-4.4.0-1] [MQTT-4.3.3-7]
func TestOutboundQoS2ResumesAtPubrel(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{})
		sub := s.connect(v, "sub", persistent)
		sub.subscribe("a", 2)
		pub := s.connect(v, "pub")
		publishAt(pub, 2, "a", "one")
		publishAt(pub, 2, "a", "two")
		one, two := sub.wantMessage("a", "one"), sub.wantMessage("a", "two")
		sub.ackPublish(packets.Pubrec, one.PacketID)
		sub.want(packets.Pubrel)
		sub.lose()
		sub = s.connect(v, "sub", persistent)
		if rel := sub.want(packets.Pubrel); rel.PacketID != one.PacketID {
			t.Errorf("PUBREL %d, want %d", rel.PacketID, one.PacketID)
		}
		again := sub.wantMessage("a", "two")
		if !again.FixedHeader.Dup || again.PacketID != two.PacketID {
			t.Errorf("redelivery with DUP %v and id %d, want true and %d", again.FixedHeader.Dup, again.PacketID, two.PacketID)
		}
		sub.ackPublish(packets.Pubcomp, one.PacketID)
		finish(sub, 2, two.PacketID)
		sub.quiet()
		sub.lose()
		s.connect(v, "sub", persistent).quiet()
	})
}

// A PUBREC for nothing is answered with "not found", a refusal of a refusal with
// nothing.
func TestPubrecForUnknownIdentifier(t *testing.T) {
	s := serve(t, setup{})
	p := s.connect(5, "p")
	p.ackPublish(packets.Pubrec, 99)
	p.wantCode(packets.Pubrel, 0x92)
	p.ackPublish(packets.Puback, 99)
	p.ackPublish(packets.Pubcomp, 99)
	p.quiet()
}

// Acknowledgements wait until the message is durable, keep the order of the PUBLISH
// packets, and do not stop the reader. [MQTT-4.6.0-2] [MQTT-4.6.0-3]
func TestAcknowledgementsWaitInOrder(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		p := make(pending, 10)
		s := serve(t, setup{accept: func(_ context.Context, m *message.Message) (broker.Pending, error) {
			if m.Topic == "now" {
				return nil, nil
			}
			return p, nil
		}})
		sub := s.connect(v, "sub")
		sub.subscribe("#", 0)
		pub := s.connect(v, "pub")
		pub.send(publishPacket("later", "1", 1, 1))
		pub.send(publishPacket("later", "2", 2, 2))
		pub.send(publishPacket("now", "3", 1, 3))
		first, second := <-p, <-p
		for i, topic := range []string{"later", "later", "now"} { // delivery does not wait
			sub.wantMessage(topic, strconv.Itoa(i+1))
		}
		pub.quiet()
		second(nil)
		pub.quiet()
		first(nil)
		if a := pub.wantCode(packets.Puback, 0); a.PacketID != 1 {
			t.Errorf("PUBACK %d first", a.PacketID)
		}
		if a := pub.wantCode(packets.Pubrec, 0); a.PacketID != 2 {
			t.Errorf("PUBREC %d second", a.PacketID)
		}
		if a := pub.wantCode(packets.Puback, 0); a.PacketID != 3 {
			t.Errorf("PUBACK %d third", a.PacketID)
		}
	})
}

// refusal is an error with a reason code.
type refusal byte

func (refusal) Error() string      { return "refused" }
func (r refusal) ReasonCode() byte { return byte(r) }

// A refused message is answered as its version can: with the reason code in MQTT 5,
// by ending the connection before. It is not delivered. [MQTT-3.3.5-2]
func TestRefusedByAccept(t *testing.T) {
	s := serve(t, setup{accept: func(_ context.Context, m *message.Message) (broker.Pending, error) {
		switch m.Topic {
		case "quota":
			return nil, refusal(0x97)
		case "plain":
			return nil, errors.New("no")
		}
		return nil, nil
	}})
	sub := s.connect(5, "sub")
	sub.subscribe("#", 0)
	for topic, code := range map[string]byte{"quota": 0x97, "plain": 0x80} {
		p := s.connect(5, "p5")
		p.send(publishPacket(topic, "x", 1, 1))
		p.wantCode(packets.Puback, code)
		p.send(publishPacket(topic, "x", 2, 2))
		p.wantCode(packets.Pubrec, code)
		p.send(publishPacket(topic, "x", 0, 0))
		p.send(publishPacket("fine", "x", 2, 2)) // the identifier is free
		p.wantCode(packets.Pubrec, 0)
		sub.wantMessage("fine", "x")
		for _, qos := range []byte{1, 2} {
			p := s.connect(4, "p4")
			p.send(publishPacket(topic, "x", qos, 1))
			p.wantClosed()
		}
	}
	sub.quiet()
}

// What fails to become durable is not acknowledged as if it had.
func TestPendingThatFails(t *testing.T) {
	p := make(pending, 10)
	s := serve(t, setup{accept: func(context.Context, *message.Message) (broker.Pending, error) { return p, nil }})
	five := s.connect(5, "five")
	five.send(publishPacket("a", "x", 1, 1))
	(<-p)(refusal(0x97))
	five.wantCode(packets.Puback, 0x97)
	for code, want := range map[byte]byte{0x95: 0x97, 0x88: 0x83} { // PUBACK and PUBREC have no such code
		for qos, kind := range map[byte]byte{1: packets.Puback, 2: packets.Pubrec} {
			five.send(publishPacket("a", "x", qos, 1))
			(<-p)(refusal(code))
			five.wantCode(kind, want)
		}
	}
	three := s.connect(4, "three")
	three.send(publishPacket("a", "x", 1, 1))
	(<-p)(errors.New("disk full"))
	three.wantClosed()
}

// worded is a refusal that says why in words.
type worded struct{ refusal }

func (worded) ReasonString() string { return words }

const words = "the function threw a TypeError because the reading had no unit, and it threw it in so many words that a client " +
	"which takes small packets cannot be told all of them"

// A failed acknowledgement says why, to clients that want to know and take a packet of
// that size.
func TestReasonString(t *testing.T) {
	p := make(pending, 10)
	s := serve(t, setup{accept: func(context.Context, *message.Message) (broker.Pending, error) { return p, nil }})
	for _, c := range []struct {
		name   string
		change func(*packets.Packet)
		want   string
	}{
		{"default", func(*packets.Packet) {}, words},
		{"declined", func(pk *packets.Packet) { pk.Properties.RequestProblemInfoFlag = true }, ""},
		{"small", func(pk *packets.Packet) { pk.Properties.MaximumPacketSize = 100 }, ""},
	} {
		for qos := byte(1); qos <= 2; qos++ {
			client := s.connect(5, c.name, c.change)
			client.send(publishPacket("a", "x", qos, 1))
			(<-p)(worded{refusal(0x80)})
			ack := client.want(map[byte]byte{1: packets.Puback, 2: packets.Pubrec}[qos])
			if ack.ReasonCode != 0x80 || ack.Properties.ReasonString != c.want {
				t.Errorf("%s, QoS %d: code %#x, %q", c.name, qos, ack.ReasonCode, ack.Properties.ReasonString)
			}
		}
	}
}
