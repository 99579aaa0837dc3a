package listen

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/topicwire/topicwire/message"
)

// serveWS mounts a door at /mqtt of a server until the test ends; url has its address.
func serveWS(tb testing.TB, cfg WebSocketConfig, opts Options, h Handler) (door *WebSocket, url string) {
	tb.Helper()
	w := NewWebSocket(cfg, h, opts)
	mux := http.NewServeMux()
	mux.Handle("/mqtt", w)
	srv := httptest.NewServer(mux)
	tb.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.Shutdown(ctx); err != nil {
			tb.Errorf("Shutdown: %v", err)
		}
		srv.Close()
	})
	return w, "ws" + strings.TrimPrefix(srv.URL, "http") + "/mqtt"
}

func dialWS(tb testing.TB, url string, header http.Header) *websocket.Conn {
	tb.Helper()
	d := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	c, resp, err := d.Dial(url, header)
	if err != nil {
		tb.Fatalf("dial: %v (%+v)", err, resp)
	}
	tb.Cleanup(func() { c.Close() })
	return c
}

// closeOf reads to the end and returns the close code that arrived.
func closeOf(tb testing.TB, c *websocket.Conn) *websocket.CloseError {
	tb.Helper()
	for {
		_, _, err := c.ReadMessage()
		if e := new(websocket.CloseError); errors.As(err, &e) {
			return e
		}
		if err != nil {
			tb.Fatalf("the connection ended without a close frame: %v", err)
		}
	}
}

func TestWebSocketCarriesPackets(t *testing.T) {
	infos := make(chan *Info, 1)
	_, url := serveWS(t, WebSocketConfig{}, Options{}, func(c *Conn) {
		infos <- c.Info()
		echo(c)
	})
	c := dialWS(t, url+"?token=abc", http.Header{"Cookie": {"session=1"}, "X-Device": {"7"}})
	info := <-infos
	if info.Via != message.ViaWebSocket || info.Listener != "websocket" || info.Remote.String() != c.LocalAddr().String() || info.Local.String() != c.RemoteAddr().String() {
		t.Errorf("Info = %+v", info)
	}
	r := info.Request
	if cookie, err := r.Cookie("session"); err != nil || cookie.Value != "1" || r.URL.Query().Get("token") != "abc" || r.Header.Get("X-Device") != "7" {
		t.Errorf("Request = %+v", r)
	}
	if r.Context() != context.Background() {
		t.Error("the request keeps the server's context")
	}
	tests := []struct {
		name   string
		frames [][]byte
		want   []byte
	}{
		{"one packet in a frame", [][]byte{packet(3)}, packet(3)},
		{"[MQTT-6.0.0-2] a byte in each frame", bytes.SplitAfter(packet(3), nil), packet(3)},
		{"three packets in a frame", [][]byte{bytes.Repeat(packet(3), 3)}, bytes.Repeat(packet(3), 3)},
		{"empty frames", [][]byte{{}, packet(1), {}}, packet(1)},
		{"one and a half", [][]byte{append(packet(5), 0x30), {2, 'a', 'b'}}, append(packet(5), 0x30, 2, 'a', 'b')},
		{"200 bytes", [][]byte{packet(200)}, packet(200)},
		{"a large packet", [][]byte{packet(300_000)}, packet(300_000)},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			for _, f := range tt.frames {
				if err := c.WriteMessage(websocket.BinaryMessage, f); err != nil {
					t.Fatal(err)
				}
			}
			var got []byte
			for len(got) < len(tt.want) {
				kind, p, err := c.ReadMessage()
				if err != nil || kind != websocket.BinaryMessage {
					t.Fatalf("frame of kind %d: %v", kind, err)
				}
				got = append(got, p...)
			}
			if !bytes.Equal(got, tt.want) {
				t.Errorf("got %d bytes back, want %d", len(got), len(tt.want))
			}
		})
	}
}

