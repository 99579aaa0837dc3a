package socket_test

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/grip/socket"
)

// listen starts a server whose connections are handed to run, and returns its address.
func listen(t *testing.T, o socket.Options, run func(*socket.Conn)) string {
	t.Helper()
	var wg sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := socket.Accept(w, r, nil, o)
		if err != nil {
			t.Error(err)
			return
		}
		wg.Go(func() {
			defer c.Finish()
			run(c)
		})
	}))
	t.Cleanup(func() {
		srv.Close()
		wg.Wait()
	})
	return strings.TrimPrefix(srv.URL, "http://")
}

// packing is a client that offers compression.
func packing(t *testing.T, address string) *websocket.Conn {
	t.Helper()
	ws, resp, err := (&websocket.Dialer{EnableCompression: true}).Dial("ws://"+address, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := resp.Header.Get("Sec-Websocket-Extensions"); !strings.HasPrefix(got, "permessage-deflate") {
		t.Fatalf("the offer was answered with %q", got)
	}
	t.Cleanup(func() { _ = ws.Close() })
	return ws
}

func TestCompressedMessages(t *testing.T) {
	ws := packing(t, listen(t, socket.Options{Compress: true, MaxMessage: 1 << 20}, echo))
	noise := make([]byte, 1<<20)
	_, _ = rand.Read(noise)
	for _, n := range []int{0, 1, 100, 511, 512, 5000, 70_000, 1 << 20} {
		for _, want := range [][]byte{bytes.Repeat([]byte{'x'}, n), noise[:n]} {
			if err := ws.WriteMessage(websocket.BinaryMessage, want); err != nil {
				t.Fatal(err)
			}
			kind, got, err := ws.ReadMessage()
			if err != nil || kind != websocket.BinaryMessage || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes came back as %d of kind %d, %v", n, len(got), kind, err)
			}
		}
	}
	if err := ws.WriteMessage(websocket.TextMessage, []byte(strings.Repeat("hé€", 1000))); err != nil {
		t.Fatal(err)
	}
	if kind, got, err := ws.ReadMessage(); kind != websocket.TextMessage || string(got) != strings.Repeat("hé€", 1000) {
		t.Errorf("%d %.20q %v", kind, got, err)
	}
}

