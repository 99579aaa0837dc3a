package listen

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"
)

func TestWebSocketAnswersPings(t *testing.T) {
	_, url := serveWS(t, WebSocketConfig{}, Options{}, echo)
	c := dialWS(t, url, nil)
	pong := make(chan string, 1)
	c.SetPongHandler(func(s string) error {
		pong <- s
		return nil
	})
	_ = c.WriteControl(websocket.PingMessage, []byte("hello"), time.Time{})
	reading := make(chan struct{})
	go func() { // gorilla/websocket sees control frames only while it reads
		defer close(reading)
		_, _, _ = c.ReadMessage()
	}()
	defer func() {
		_ = c.Close()
		<-reading
	}()
	if got := <-pong; got != "hello" {
		t.Errorf("pong %q, want hello", got)
	}
}

// Over TLS no write can be tried without waiting: another way through the code.
func TestWebSocketOverTLS(t *testing.T) {
	states := make(chan bool, 1)
	w := NewWebSocket(WebSocketConfig{}, func(c *Conn) {
		states <- c.Info().TLS != nil && c.Info().Request.TLS != nil
		echo(c)
	}, Options{})
	srv := httptest.NewTLSServer(w)
	t.Cleanup(srv.Close)
	d := websocket.Dialer{Subprotocols: []string{"mqtt"}, TLSClientConfig: srv.Client().Transport.(*http.Transport).TLSClientConfig}
	c, _, err := d.Dial("wss"+strings.TrimPrefix(srv.URL, "https"), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if !<-states {
		t.Error("the TLS state is missing")
	}
	want := packet(200_000)
	_ = c.WriteMessage(websocket.BinaryMessage, want)
	var got []byte
	for len(got) < len(want) {
		_, p, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p...)
	}
	if !bytes.Equal(got, want) {
		t.Error("the echo differs")
	}
	go func() {
		_ = c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""), time.Time{})
	}()
	if e := closeOf(t, c); e.Code != 1000 {
		t.Errorf("close code %d, want 1000", e.Code)
	}
	if err := w.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
}

// A flood of pings without reading the pongs must not grow the queue.
func TestWebSocketPingFloodIsBounded(t *testing.T) {
	c := reading(&stream{}, 0)
	c.writeState = writing // as if the socket were full
	for range 10_000 {
		if err := c.control([]byte{0x8a, 4, 'p', 'o', 'n', 'g'}); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.ctrl) > maxControl {
		t.Errorf("%d bytes of pongs are queued", len(c.ctrl))
	}
}

// hijackable is the server's side of a pipe, as a ResponseWriter.
type hijackable struct {
	httptest.ResponseRecorder
	conn net.Conn
}

func (h *hijackable) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return h.conn, bufio.NewReadWriter(bufio.NewReader(h.conn), bufio.NewWriter(h.conn)), nil
}

// pipeWS upgrades one end of a pipe and returns the other, the answer read.
func pipeWS(tb testing.TB, w *WebSocket) net.Conn {
	tb.Helper()
	server, client := net.Pipe()
	r := httptest.NewRequest(http.MethodGet, "/mqtt", nil)
	for k, v := range map[string]string{
		"Connection": "Upgrade", "Upgrade": "websocket", "Sec-Websocket-Version": "13",
		"Sec-Websocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-Websocket-Protocol": "mqtt",
	} {
		r.Header.Set(k, v)
	}
	go w.ServeHTTP(&hijackable{conn: server}, r)
	br := bufio.NewReaderSize(client, 16)
	for line := ""; line != "\r\n"; {
		var err error
		if line, err = br.ReadString('\n'); err != nil {
			tb.Fatal(err)
		}
	}
	return client
}

func TestWebSocketServerPings(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errs := make(chan error, 1)
		w := NewWebSocket(WebSocketConfig{PingInterval: 30 * time.Second}, func(c *Conn) {
			c.Established()
			errs <- readPackets(c, func([]byte) {})
		}, Options{})
		start := time.Now()
		c := pipeWS(t, w)
		p := make([]byte, 100)
		for i := 1; i <= 3; i++ {
			n, err := c.Read(p)
			if err != nil || !bytes.Equal(p[:n], []byte{0x89, 0}) || time.Since(start) != time.Duration(i)*30*time.Second {
				t.Fatalf("got % x, %v after %v; want a ping each 30 s", p[:n], err, time.Since(start))
			}
			if i < 3 {
				_, _ = c.Write([]byte{0x8a, 0x80, 0, 0, 0, 0}) // a pong, masked
			}
		}
		if err := <-errs; !errors.Is(err, ErrPongTimeout) || time.Since(start) != 120*time.Second {
			t.Errorf("Read = %v after %v, want ErrPongTimeout after 2m", err, time.Since(start))
		}
		_ = c.Close()
		if err := w.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

// Whatever bytes follow the handshake, the door neither panics nor hangs, and hands
// out only what the frames hold.
func FuzzWebSocket(f *testing.F) {
	f.Add([]byte{0x82, 0x82, 1, 2, 3, 4, 0xc1, 2})                               // PINGREQ
	f.Add([]byte{0x02, 0x81, 0, 0, 0, 0, 0xc0, 0x80, 0x81, 0, 0, 0, 0, 0})       // in two fragments
	f.Add([]byte{0x89, 0x80, 0, 0, 0, 0, 0x88, 0x82, 0, 0, 0, 0, 3, 0xe8})       // ping, close
	f.Add([]byte{0x81, 0x82, 0, 0, 0, 0, 'h', 'i'})                              // text
	f.Add([]byte{0x82, 0xff, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0}) // a huge frame
	f.Add([]byte{0x82, 0x85, 0, 0, 0, 0, 0x30, 0xff, 0xff, 0xff, 0x7f})          // a huge packet
	f.Fuzz(func(t *testing.T, data []byte) {
		w := NewWebSocket(WebSocketConfig{PingInterval: -1}, func(c *Conn) {
			c.Established()
			total := 0
			_ = readPackets(c, func(p []byte) {
				total += len(p)
				_, _ = c.Write(p)
			})
			if total > len(data) {
				t.Errorf("%d bytes were read of %d sent", total, len(data))
			}
		}, Options{Linger: time.Second})
		c := pipeWS(t, w)
		go func() { _, _ = io.Copy(io.Discard, c) }()
		_, _ = c.Write(data)
		_ = c.Close()
		if err := w.Shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	})
}
