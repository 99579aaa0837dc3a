package socket_test

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/grip/socket"
)

// serve starts a server whose connections are handed to run, and returns a client's
// connection to it.
func serve(t *testing.T, o socket.Options, run func(*socket.Conn)) *websocket.Conn {
	t.Helper()
	done := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := socket.Accept(w, r, nil, o)
		if err != nil {
			t.Error(err)
			close(done)
			return
		}
		go func() {
			defer close(done)
			defer c.Finish()
			run(c)
		}()
	}))
	t.Cleanup(srv.Close)
	ws, resp, err := websocket.DefaultDialer.Dial("ws"+strings.TrimPrefix(srv.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() {
		_ = ws.Close()
		select {
		case <-done:
		case <-time.After(10 * time.Second):
			t.Error("the connection did not end")
		}
	})
	return ws
}

func echo(c *socket.Conn) {
	for {
		m, err := c.Read()
		if err != nil {
			if closed, ok := errors.AsType[*socket.CloseError](err); ok {
				c.Close(closed.Code, closed.Reason)
			}
			return
		}
		_ = c.Send(socket.NewFrame(m.Op, m.Data))
	}
}

func TestEchoOfAllSizes(t *testing.T) {
	stats := &socket.Stats{}
	ws := serve(t, socket.Options{MaxMessage: 4 << 20, Stats: stats}, echo)
	for _, n := range []int{0, 1, 125, 126, 127, 500, 65535, 65536, 1 << 20, 3 << 20} {
		want := bytes.Repeat([]byte{'x'}, n)
		if err := ws.WriteMessage(websocket.BinaryMessage, want); err != nil {
			t.Fatal(err)
		}
		kind, got, err := ws.ReadMessage()
		if err != nil || kind != websocket.BinaryMessage || !bytes.Equal(got, want) {
			t.Fatalf("%d bytes came back as %d of kind %d, %v", n, len(got), kind, err)
		}
	}
	_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(4001, "bye"), time.Now().Add(time.Second))
	_, _, err := ws.ReadMessage()
	if !websocket.IsCloseError(err, 4001) {
		t.Errorf("the close was answered with %v", err)
	}
}

func TestPingsAreAnswered(t *testing.T) {
	ws := serve(t, socket.Options{}, echo)
	pong := make(chan string, 1)
	ws.SetPongHandler(func(s string) error { pong <- s; return nil })
	_ = ws.WriteControl(websocket.PingMessage, []byte("are you there"), time.Now().Add(time.Second))
	_ = ws.WriteMessage(websocket.TextMessage, []byte("x"))
	if _, _, err := ws.ReadMessage(); err != nil {
		t.Fatal(err)
	}
	select {
	case got := <-pong:
		if got != "are you there" {
			t.Errorf("pong %q", got)
		}
	default:
		t.Error("no pong came before the answer to a later message")
	}
}

func TestTooLargeAndNotUTF8(t *testing.T) {
	for _, c := range []struct {
		name string
		kind int
		data []byte
		code int
	}{
		{"too large", websocket.BinaryMessage, make([]byte, 2000), websocket.CloseMessageTooBig},
		{"not UTF-8", websocket.TextMessage, []byte{0xff}, websocket.CloseInvalidFramePayloadData},
	} {
		t.Run(c.name, func(t *testing.T) {
			ws := serve(t, socket.Options{MaxMessage: 1000}, echo)
			_ = ws.WriteMessage(c.kind, c.data)
			_, _, err := ws.ReadMessage()
			if !websocket.IsCloseError(err, c.code) {
				t.Errorf("got %v, want code %d", err, c.code)
			}
		})
	}
}

func TestSlowClientIsDisconnectedAndCounted(t *testing.T) {
	stats := &socket.Stats{}
	full := make(chan error, 1)
	ws := serve(t, socket.Options{MaxQueued: 64 << 10, Stats: stats, Linger: time.Second}, func(c *socket.Conn) {
		f := socket.NewFrame(socket.Binary, make([]byte, 16<<10))
		for {
			if err := c.Send(f); err != nil {
				full <- err
				return
			}
		}
	})
	if err := <-full; !errors.Is(err, socket.ErrFull) {
		t.Errorf("got %v", err)
	}
	var err error
	for err == nil {
		_, _, err = ws.ReadMessage()
	}
	if stats.Overflowed.Load() != 1 {
		t.Errorf("%d connections were counted as overflowed", stats.Overflowed.Load())
	}
	if stats.QueuedBytes.Load() != 0 && stats.Open.Load() == 0 {
		t.Errorf("%d bytes are still counted as queued", stats.QueuedBytes.Load())
	}
}

func TestBurstArrivesWholeAndInOrder(t *testing.T) {
	const n = 5000
	ws := serve(t, socket.Options{}, func(c *socket.Conn) {
		for i := range n {
			if err := c.Send(socket.NewFrame(socket.Binary, []byte{byte(i >> 8), byte(i)})); err != nil {
				t.Error(err)
			}
		}
		_, _ = c.Read()
	})
	for i := range n {
		_, got, err := ws.ReadMessage()
		if err != nil || len(got) != 2 || int(got[0])<<8|int(got[1]) != i {
			t.Fatalf("message %d: %v, %v", i, got, err)
		}
	}
}
