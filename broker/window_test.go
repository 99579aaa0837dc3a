package broker_test

import (
	"context"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/message"
)

// A client that keeps to the server's Receive Maximum is never cut for it, whatever waits
// for the store; one more message is one too many. [MQTT-3.3.4-9]
func TestReceiveMaximumCountsAMessageOnce(t *testing.T) {
	p := make(pending, 10)
	s := serve(t, setup{
		limits: broker.Limits{MaxInflight: 4},
		accept: func(context.Context, *message.Message) (broker.Pending, error) { return p, nil },
	})
	pub := s.connect(5, "pub", persistent)
	for id, qos := range []byte{2, 1, 2, 2} {
		pub.send(publishPacket("a", "x", qos, uint16(id+1)))
	}
	pub.quiet()
	for range 4 {
		(<-p)(nil)
	}
	for _, kind := range []byte{packets.Pubrec, packets.Puback, packets.Pubrec, packets.Pubrec} {
		pub.wantCode(kind, 0)
	}
	// One place is free; one returns with each PUBCOMP, and with a PUBREC that refuses.
	pub.send(publishPacket("a", "x", 2, 5))
	(<-p)(refusal(0x97))
	pub.wantCode(packets.Pubrec, 0x97)
	pub.ackPublish(packets.Pubrel, 1)
	pub.wantCode(packets.Pubcomp, 0)
	pub.send(publishPacket("a", "x", 1, 6))
	pub.send(publishPacket("a", "x", 1, 7))
	pub.send(publishPacket("a", "again", 2, 3, func(pk *packets.Packet) { pk.FixedHeader.Dup = true })) // not one more
	pub.quiet()
	pub.send(publishPacket("a", "x", 1, 8))
	if code := pub.wantClosed(); code != 0x93 {
		t.Errorf("DISCONNECT %#x, want 0x93", code)
	}
}

// The window begins anew with each connection: what an earlier one has left open does not
// count. (MQTT 5, section 4.9)
func TestReceiveMaximumBeginsAnewWithAConnection(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{MaxInflight: 3}})
	pub := s.connect(5, "pub", persistent)
	for id := uint16(1); id <= 3; id++ {
		pub.send(publishPacket("a", "x", 2, id))
		pub.wantCode(packets.Pubrec, 0)
	}
	pub.lose()
	pub = s.connect(5, "pub", persistent)
	for id := uint16(4); id <= 6; id++ {
		pub.send(publishPacket("a", "x", 2, id))
		pub.wantCode(packets.Pubrec, 0)
	}
	for id := uint16(1); id <= 6; id++ {
		pub.ackPublish(packets.Pubrel, id)
		pub.wantCode(packets.Pubcomp, 0)
	}
	pub.send(publishPacket("a", "x", 1, 7))
	pub.wantCode(packets.Puback, 0)
}

// A repetition of a QoS 2 message that was accepted is acknowledged whatever the rate: it
// was taken. [MQTT-4.3.3-10]
func TestARepetitionIsNotThrottled(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{limits: broker.Limits{RateLimits: broker.RateLimits{PublishRatePerClient: 0.01}}})
		pub := s.connect(v, "pub")
		pub.send(publishPacket("a", "x", 2, 1))
		pub.wantCode(packets.Pubrec, 0)
		pub.send(publishPacket("a", "x", 2, 1, func(pk *packets.Packet) { pk.FixedHeader.Dup = true }))
		pub.wantCode(packets.Pubrec, 0)
		pub.ackPublish(packets.Pubrel, 1)
		pub.wantCode(packets.Pubcomp, 0)
		pub.send(publishPacket("a", "x", 2, 2))
		if v == 5 {
			pub.wantCode(packets.Pubrec, 0x97)
		}
		pub.quiet()
	})
}
