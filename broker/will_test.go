package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/message"
)

func originOf(id string) message.Origin { return message.Origin{ClientID: id} }

func withWill(topic, payload string, change ...func(*packets.Packet)) func(*packets.Packet) {
	return func(pk *packets.Packet) {
		pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload, pk.Connect.WillQos = true, topic, []byte(payload), 1
		for _, f := range change {
			f(pk)
		}
	}
}

func willDelay(seconds uint32) func(*packets.Packet) {
	return func(pk *packets.Packet) { pk.Connect.WillProperties.WillDelayInterval = seconds }
}

// Fault 16: a will has all its properties, goes through Accept and may be empty.
// [MQTT-3.1.2-8] [MQTT-3.1.2-14]
func TestWillIsPublishedWhole(t *testing.T) {
	accepted := make(chan *message.Message, 1)
	s := serve(t, setup{accept: func(_ context.Context, m *message.Message) (broker.Pending, error) {
		accepted <- m
		return nil, nil
	}})
	sub := s.connect(5, "sub")
	sub.subscribe("will/#", 1)
	s.connect(5, "c", withWill("will/c", "gone", func(pk *packets.Packet) {
		w := &pk.Connect.WillProperties
		w.ContentType, w.ResponseTopic, w.CorrelationData = "text/plain", "answers", []byte("42")
		w.MessageExpiryInterval = 60
		w.PayloadFormat, w.PayloadFormatFlag = 1, true
		w.User = []packets.UserProperty{{Key: "k", Val: "v"}, {Key: "k", Val: "w"}}
		pk.Connect.WillRetain = true
	})).lose()
	got := sub.wantMessage("will/c", "gone").Properties
	want := packets.Properties{
		ContentType: "text/plain", ResponseTopic: "answers", CorrelationData: []byte("42"), MessageExpiryInterval: 60,
		PayloadFormat: 1, PayloadFormatFlag: true, User: []packets.UserProperty{{Key: "k", Val: "v"}, {Key: "k", Val: "w"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("properties (-want +got):\n%s", diff)
	}
	if m := <-accepted; m.From.Via != message.ViaWill || m.From.ClientID != "c" {
		t.Errorf("accepted from %+v", m.From)
	}
	late := s.connect(5, "late")
	late.subscribe("will/c", 0)
	late.wantMessage("will/c", "gone")
	s.connect(4, "d", withWill("will/d", "")).lose()
	sub.wantMessage("will/d", "")
}

// A client that says goodbye leaves no will, unless it asks for it. [MQTT-3.14.4-3]
func TestDisconnectRemovesTheWill(t *testing.T) {
	s := serve(t, setup{})
	sub := s.connect(5, "sub")
	sub.subscribe("w", 1)
	s.connect(5, "c", withWill("w", "no")).bye()
	s.connect(4, "c", withWill("w", "no")).bye()
	c := s.connect(5, "c", withWill("w", "yes"))
	c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ReasonCode: 4})
	c.wantClosed()
	sub.wantMessage("w", "yes")
	// A protocol error is no goodbye.
	c = s.connect(5, "c", withWill("w", "error"))
	c.write([]byte{0xF0, 2, 0x18, 0})
	c.wantClosed()
	sub.wantMessage("w", "error")
	// Neither is a DISCONNECT that is none. [MQTT-3.14.1-1]
	c = s.connect(4, "c", withWill("w", "malformed"))
	c.write([]byte{0xE0, 1, 0})
	c.wantClosed()
	sub.wantMessage("w", "malformed")
}

// A will waits for its delay, the end of the session comes first, and a client that
// is back in time has none. [MQTT-3.1.3-9] [MQTT-3.1.2-10]
func TestWillDelay(t *testing.T) {
	s := serve(t, setup{})
	sub := s.connect(5, "sub")
	sub.subscribe("w", 0)
	c := s.connect(5, "back", persistent, withWill("w", "not me", willDelay(1)))
	c.lose()
	s.connect(5, "back", persistent)
	s.connect(5, "taken", persistent, withWill("w", "not me", willDelay(1)))
	s.connect(5, "taken", persistent)
	s.connect(5, "late", persistent, withWill("w", "late", willDelay(1))).lose()
	sub.wantMessage("w", "late")
	// Without a session to wait in, and when another session begins, it goes out at once.
	s.connect(5, "none", withWill("w", "at once", willDelay(100))).lose()
	sub.wantMessage("w", "at once")
	s.connect(5, "clean", persistent, withWill("w", "replaced", willDelay(100)))
	s.connect(5, "clean")
	sub.wantMessage("w", "replaced")
	s.connect(5, "offline", persistent, withWill("w", "session ended", willDelay(100))).lose()
	s.connect(5, "offline")
	sub.wantMessage("w", "session ended")
	sub.quiet()
}

// The session's end brings a will that still waits. [MQTT-3.1.2-8]
func TestSessionExpiryPublishesTheWill(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{MaxSessionExpiry: time.Second}})
	sub := s.connect(5, "sub")
	sub.subscribe("w", 0)
	s.connect(5, "c", persistent, withWill("w", "expired", willDelay(100))).lose()
	sub.wantMessage("w", "expired")
	if s.connect(5, "c", func(pk *packets.Packet) { pk.Connect.Clean = false }).ack.SessionPresent {
		t.Error("the session is still there")
	}
}

// Fault 15: an expired session leaves no subscription behind for the next client
// of its name.
func TestExpiredSessionLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{limits: broker.Limits{MaxSessionExpiry: time.Second}})
		watch := s.connect(5, "watch")
		watch.subscribe("w", 0)
		c := s.connect(v, "c", persistent, withWill("w", "gone", willDelay(100)))
		c.subscribe("secret", 1)
		c.lose()
		watch.wantMessage("w", "gone") // 3.1.1: at once; 5: with the session
		pub := s.connect(v, "pub")
		if v == 4 {
			s.connect(5, "x", persistent, withWill("w", "second", willDelay(100))).lose()
			watch.wantMessage("w", "second") // a second has passed
		}
		c = s.connect(v, "c", func(pk *packets.Packet) { pk.Connect.Clean = false })
		if c.ack.SessionPresent {
			t.Fatal("the session did not expire")
		}
		pub.publish("secret", "x")
		c.quiet()
	})
}