// handshake sends a request as it is written and returns the answer.
func handshake(tb testing.TB, url string, lines ...string) (status int, answer string) {
	tb.Helper()
	addr := strings.TrimSuffix(strings.TrimPrefix(url, "ws://"), "/mqtt")
	c, err := net.Dial("tcp", addr)
	if err != nil {
		tb.Fatal(err)
	}
	defer c.Close()
	fmt.Fprintf(c, "GET /mqtt HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n%s\r\n\r\n", addr, strings.Join(lines, "\r\n"))
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		tb.Fatal(err)
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return resp.StatusCode, resp.Header.Get("Sec-WebSocket-Protocol")
	}
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, strings.TrimSpace(string(body))
}

func TestWebSocketHandshake(t *testing.T) {
	_, strict := serveWS(t, WebSocketConfig{AllowedOrigins: []string{"https://app.test"}}, Options{}, echo)
	_, lenient := serveWS(t, WebSocketConfig{AllowNoSubprotocol: true}, Options{}, echo)
	upgrade := []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}
	with := func(lines ...string) []string { return append(append([]string(nil), upgrade...), lines...) }
	const missing = `The WebSocket subprotocol is missing: offer "mqtt" (or "mqttv3.1") in Sec-WebSocket-Protocol.`
	tests := []struct {
		name, url string
		lines     []string
		status    int
		answer    string // the subprotocol, if it was accepted
	}{
		{"mqtt", strict, with("Sec-WebSocket-Protocol: mqtt"), 101, "mqtt"},
		{"mqttv3.1", strict, with("Sec-WebSocket-Protocol: mqttv3.1"), 101, "mqttv3.1"},
		{"[MQTT-6.0.0-4] mqtt is preferred", strict, with("Sec-WebSocket-Protocol: foo, mqttv3.1, mqtt"), 101, "mqtt"},
		{"[MQTT-6.0.0-3] none", strict, upgrade, 400, missing},
		{"another", strict, with("Sec-WebSocket-Protocol: graphql-ws"), 400, missing},
		{"none, allowed", lenient, upgrade, 101, ""},
		{"an allowed origin", strict, with("Sec-WebSocket-Protocol: mqtt", "Origin: https://app.test"), 101, "mqtt"},
		{"a foreign origin", strict, with("Sec-WebSocket-Protocol: mqtt", "Origin: https://evil.test"), 403, `The origin "https://evil.test" may not connect here. Add it to listen.websocket.allowed_origins.`},
		{"a browser's address bar", strict, nil, 426, "This is MQTT over WebSocket: connect with an MQTT client, for example mqtt.js, to this address with ws:// or wss://."},
		{"an old version", strict, []string{"Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 8", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Protocol: mqtt"}, 400, "websocket: unsupported version: 13 not found in 'Sec-Websocket-Version' header"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			status, answer := handshake(t, tt.url, tt.lines...)
			if status != tt.status || answer != tt.answer {
				t.Errorf("got %d %q, want %d %q", status, answer, tt.status, tt.answer)
			}
		})
	}
}

func TestWebSocketCloseCodes(t *testing.T) {
	raw := func(b ...byte) func(*websocket.Conn) { return func(c *websocket.Conn) { _, _ = c.NetConn().Write(b) } }
	binary := func(b []byte) func(*websocket.Conn) {
		return func(c *websocket.Conn) { _ = c.WriteMessage(websocket.BinaryMessage, b) }
	}
	tests := []struct {
		name string
		do   func(*websocket.Conn)
		code int
		want error // what the reader gets
	}{
		{"text frame [MQTT-6.0.0-1]", func(c *websocket.Conn) { _ = c.WriteMessage(websocket.TextMessage, []byte("hi")) }, 1003, ErrTextFrame},
		{"packet too large", binary(packet(1000)), 1009, ErrPacketTooLarge},
		{"malformed length", binary([]byte{0x30, 0xff, 0xff, 0xff, 0xff, 1}), 1002, ErrMalformedLength},
		{"an unmasked frame", raw(0x82, 1, 'x'), 1002, nil},
		{"reserved bits", raw(0xf2, 0x80, 0, 0, 0, 0), 1002, nil},
		{"the server closes", binary([]byte{0xe0, 0}), 1000, nil},
		{"the client closes", func(c *websocket.Conn) {
			_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1001, "bye"), time.Time{})
		}, 1001, io.EOF},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			errs := make(chan error, 1)
			_, url := serveWS(t, WebSocketConfig{}, Options{MaxPacketSize: 500}, func(c *Conn) {
				c.Established()
				errs <- readPackets(c, func(p []byte) {
					if p[0] == 0xe0 {
						_ = c.Close()
					}
				})
			})
			c := dialWS(t, url, nil)
			tt.do(c)
			if e := closeOf(t, c); e.Code != tt.code {
				t.Errorf("close code %d (%s), want %d", e.Code, e.Text, tt.code)
			}
			if err := <-errs; err == nil || tt.want != nil && !errors.Is(err, tt.want) {
				t.Errorf("Read = %v, want %v", err, tt.want)
			}
		})
	}
}

