package bench_test

import (
	"io"
	"net"
	"testing"

	"github.com/topicwire/topicwire/internal/bench"
	"github.com/topicwire/topicwire/internal/mqttclient"
)

// relay answers CONNECT and SUBSCRIBE and then copies bytes from the publisher to the
// subscriber without looking at them: the least that a broker could do.
func relay(b *testing.B) mqttclient.Target {
	b.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = l.Close() })
	accept := func() net.Conn {
		c, err := l.Accept()
		if err != nil {
			return nil
		}
		in := make([]byte, 512)
		if _, err := c.Read(in); err != nil {
			return nil
		}
		_, _ = c.Write([]byte{0x20, 2, 0, 0})
		return c
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		from, to := accept(), accept()
		if from == nil || to == nil {
			return
		}
		defer from.Close()
		defer to.Close()
		in := make([]byte, 512)
		if _, err := to.Read(in); err != nil {
			return
		}
		_, _ = to.Write([]byte{0x90, 3, 0, 1, 0})
		_, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, 64<<10))
	}()
	b.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	target, err := mqttclient.ParseURL("mqtt://" + l.Addr().String())
	if err != nil {
		b.Fatal(err)
	}
	return target
}

// BenchmarkGenerator is what a message of the throughput scenario costs the generator, and a
// relay in the same process.
func BenchmarkGenerator(b *testing.B) {
	for name, size := range map[string]int{"20B": 20, "128B": 128, "1KB": 1024} {
		b.Run(name, func(b *testing.B) {
			target := relay(b)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			r, err := bench.Run(b.Context(), bench.Config{Scenario: bench.Throughput, Target: target, Messages: b.N, PayloadSize: size, Window: 4000})
			if err != nil || !r.OK() {
				b.Fatalf("%+v, %v", r, err)
			}
			b.ReportMetric(r.PerSecond, "msg/s")
		})
	}
}
