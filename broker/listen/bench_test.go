package listen

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// writesPer reports how many writes to sockets a message took.
func writesPer(b *testing.B, m *Metrics, name string, messages int) {
	b.Helper()
	b.ReportMetric(float64(m.forListener(name).writes.Load())/float64(messages), "writes/msg")
}

// BenchmarkEcho is a client that keeps a window of 130-byte packets under way and
// gets each back: what a publisher with QoS 1 does. Both ends share the processor.
func BenchmarkEcho(b *testing.B) {
	for _, window := range []int{1, 100} {
		for _, kind := range []string{"tcp", "websocket"} {
			b.Run(fmt.Sprintf("%s window %d", kind, window), func(b *testing.B) {
				m := NewMetrics(prometheus.NewRegistry())
				opts := Options{Name: "x", Metrics: m}
				p := packet(128)
				h := func(c *Conn) {
					c.Established()
					q := make([]byte, 2048)
					for {
						n, err := c.Read(q)
						if err != nil {
							return
						}
						for at := 0; at < n; at += len(p) { // as many packets, whatever is in them
							_, _ = c.Write(q[at:min(n, at+len(p))])
						}
					}
				}
				var send, receive func()
				if kind == "tcp" {
					c := dial(b, serveTCP(b, opts, h).Addr())
					batch, back := bytes.Repeat(p, window), make([]byte, window*len(p))
					send = func() { _, _ = c.Write(batch) }
					receive = func() { _, _ = io.ReadFull(c, back) }
				} else {
					_, url := serveWS(b, WebSocketConfig{}, opts, h)
					c := dialWS(b, url, nil)
					batch := bytes.Repeat(p, window)
					send = func() { _ = c.WriteMessage(2, batch) }
					receive = func() {
						for got := 0; got < len(batch); {
							_, q, err := c.ReadMessage()
							if err != nil {
								b.Fatal(err)
							}
							got += len(q)
						}
					}
				}
				b.ReportAllocs()
				for b.Loop() {
					send()
					receive()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*window), "ns/msg")
				writesPer(b, m, "x", b.N*window)
			})
		}
	}
}

// BenchmarkFanout is one packet written to 200 connections at a time.
func BenchmarkFanout(b *testing.B) {
	const receivers = 200
	m := NewMetrics(prometheus.NewRegistry())
	conns := make(chan *Conn, receivers)
	l := serveTCP(b, Options{Name: "x", Metrics: m}, func(c *Conn) {
		c.Established()
		conns <- c
		discard(c)
	})
	var to []*Conn
	p := packet(128)
	for range receivers {
		c := dial(b, l.Addr())
		go func() { _, _ = io.Copy(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{c}) }()
		to = append(to, <-conns)
	}
	b.ReportAllocs()
	sent, slow := 0, 0
	for b.Loop() {
		for _, c := range to {
			if _, err := c.Write(p); err != nil {
				slow++
			}
			sent++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(sent), "ns/msg")
	b.ReportMetric(100*float64(slow)/float64(sent), "%slow")
	writesPer(b, m, "x", sent)
}

// BenchmarkWrite is Write alone: the bytes are accepted and dropped when 64 KB are
// together.
func BenchmarkWrite(b *testing.B) {
	c := reading(&stream{}, 0)
	c.writeState = writing
	p := packet(128)
	b.ReportAllocs()
	for b.Loop() {
		_, _ = c.Write(p)
		if c.out.len() > 64<<10 {
			c.queued.Store(0)
			c.opts.Flusher.buffers.release(c.out)
			c.out = nil
		}
	}
}

// endless is a transport that brings the same packet again and again.
type endless struct {
	packet []byte
	at     int
}

func (e *endless) Read(p []byte) (int, error) {
	n := 0
	for n < len(p) {
		k := copy(p[n:], e.packet[e.at:])
		n, e.at = n+k, (e.at+k)%len(e.packet)
	}
	return n, nil
}

// BenchmarkRead is what following the headers of 130-byte packets costs, by the
// size of the codec's buffer, copying included.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{128, 2048, 16384} {
		b.Run(fmt.Sprintf("buffer of %d", size), func(b *testing.B) {
			c := reading(&stream{}, 0)
			c.in = &endless{packet: packet(128)}
			p := make([]byte, size)
			b.ReportAllocs()
			total := 0
			for b.Loop() {
				n, err := c.Read(p)
				if err != nil {
					b.Fatal(err)
				}
				total += n
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(total/130), "ns/packet")
		})
	}
}

// BenchmarkIdle reports what a connection costs that waits for its next packet:
// heap and stack of this end, with the client's (small) ones, without the codec's.
func BenchmarkIdle(b *testing.B) {
	const conns = 1000
	started, memory := make(chan struct{}), func() (heap, stack uint64) {
		runtime.GC()
		runtime.GC() // the second empties the pools
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc, m.StackInuse
	}
	h := func(c *Conn) {
		c.Established()
		c.SetKeepAlive(time.Minute)
		p := make([]byte, 64)
		for {
			n, err := c.Read(p)
			if err != nil {
				return
			}
			_, _ = c.Write(p[:n])
			started <- struct{}{}
		}
	}
	for _, kind := range []string{"tcp", "websocket"} {
		b.Run(kind, func(b *testing.B) {
			for b.Loop() {
				heap, stack := memory()
				var open func()
				if kind == "tcp" {
					l := serveTCP(b, Options{}, h)
					open = func() { _, _ = dial(b, l.Addr()).Write([]byte{0xc0, 0}) }
				} else {
					_, url := serveWS(b, WebSocketConfig{}, Options{}, h)
					open = func() {
						status, c := rawWS(b, url)
						if status != 101 {
							b.Fatal(status)
						}
						_, _ = c.Write([]byte{0x82, 0x82, 0, 0, 0, 0, 0xc0, 0})
					}
				}
				for range conns {
					open()
					<-started
				}
				heap2, stack2 := memory()
				b.ReportMetric(float64(heap2-heap)/conns, "heapB/conn")
				b.ReportMetric(float64(stack2-stack)/conns, "stackB/conn")
			}
		})
	}
}

// rawWS opens a WebSocket without a client library's buffers.
func rawWS(b *testing.B, url string) (status int, c net.Conn) {
	b.Helper()
	addr := strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), "/mqtt")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { c.Close() })
	fmt.Fprintf(c, "GET /mqtt HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"+
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n", addr)
	resp, err := http.ReadResponse(bufio.NewReaderSize(c, 16), nil)
	if err != nil {
		b.Fatal(err)
	}
	return resp.StatusCode, c
}
