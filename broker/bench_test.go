package broker_test

import (
	"bufio"
	"encoding/binary"
	"io"
	"runtime"
	"strconv"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/auth"
)

// stream publishes n copies of a packet in batches and reads all n deliveries, over
// real sockets. It allocates nothing per message on the client's side.
func stream(tb testing.TB, pub, sub *peer, packet []byte, n int) {
	tb.Helper()
	const batch = 64
	var block []byte
	for range batch {
		block = append(block, packet...)
	}
	failed := make(chan error, 1)
	go func() {
		defer close(failed)
		for sent := 0; sent < n; sent += batch {
			if _, err := pub.conn.Write(block[:min(batch, n-sent)*len(packet)]); err != nil {
				failed <- err
				return
			}
		}
	}()
	for range n {
		skipPacket(tb, sub.r)
	}
	if err := <-failed; err != nil {
		tb.Fatal(err)
	}
}

func skipPacket(tb testing.TB, r *bufio.Reader) {
	tb.Helper()
	if _, err := r.ReadByte(); err != nil {
		tb.Fatal(err)
	}
	n, err := binary.ReadUvarint(r)
	if err != nil {
		tb.Fatal(err)
	}
	if _, err := r.Discard(int(n)); err != nil {
		tb.Fatal(err)
	}
}

// The way of a QoS 0 message costs at most four allocations.
func TestAllocationsOfAQoS0Message(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{})
		sub, pub := s.connect(v, "sub"), s.connect(v, "pub")
		sub.subscribe("site/+/t", 0)
		packet := pub.encode(publishPacket("site/berlin/t", string(make([]byte, 128)), 0, 0))
		const n = 50_000
		stream(t, pub, sub, packet, 1000) // warm up
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		stream(t, pub, sub, packet, n)
		runtime.ReadMemStats(&after)
		per := float64(after.Mallocs-before.Mallocs) / n
		t.Logf("%.2f allocations, %.0f bytes per message", per, float64(after.TotalAlloc-before.TotalAlloc)/n)
		if per > 4 {
			t.Errorf("%.2f allocations per message, want at most 4", per)
		}
	})
}

func BenchmarkOneToOneQoS0(b *testing.B) {
	s := serve(b, setup{})
	sub, pub := s.connect(4, "sub"), s.connect(4, "pub")
	sub.subscribe("a", 0)
	packet := pub.encode(publishPacket("a", string(make([]byte, 128)), 0, 0))
	b.ReportAllocs()
	b.ResetTimer()
	stream(b, pub, sub, packet, b.N)
}

func BenchmarkOneToOneQoS1(b *testing.B) {
	s := serve(b, setup{})
	pub := s.connect(4, "pub")
	packet := pub.encode(publishPacket("a", string(make([]byte, 128)), 1, 1))
	b.ReportAllocs()
	b.ResetTimer()
	stream(b, pub, pub, packet, b.N) // the publisher reads its acknowledgements
}

func BenchmarkFanOut200QoS0(b *testing.B) { fanOut200(b, setup{}) }

func fanOut200(b *testing.B, with setup) {
	b.Helper()
	const receivers = 200
	s := serve(b, with)
	done := make(chan struct{}, receivers)
	start := make(chan int)
	for i := range receivers {
		sub := s.connect(4, "sub"+strconv.Itoa(i))
		sub.subscribe("a", 0)
		go func() {
			n := <-start
			for range n {
				skipPacket(b, sub.r)
			}
			done <- struct{}{}
		}()
	}
	pub := s.connect(4, "pub")
	packet := pub.encode(publishPacket("a", string(make([]byte, 128)), 1, 1)) // QoS 1 paces the publisher
	b.ReportAllocs()
	b.ResetTimer()
	for range receivers {
		start <- b.N
	}
	const window = 100
	for sent := 0; sent < b.N; sent += window {
		n := min(window, b.N-sent)
		for range n {
			pub.write(packet)
		}
		for range n {
			skipPacket(b, pub.r)
		}
	}
	for range receivers {
		<-done
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/receivers, "ns/delivery")
}

func BenchmarkConnect(b *testing.B) { connectAgain(b, setup{}) }

func connectAgain(b *testing.B, with setup) {
	b.Helper()
	connectTo(b, serve(b, with))
}

func connectTo(b *testing.B, s *server) {
	b.Helper()
	for b.Loop() {
		p := s.connect(5, "c")
		p.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
		_, _ = io.Copy(io.Discard, p.r)
		_ = p.conn.Close()
	}
}

// BenchmarkFanOut200QoS0Guarded is BenchmarkFanOut200QoS0 with policies that have to be
// asked before each delivery.
func BenchmarkFanOut200QoS0Guarded(b *testing.B) {
	fanOut200(b, setup{opts: broker.Options{
		Auth: byUserName(),
		Policies: auth.NewAuthority(policies(
			allow("iot:Connect iot:Publish iot:Subscribe", "*"), allow("iot:Receive", "topic/own/${iot:ClientId}/*", "topic/a*"), deny("iot:Receive", "topic/*/secret"),
		), auth.AuthorityOptions{}),
	}})
}

// BenchmarkConnectGuarded connects with policies and with nobody who wants events.
func BenchmarkConnectGuarded(b *testing.B) {
	connectAgain(b, setup{opts: broker.Options{
		Auth:    byUserName(),
		Listens: func(string) bool { return false },
		Policies: auth.NewAuthority(policies(
			allow("iot:Connect", "client/${iot:ClientId}"), allow("iot:Publish iot:Receive", "topic/own/${iot:ClientId}/*"),
		), auth.AuthorityOptions{}),
	}})
}

// BenchmarkConnectWatched connects with a subscriber to every lifecycle event.
func BenchmarkConnectWatched(b *testing.B) {
	s := serve(b, setup{})
	watcher := s.connect(5, "watcher")
	watcher.subscribe("$aws/events/#", 0)
	go func() { _, _ = io.Copy(io.Discard, watcher.r) }()
	connectTo(b, s)
}
