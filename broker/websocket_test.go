package broker_test

import (
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/listen"
)

// A browser sees no DISCONNECT without an MQTT library, and no more than the close code
// if the library hides it: both say why a connection has ended.
func TestWebSocketCloseCodes(t *testing.T) {
	enc := &peer{t: t, version: 5}
	for _, c := range []struct {
		name   string
		do     func(s *server, ws *websocket.Conn)
		reason byte
		code   int
	}{
		{"malformed packet", func(_ *server, ws *websocket.Conn) { sendWS(ws, []byte{0x36, 6, 0, 1, 'a', 0, 1, 0}) }, 0x81, websocket.CloseProtocolError},
		{"malformed length", func(_ *server, ws *websocket.Conn) { sendWS(ws, []byte{0x30, 0xff, 0xff, 0xff, 0xff, 1}) }, 0x81, websocket.CloseProtocolError},
		{"packet too large", func(_ *server, ws *websocket.Conn) { sendWS(ws, []byte{0x30, 0xff, 0x7f}) }, 0x95, websocket.CloseMessageTooBig},
		{"kicked", func(s *server, _ *websocket.Conn) { _ = s.Kick("web", false, false) }, 0x98, websocket.ClosePolicyViolation},
		{"taken over", func(s *server, _ *websocket.Conn) { s.connect(5, "web").bye() }, 0x8E, websocket.CloseNormalClosure},
		{"shutdown", func(s *server, _ *websocket.Conn) { go func() { _ = s.stop() }() }, 0x8B, websocket.CloseGoingAway},
		{"goodbye", func(_ *server, ws *websocket.Conn) {
			sendWS(ws, enc.encode(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}}))
		}, 0, websocket.CloseNormalClosure},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, setup{limits: broker.Limits{MaxPacketSize: 2000}})
			ws := dialWS(t, s.Broker)
			sendWS(ws, enc.encode(connectPacket(5, "web")))
			if _, b, err := ws.ReadMessage(); err != nil || b[0] != packets.Connack<<4 {
				t.Fatalf("got % x, %v; want a CONNACK", b, err)
			}
			c.do(s, ws)
			_ = ws.SetReadDeadline(time.Now().Add(patience))
			var last []byte
			for {
				_, b, err := ws.ReadMessage()
				if err == nil {
					last = b
					continue
				}
				if e := new(websocket.CloseError); !errors.As(err, &e) || e.Code != c.code {
					t.Errorf("it ended with %v, want the code %d", err, c.code)
				}
				break
			}
			if c.reason > 0 && (len(last) < 3 || last[0] != packets.Disconnect<<4 || last[2] != c.reason) {
				t.Errorf("the last packet was % x, want a DISCONNECT with %#x", last, c.reason)
			}
		})
	}
}

// dialWS connects to the broker's WebSocket until the test ends.
func dialWS(t *testing.T, b *broker.Broker) *websocket.Conn {
	t.Helper()
	web := httptest.NewServer(b.WebSocket())
	t.Cleanup(web.Close)
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	ws, resp, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(web.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = ws.Close() })
	return ws
}

func sendWS(ws *websocket.Conn, b []byte) { _ = ws.WriteMessage(websocket.BinaryMessage, b) }

// The HTTP listener is not the broker's: it may take a client before the broker has read
// its store, which can take a while. Such a client waits, as one on TCP does.
func TestWebSocketBeforeServe(t *testing.T) {
	cfg := broker.Config{Listen: listen.Config{MQTT: listen.Addresses{"127.0.0.1:0"}}}
	for name, served := range map[string]bool{"served at last": true, "never served": false} {
		t.Run(name, func(t *testing.T) {
			b, err := broker.New(cfg, broker.Options{})
			if err != nil {
				t.Fatal(err)
			}
			ws := dialWS(t, b)
			sendWS(ws, (&peer{t: t, version: 5}).encode(connectPacket(5, "web")))
			if served {
				serveBroker(t, b, nil)
			} else {
				b.Close()
			}
			_ = ws.SetReadDeadline(time.Now().Add(patience))
			_, got, err := ws.ReadMessage()
			if closed := new(websocket.CloseError); served && (err != nil || got[0] != packets.Connack<<4) || !served && !errors.As(err, &closed) {
				t.Errorf("got % x, %v", got, err)
			}
		})
	}
}
