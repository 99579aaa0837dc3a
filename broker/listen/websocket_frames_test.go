package listen

import (
	"bytes"
	"testing"

	"github.com/gorilla/websocket"
)

// masked is one frame of a client's, as RFC 6455, section 5.2 has it.
func masked(first byte, payload string) []byte {
	key := []byte{1, 2, 3, 4}
	b := []byte{first, 0x80 | byte(len(payload))}
	if len(payload) > 125 {
		b = []byte{first, 0x80 | 126, byte(len(payload) >> 8), byte(len(payload))}
	}
	b = append(b, key...)
	for i := range len(payload) {
		b = append(b, payload[i]^key[i%4])
	}
	return b
}

// A packet may come in fragments of one message, with control frames between them and
// empty ones among them. (RFC 6455, section 5.4) [MQTT-6.0.0-2]
func TestWebSocketFragments(t *testing.T) {
	_, url := serveWS(t, WebSocketConfig{}, Options{}, echo)
	c := dialWS(t, url, nil)
	var pongs []string
	c.SetPongHandler(func(s string) error {
		pongs = append(pongs, s)
		return nil
	})
	want := append(packet(300), packet(3)...)
	text := string(want)
	for _, f := range [][]byte{
		masked(0x02, text[:1]), masked(0x89, "one"), masked(0x00, text[1:200]), masked(0x8a, "nobody asked"),
		masked(0x00, ""), masked(0x89, ""), masked(0x80, text[200:]),
	} {
		if _, err := c.NetConn().Write(f); err != nil {
			t.Fatal(err)
		}
	}
	var got []byte
	for len(got) < len(want) {
		_, p, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, p...)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("got % x", got)
	}
	_, _ = c.NetConn().Write(masked(0x88, "\x03\xe8"))
	if e := closeOf(t, c); e.Code != 1000 {
		t.Errorf("close code %d", e.Code)
	}
	if len(pongs) != 2 || pongs[0] != "one" || pongs[1] != "" {
		t.Errorf("pongs %q", pongs)
	}
}

// What RFC 6455 does not allow ends the connection with the code for it.
func TestWebSocketProtocolErrors(t *testing.T) {
	_, url := serveWS(t, WebSocketConfig{}, Options{}, echo)
	for _, tt := range []struct {
		name   string
		frames []byte
	}{
		{"a continuation of nothing", masked(0x80, "x")},
		{"a message within a message", append(masked(0x02, "x"), masked(0x82, "y")...)},
		{"a ping in fragments", masked(0x09, "x")},
		{"a ping of 126 bytes", masked(0x89, string(make([]byte, 126)))},
		{"an opcode that is none", masked(0x83, "")},
		{"a control opcode that is none", masked(0x8b, "")},
		{"a compressed frame: there is no compression", masked(0xc2, "x")},
		{"a close code that is never sent", masked(0x88, "\x03\xed")},
		{"a close reason that is no text", masked(0x88, "\x03\xe8\xff")},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := dialWS(t, url, nil)
			if _, err := c.NetConn().Write(tt.frames); err != nil {
				t.Fatal(err)
			}
			if e := closeOf(t, c); e.Code != 1002 {
				t.Errorf("close code %d (%s), want 1002", e.Code, e.Text)
			}
		})
	}
}

// Compression is not agreed to, whoever asks for it.
func TestWebSocketHasNoCompression(t *testing.T) {
	_, url := serveWS(t, WebSocketConfig{}, Options{}, echo)
	d := websocket.Dialer{Subprotocols: []string{"mqtt"}, EnableCompression: true}
	c, resp, err := d.Dial(url, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := resp.Header.Get("Sec-WebSocket-Extensions"); got != "" {
		t.Errorf("agreed to %q", got)
	}
}
