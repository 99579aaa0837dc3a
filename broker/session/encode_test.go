package session_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/mochi-mqtt/server/v2/packets"
	"pgregory.net/rapid"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/message"
)

// What AppendPublish writes, mochi's decoder reads back.
func TestAppendPublishAgainstDecoder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-z/]{0,300}`)
		m := &message.Message{
			Topic: rapid.StringMatching(`[a-z/]{1,300}`).Draw(t, "topic"), Payload: rapid.SliceOfN(rapid.Byte(), 0, 20_000).Draw(t, "payload"),
			Props: message.Properties{
				Format: message.PayloadFormat(rapid.IntRange(0, 2).Draw(t, "format")), ContentType: text.Draw(t, "content type"),
				ResponseTopic: text.Draw(t, "response topic"), Expiry: rapid.Uint32Range(1, 1e6).Draw(t, "expiry"), HasExpiry: rapid.Bool().Draw(t, "expires"),
				Correlation: rapid.SliceOfN(rapid.Byte(), 1, 100).Draw(t, "correlation"),
				User:        []message.UserProperty{{Key: "k", Value: text.Draw(t, "user")}, {Key: "k"}},
			},
		}
		h := session.Header{
			Version: rapid.SampledFrom([]byte{4, 5}).Draw(t, "version"), QoS: byte(rapid.IntRange(0, 2).Draw(t, "qos")),
			Retain: rapid.Bool().Draw(t, "retain"), PacketID: 513, IDs: []uint32{1, 268_435_455}, Alias: 7,
		}
		h.Dup = h.QoS > 0 && rapid.Bool().Draw(t, "dup")
		b, idAt := session.AppendPublish([]byte("before"), m, &h)
		b = b[len("before"):]
		if h.QoS > 0 && (b[idAt-6] != 2 || b[idAt-5] != 1) {
			t.Fatalf("the identifier is not at %d", idAt)
		}
		pk := decode(t, b, h.Version)
		if pk.TopicName != m.Topic || string(pk.Payload) != string(m.Payload) || pk.FixedHeader.Qos != h.QoS ||
			pk.FixedHeader.Dup != h.Dup || pk.FixedHeader.Retain != h.Retain {
			t.Fatalf("got %+v", pk)
		}
		if h.Version < 5 {
			return
		}
		want := packets.Properties{
			ContentType: m.Props.ContentType, ResponseTopic: m.Props.ResponseTopic, CorrelationData: m.Props.Correlation,
			SubscriptionIdentifier: []int{1, 268_435_455}, TopicAlias: 7, TopicAliasFlag: true,
			User: []packets.UserProperty{{Key: "k", Val: m.Props.User[0].Value}, {Key: "k"}},
		}
		if m.Props.HasExpiry {
			want.MessageExpiryInterval = m.Props.Expiry
		}
		if m.Props.Format != message.FormatUnset {
			want.PayloadFormat, want.PayloadFormatFlag = byte(m.Props.Format-1), true
		}
		if diff := cmp.Diff(want, pk.Properties); diff != "" {
			t.Fatalf("properties (-want +got):\n%s", diff)
		}
	})
}

func decode(t *rapid.T, b []byte, version byte) packets.Packet {
	pk := packets.Packet{ProtocolVersion: version}
	if err := pk.FixedHeader.Decode(b[0]); err != nil {
		t.Fatal(err)
	}
	n, i := 0, 1
	for shift := 0; ; shift += 7 {
		n |= int(b[i]&0x7f) << shift
		if i++; b[i-1]&0x80 == 0 {
			break
		}
	}
	if n != len(b)-i {
		t.Fatalf("remaining length %d, %d bytes follow", n, len(b)-i)
	}
	pk.FixedHeader.Remaining = n
	if err := pk.PublishDecode(b[i:]); err != nil {
		t.Fatal(err)
	}
	return pk
}

// The expiry that is sent is what is left. [MQTT-3.3.2-6]
func TestExpiryIsCountedDown(t *testing.T) {
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		waited time.Duration
		want   uint32
	}{{0, 10}, {-time.Second, 10}, {999 * time.Millisecond, 10}, {3 * time.Second, 7}, {10 * time.Second, 0}, {time.Hour, 0}} {
		m := &message.Message{Topic: "a", Received: at, Props: message.Properties{HasExpiry: true, Expiry: 10}}
		b, _ := session.AppendPublish(nil, m, &session.Header{Version: 5, Now: at.Add(c.waited)})
		if got := uint32(b[len(b)-1]); got != c.want {
			t.Errorf("after %v: %d, want %d", c.waited, got, c.want)
		}
	}
}
