package mqttclient_test

import (
	"testing"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

func examplePublish() *mqttclient.Publish {
	return &mqttclient.Publish{
		Topic: "plant/7/machine/12/state", Payload: make([]byte, 128), QoS: 1, PacketID: 7,
		Props: mqttclient.Properties{ContentType: "application/json"},
	}
}

func BenchmarkAppendPublish(b *testing.B) {
	p := examplePublish()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if buf, err = p.Append(buf[:0], mqttclient.V5); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkDecodePublish(b *testing.B) {
	buf, err := examplePublish().Append(nil, mqttclient.V5)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		first, body, _, _, _, _ := mqttclient.Frame(buf)
		if _, err := mqttclient.Decode(mqttclient.V5, first, body); err != nil {
			b.Fatal(err)
		}
	}
}

// endless repeats one packet for ever.
type endless struct {
	packet []byte
	at     int
}

func (e *endless) Read(b []byte) (n int, _ error) {
	for n < len(b) {
		m := copy(b[n:], e.packet[e.at:])
		n += m
		if e.at += m; e.at == len(e.packet) {
			e.at = 0
		}
	}
	return n, nil
}

func BenchmarkReader(b *testing.B) {
	buf, err := examplePublish().Append(nil, mqttclient.V5)
	if err != nil {
		b.Fatal(err)
	}
	r := mqttclient.NewReader(&endless{packet: buf}, 64<<10, 0)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := r.Next(); err != nil {
			b.Fatal(err)
		}
	}
}
