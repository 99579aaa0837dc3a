package grip_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/message"
)

// BenchmarkEcho is the way of one client's message to its handler and back, the handler
// a Go func in this process (grip) or an HTTP origin on loopback (proxy).
func BenchmarkEcho(b *testing.B) {
	for _, mode := range []grip.Mode{grip.ModeGrip, grip.ModeProxy} {
		for _, n := range []int{1, 50} {
			b.Run(fmt.Sprintf("%s/%d", mode, n), func(b *testing.B) {
				h := &scripted{reply: echoing}
				quiet := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					list := events(r)
					if len(list) > 0 && list[0].Type == wire.EventOpen {
						w.Header().Set("Sec-WebSocket-Extensions", "grip")
					}
					h.reply(w, r, list)
				})
				route := grip.RouteConfig{Path: "/*", Mode: mode, Function: "f"}
				if mode == grip.ModeProxy {
					srv := httptest.NewServer(quiet)
					defer srv.Close()
					route.URL = srv.URL
				}
				s := start(b, quiet, grip.Config{}, route)
				clients := make([]*client, n)
				for i := range clients {
					clients[i] = dial(b, s.http.URL, nil)
				}
				var left atomic.Int64
				left.Store(int64(b.N))
				b.ResetTimer()
				var wg sync.WaitGroup
				for _, c := range clients {
					wg.Go(func() {
						for left.Add(-1) >= 0 {
							if err := c.WriteMessage(websocket.TextMessage, []byte("hello, this is a message")); err != nil {
								b.Error(err)
								return
							}
							if _, _, err := c.ReadMessage(); err != nil {
								b.Error(err)
								return
							}
						}
					})
				}
				wg.Wait()
			})
		}
	}
}

// BenchmarkFanout publishes to 500 WebSocket clients that only read bytes; one operation
// is one delivery.
func BenchmarkFanout(b *testing.B) {
	const clients = 500
	s := start(b, &scripted{reply: echoing}, grip.Config{}, everything())
	payload := strings.Repeat("x", 128)
	frame := len(payload) + 4 // its header takes 4 bytes
	var wg sync.WaitGroup
	rounds := b.N/clients + 1
	for range clients {
		c := dial(b, s.http.URL, nil)
		wg.Go(func() {
			buf := make([]byte, 64<<10)
			for left := rounds * frame; left > 0; {
				n, err := c.NetConn().Read(buf)
				if err != nil {
					b.Error(err)
					return
				}
				left -= n
			}
		})
	}
	b.ReportAllocs()
	b.ResetTimer()
	for range rounds {
		if err := s.broker.Publish(b.Context(), &message.Message{Topic: "room", Payload: []byte(payload)}); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
	b.StopTimer()
	if n := s.metric("delivered_total"); n != float64(rounds*clients) {
		b.Errorf("%g of %d were delivered", n, rounds*clients)
	}
	b.ReportMetric(s.metric("websocket_sent_total")/s.metric("websocket_writes_total"), "frames/write")
}

// BenchmarkIdle is what one idle connection costs on the server's side; the client's, in
// the same process, costs a socket and nothing else.
func BenchmarkIdle(b *testing.B) {
	s := start(b, &scripted{reply: echoing}, grip.Config{}, everything())
	before := memory()
	conns := make([]*client, 0, b.N)
	for range b.N {
		conns = append(conns, dial(b, s.http.URL, nil))
	}
	after := memory()
	b.ReportMetric(float64(after-before)/float64(b.N), "B/pair")
	runtime.KeepAlive(conns)
}

func memory() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapInuse + m.StackInuse)
}

// BenchmarkProxyEvent is the making of a Lambda proxy event.
func BenchmarkEvents(b *testing.B) {
	body := wire.AppendEvent(nil, text("hello, this is a message"))
	b.ReportAllocs()
	for b.Loop() {
		list, err := wire.ParseEvents(body)
		if err != nil || len(list) != 1 {
			b.Fatal(err)
		}
	}
}

// BenchmarkFrame is the encoding of a frame, which a fan-out does once.
func BenchmarkFrame(b *testing.B) {
	payload := make([]byte, 128)
	b.ReportAllocs()
	for b.Loop() {
		_ = socket.NewFrame(socket.Text, payload)
	}
}

// BenchmarkHistoryAfter is what a client that was away for a moment asks of a full history.
func BenchmarkHistoryAfter(b *testing.B) {
	h := grip.NewMemory(grip.HistoryConfig{})
	var last uint64
	for range 10_000 {
		last, _ = h.Append(b.Context(), &message.Message{Topic: "feed/a", Received: time.Now()}, nil)
	}
	b.ReportAllocs()
	for b.Loop() {
		list, _, err := h.After(b.Context(), []string{"feed/#"}, last-1, 256)
		if err != nil || len(list) != 1 {
			b.Fatal(len(list), err)
		}
	}
}

// BenchmarkPublish is POST /publish with one item, to 200 WebSocket clients that only read
// bytes, one request after the other; CPU is the whole process's, the clients' included.
func BenchmarkPublish(b *testing.B) {
	const clients = 200
	s := start(b, &scripted{reply: echoing}, grip.Config{}, everything())
	body := items(`{"channel":"room","ws-message":{"content":"` + strings.Repeat("x", 128) + `"}}`)
	const frame = 128 + 4 // its header takes 4 bytes
	var wg sync.WaitGroup
	for range clients {
		c := dial(b, s.http.URL, nil)
		wg.Go(func() {
			buf := make([]byte, 64<<10)
			for left := b.N * frame; left > 0; {
				n, err := c.NetConn().Read(buf)
				if err != nil {
					b.Error(err)
					return
				}
				left -= n
			}
		})
	}
	var before, after syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &before)
	b.ResetTimer()
	for range b.N {
		if status, text, _ := post(b, s.http.URL+"/publish", body); status != http.StatusOK {
			b.Fatal(status, text)
		}
	}
	wg.Wait()
	b.StopTimer()
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &after)
	cpu := after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()
	b.ReportMetric(float64(cpu)/1e3/float64(b.N), "µs-CPU/op")
	b.ReportMetric(s.metric("websocket_sent_total")/s.metric("websocket_writes_total"), "frames/write")
}
