package broker

import (
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
	"pgregory.net/rapid"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/message"
)

// FuzzDecodePublish compares our decoder with mochi's: what ours takes, mochi's takes
// too, and both find the same in it.
func FuzzDecodePublish(f *testing.F) {
	for _, c := range packets.TPacketData[packets.Publish] {
		if len(c.RawBytes) > 2 {
			f.Add(c.RawBytes[0], c.RawBytes[2:], byte(5))
			f.Add(c.RawBytes[0], c.RawBytes[2:], byte(4))
		}
	}
	f.Fuzz(func(t *testing.T, first byte, body []byte, version byte) {
		if version != 5 {
			version = 4
		}
		first = first&0x0F | 0x30
		var got publish
		if decodePublish(&got, first, body, version) != nil {
			return
		}
		want := packets.Packet{ProtocolVersion: version}
		if err := want.FixedHeader.Decode(first); err != nil {
			t.Fatalf("mochi refuses the first byte %#x: %v", first, err)
		}
		want.FixedHeader.Remaining = len(body)
		if message.ValidateTopic(string(got.topic)) != nil {
			return // found out later: see resolveTopic
		}
		if err := want.PublishDecode(body); err != nil {
			t.Fatalf("mochi refuses %x: %v", body, err)
		}
		p := want.Properties
		if string(got.topic) != want.TopicName || string(got.payload) != string(want.Payload) || got.id != want.PacketID ||
			got.qos != want.FixedHeader.Qos || got.retain != want.FixedHeader.Retain || got.alias != p.TopicAlias ||
			got.props.ContentType != p.ContentType || got.props.ResponseTopic != p.ResponseTopic ||
			got.props.Expiry != p.MessageExpiryInterval || string(got.props.Correlation) != string(p.CorrelationData) ||
			len(got.props.User) != len(p.User) {
			t.Fatalf("got %+v, mochi has %+v", got, want)
		}
	})
}

// What we encode, we decode: no property is lost or made up on the way.
func TestPublishRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringMatching(`[a-zäß/]{1,200}`)
		m := &message.Message{
			Topic: text.Draw(t, "topic"), Payload: rapid.SliceOf(rapid.Byte()).Draw(t, "payload"),
			Props: message.Properties{
				Format: message.PayloadFormat(rapid.IntRange(0, 2).Draw(t, "format")), ContentType: text.Draw(t, "type"),
				ResponseTopic: text.Draw(t, "response"), HasExpiry: true, Expiry: rapid.Uint32().Draw(t, "expiry"),
				Correlation: rapid.SliceOf(rapid.Byte()).Draw(t, "correlation"),
				User:        []message.UserProperty{{Key: text.Draw(t, "key"), Value: ""}, {Key: "", Value: "v"}},
			},
		}
		b, _ := session.AppendPublish(nil, m, &session.Header{Version: 5, QoS: 1, PacketID: 77, Retain: true})
		body := b[1:]
		for body[0]&0x80 != 0 {
			body = body[1:]
		}
		var got publish
		if err := decodePublish(&got, b[0], body[1:], 5); err != nil {
			t.Fatal(err)
		}
		if string(got.topic) != m.Topic || string(got.payload) != string(m.Payload) || got.id != 77 || !got.retain || got.qos != 1 {
			t.Fatalf("got %+v", got)
		}
		p := &got.props
		if p.Format != m.Props.Format || p.ContentType != m.Props.ContentType || p.ResponseTopic != m.Props.ResponseTopic ||
			p.Expiry != m.Props.Expiry || !p.HasExpiry || p.Correlation == nil != (m.Props.Correlation == nil) ||
			string(p.Correlation) != string(m.Props.Correlation) || p.User[0] != m.Props.User[0] || p.User[1] != m.Props.User[1] {
			t.Fatalf("got %+v, want %+v", p, m.Props)
		}
	})
}

// The buffer finds every packet in a stream that arrives in pieces of any size.
func TestBufferFindsPackets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var pool buffers
		var b buffer
		var stream []byte
		var sizes []int
		for range rapid.IntRange(1, 20).Draw(t, "packets") {
			n := rapid.SampledFrom([]int{0, 1, 126, 127, 128, 250, 300, 5000, 40_000}).Draw(t, "length")
			packet := []byte{0x30}
			for rest := n; ; {
				d := byte(rest & 0x7f)
				if rest >>= 7; rest == 0 {
					packet = append(packet, d)
					break
				}
				packet = append(packet, d|0x80)
			}
			for i := range n {
				packet = append(packet, byte(i))
			}
			stream, sizes = append(stream, packet...), append(sizes, len(packet))
		}
		rest := stream
		for i, want := range sizes {
			for {
				size, err := b.packet()
				if err != nil {
					t.Fatal(err)
				}
				if size > 0 && size <= b.w-b.r {
					if size != want || string(b.b[b.r:b.r+size]) != string(stream[:size]) {
						t.Fatalf("packet %d has %d bytes, want %d, or other ones", i, size, want)
					}
					stream = stream[size:]
					b.r += size
					break
				}
				b.makeRoom(size, &pool)
				if b.w == len(b.b) {
					t.Fatalf("no room to read more of packet %d (%d of %d bytes)", i, b.w-b.r, size)
				}
				n := copy(b.b[b.w:], rest[:min(len(rest), rapid.IntRange(1, 50_000).Draw(t, "piece"))])
				b.w += n
				rest = rest[n:]
			}
		}
		if len(rest) > 0 || b.r != b.w {
			t.Fatalf("%d bytes left", len(rest)+b.w-b.r)
		}
	})
}

func BenchmarkDecodePublish(b *testing.B) {
	m := &message.Message{Topic: "site/berlin/machine/7", Payload: make([]byte, 128)}
	packet, _ := session.AppendPublish(nil, m, &session.Header{Version: 4, QoS: 1, PacketID: 1})
	var p publish
	b.ReportAllocs()
	for b.Loop() {
		if err := decodePublish(&p, packet[0], packet[3:], 4); err != nil {
			b.Fatal(err)
		}
	}
}