// What was written before the end still arrives before the close frame.
func TestWebSocketFlushesBeforeItCloses(t *testing.T) {
	_, url := serveWS(t, WebSocketConfig{}, Options{MaxPacketSize: 500}, func(c *Conn) {
		c.OnProblem(func(error) { _, _ = c.Write([]byte{0xe0, 2, 0x95, 0}) })
		discard(c)
	})
	c := dialWS(t, url, nil)
	_ = c.WriteMessage(websocket.BinaryMessage, packet(1000))
	_, p, err := c.ReadMessage()
	if err != nil || !bytes.Equal(p, []byte{0xe0, 2, 0x95, 0}) {
		t.Errorf("got % x, %v; want the DISCONNECT", p, err)
	}
	if e := closeOf(t, c); e.Code != 1009 {
		t.Errorf("close code %d, want 1009", e.Code)
	}
}

func TestWebSocketShutdown(t *testing.T) {
	started := make(chan *Conn)
	w, url := serveWS(t, WebSocketConfig{}, Options{}, func(c *Conn) {
		started <- c
		discard(c)
	})
	c := dialWS(t, url, nil)
	conn := <-started
	_, _ = conn.Write([]byte{0xe0, 2, 0x8b, 0})
	done := make(chan error, 1)
	go func() { done <- w.Shutdown(context.Background()) }()
	_, p, err := c.ReadMessage()
	if err != nil || !bytes.Equal(p, []byte{0xe0, 2, 0x8b, 0}) {
		t.Errorf("got % x, %v; want the DISCONNECT", p, err)
	}
	if e := closeOf(t, c); e.Code != 1001 {
		t.Errorf("close code %d, want 1001", e.Code)
	}
	c.Close()
	if err := <-done; err != nil {
		t.Errorf("Shutdown = %v", err)
	}
	status, _ := handshake(t, url, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Protocol: mqtt")
	if status != http.StatusServiceUnavailable {
		t.Errorf("status %d after Shutdown, want 503", status)
	}
}

func TestWebSocketRefusalsAreCounted(t *testing.T) {
	m := NewMetrics(prometheus.NewRegistry())
	limiter := NewLimiter(Limits{MaxConnections: 1})
	started := make(chan struct{}, 1)
	_, url := serveWS(t, WebSocketConfig{}, Options{Metrics: m, Limiter: limiter}, func(c *Conn) {
		started <- struct{}{}
		discard(c)
	})
	dialWS(t, url, nil)
	<-started
	status, text := handshake(t, url, "Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Protocol: mqtt",
		"Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	if status != http.StatusServiceUnavailable || text != ErrTooMany.Error() {
		t.Errorf("got %d %q", status, text)
	}
	handshake(t, url, "Connection: Upgrade", "Upgrade: websocket")
	for reason, want := range map[string]float64{"max_connections": 1, "subprotocol": 1} {
		if got := testutil.ToFloat64(m.refused.WithLabelValues("websocket", reason)); got != want {
			t.Errorf("refused for %s: %v, want %v", reason, got, want)
		}
	}
}
