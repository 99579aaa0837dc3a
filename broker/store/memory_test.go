package store_test

import (
	"testing"

	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/message"
)

func TestMemory(t *testing.T) {
	testStore(t,
		func(*testing.T) store.Store { return store.NewMemory() },
		func(_ *testing.T, s store.Store) store.Store { return s })
}

func BenchmarkMemory(b *testing.B) {
	s := store.NewMemory()
	s.Append(store.Change{Kind: store.SessionPut, Client: "c"})
	benchmarkDelivery(b, s)
}

// benchmarkDelivery is the life of one delivery.
func benchmarkDelivery(b *testing.B, s store.Store) {
	b.Helper()
	b.ReportAllocs()
	payload := make([]byte, 256)
	var seq uint64
	for b.Loop() {
		seq++
		m := &message.Message{Topic: "a", Payload: payload}
		s.Append(store.Change{Kind: store.Enqueue, Client: "c", Seq: seq, Delivery: store.Delivery{Message: m, QoS: 1}})
		s.Append(store.Change{Kind: store.Sent, Client: "c", Seq: seq, PacketID: uint16(seq)})
		s.Append(store.Change{Kind: store.Complete, Client: "c", Seq: seq})
	}
}