// What expands beyond the limit, or does not expand at all, ends the connection.
func TestCompressedMessagesThatAreRefused(t *testing.T) {
	o := socket.Options{Compress: true, MaxMessage: 1 << 20}
	bomb := packing(t, listen(t, o, echo))
	if err := bomb.WriteMessage(websocket.BinaryMessage, make([]byte, 64<<20)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := bomb.ReadMessage(); !websocket.IsCloseError(err, websocket.CloseMessageTooBig) {
		t.Errorf("64 MB of zeros: %v", err)
	}
	for name, c := range map[string]struct {
		compress bool
		frames   []byte
		code     int
	}{
		"not compressed as it says": {true, []byte{0xc1, 0x82, 0, 0, 0, 0, 0xff, 0xff}, websocket.CloseInvalidFramePayloadData},
		"in the middle":             {true, []byte{0x01, 0x80, 0, 0, 0, 0, 0xc0, 0x80, 0, 0, 0, 0}, websocket.CloseProtocolError},
		"a ping":                    {true, []byte{0xc9, 0x80, 0, 0, 0, 0}, websocket.CloseProtocolError},
		"another bit":               {true, []byte{0xa1, 0x80, 0, 0, 0, 0}, websocket.CloseProtocolError},
		"not agreed on":             {false, []byte{0xc1, 0x80, 0, 0, 0, 0}, websocket.CloseProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			address := listen(t, socket.Options{Compress: c.compress}, echo)
			d := &websocket.Dialer{EnableCompression: true}
			ws, _, err := d.Dial("ws://"+address, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.Close()
			if _, err := ws.NetConn().Write(c.frames); err != nil {
				t.Fatal(err)
			}
			if _, _, err := ws.ReadMessage(); !websocket.IsCloseError(err, c.code) {
				t.Errorf("%v, want code %d", err, c.code)
			}
		})
	}
}

// A message is compressed once and for those who want it; the others get it as it is.
func TestCompressedForSome(t *testing.T) {
	all := make(chan *socket.Conn, 2)
	run := func(c *socket.Conn) {
		all <- c
		for {
			if _, err := c.Read(); err != nil {
				return
			}
		}
	}
	w := socket.NewWriter()
	packed := packing(t, listen(t, socket.Options{Compress: true, Writer: w}, run))
	plain, _, err := websocket.DefaultDialer.Dial("ws://"+listen(t, socket.Options{Compress: true, Writer: w}, run), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	want := strings.Repeat("compressible ", 1000)
	f := socket.NewFrame(socket.Text, []byte(want))
	for range 2 {
		if err := (<-all).Send(f); err != nil {
			t.Fatal(err)
		}
	}
	for _, ws := range []*websocket.Conn{packed, plain} {
		if _, got, err := ws.ReadMessage(); string(got) != want {
			t.Errorf("%.30q %v", got, err)
		}
	}
}

func TestOffersOfCompression(t *testing.T) {
	address := listen(t, socket.Options{Compress: true}, echo)
	for offer, want := range map[string]bool{
		"":                   false,
		"permessage-deflate": true,
		"permessage-deflate; client_max_window_bits":                                                         true,
		"permessage-deflate; client_max_window_bits=10; server_no_context_takeover":                          true,
		"permessage-deflate; server_max_window_bits=10":                                                      false,
		"permessage-deflate; server_max_window_bits=10, permessage-deflate; client_no_context_takeover":      true,
		"x-webkit-deflate-frame, bbf-usp-protocol":                                                           false,
		"permessage-deflate; something_new":                                                                  false,
		"x-webkit-deflate-frame\r\nSec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover": true,
	} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		header := ""
		if offer != "" {
			header = "Sec-WebSocket-Extensions: " + offer + "\r\n"
		}
		_, _ = fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n", header)
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer := resp.Header.Get("Sec-WebSocket-Extensions")
		if got := answer == "permessage-deflate; server_no_context_takeover; client_no_context_takeover"; got != want || !want && answer != "" {
			t.Errorf("%q was answered with %q", offer, answer)
		}
		_ = resp.Body.Close()
		_ = conn.Close()
	}
}

// While the messages before are worked off, nobody reads: the answers to pings are there
// and not seen, and the client is not taken for dead.
func TestNobodyReads(t *testing.T) {
	first, goOn := make(chan struct{}), make(chan struct{})
	ws := serve(t, socket.Options{PingInterval: 5 * time.Millisecond}, func(c *socket.Conn) {
		if _, err := c.Read(); err != nil {
			t.Error(err)
			return
		}
		close(first)
		<-goOn
		echo(c)
	})
	pinged := make(chan struct{}, 1000)
	ws.SetPingHandler(func(data string) error {
		pinged <- struct{}{}
		return ws.WriteControl(websocket.PongMessage, []byte(data), time.Now().Add(time.Second))
	})
	answers := make(chan string, 1)
	go func() {
		defer close(answers)
		if _, b, err := ws.ReadMessage(); err == nil {
			answers <- string(b)
		}
	}()
	for _, m := range []string{"the first", "the second"} {
		if err := ws.WriteMessage(websocket.TextMessage, []byte(m)); err != nil {
			t.Fatal(err)
		}
	}
	<-first
	for range 5 {
		select {
		case <-pinged:
		case <-answers:
			t.Fatal("the client was cut")
		case <-time.After(10 * time.Second):
			t.Fatal("there are no pings")
		}
	}
	close(goOn)
	if got := <-answers; got != "the second" {
		t.Errorf("%q came back", got)
	}
}
