package broker_test

import (
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/auth"
)

// The regression tests of faults that no other file has. DESIGN.md has the table of all.

// Fault 8: a message is with its subscribers before its publisher has the
// acknowledgement, at every QoS. [MQTT-4.4.0-1] [MQTT-4.3.2-4]
func TestAcknowledgedMeansDelivered(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{})
		kept := s.connect(v, "kept", persistent)
		kept.subscribe("a", 2)
		pub := s.connect(v, "pub")
		for i := range 50 {
			pub.send(publishPacket("a", strconv.Itoa(i), 2, 1))
			pub.wantCode(packets.Pubrec, 0)
			kept.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}})
			got := kept.wantMessage("a", strconv.Itoa(i)) // not: the answer to the ping, and then the message
			kept.want(packets.Pingresp)
			kept.ackPublish(packets.Pubrec, got.PacketID)
			kept.want(packets.Pubrel)
			kept.ackPublish(packets.Pubcomp, got.PacketID)
			pub.ackPublish(packets.Pubrel, 1)
			pub.wantCode(packets.Pubcomp, 0)
		}
	})
}

// Fault 14: clients that are idle cost no work: nothing goes through all of them every
// second.
func TestIdleClientsCostNothing(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{SysInterval: -1}})
	for i := range 200 {
		s.connect(4, "c"+strconv.Itoa(i)).subscribe("a/"+strconv.Itoa(i), 0)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	<-time.After(1200 * time.Millisecond)
	runtime.ReadMemStats(&after)
	if n := after.Mallocs - before.Mallocs; n > 2000 {
		t.Errorf("%d allocations in a second with 200 idle clients", n)
	}
}

// Fault 16: a will may be nothing that a publish of the client's may not be, in every
// version. [MQTT-3.1.2-9]
func TestWillsAreCheckedLikeAnyPublish(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{opts: restricted(), limits: broker.Limits{MaxPayloadSize: 100, MaxTopicLevels: 3}})
		watch := s.connect(5, "watch")
		watch.subscribe("#", 0)
		watch.subscribe("$SYS/broker/version", 0)
		watch.want(packets.Publish)
		for topic, code := range map[string]byte{
			"denied": 0x87, "$SYS/broker/version": 0x87, "a/+": 0x90, "#": 0x90, "": 0x90, "1/2/3/4": 0x90, "large": 0x95,
		} {
			payload := "x"
			if topic == "large" {
				payload = strings.Repeat("x", 101)
			}
			p := s.raw(v)
			p.send(connectPacket(v, "c", withWill(topic, payload)))
			pk, err := p.next()
			switch {
			case v == 5 && (err != nil || pk.ReasonCode != code):
				t.Errorf("a will to %q: CONNACK %#x, %v, want %#x", topic, pk.ReasonCode, err, code)
			case v == 4 && err == nil && pk.ReasonCode == 0:
				t.Errorf("a will to %q was taken", topic)
			}
			_ = p.conn.Close()
		}
		watch.quiet()
	})
}

// Fault 20: an acknowledgement does not echo the properties of the message.
func TestAcknowledgementsEchoNothing(t *testing.T) {
	s := serve(t, setup{})
	p := s.connect(5, "p")
	p.send(publishPacket("a", "x", 1, 1, func(pk *packets.Packet) {
		pk.Properties.User = []packets.UserProperty{{Key: "k", Val: "v"}}
	}))
	if ack := p.want(packets.Puback); len(ack.Properties.User) != 0 || ack.FixedHeader.Remaining > 4 {
		t.Errorf("PUBACK of %d bytes with %v", ack.FixedHeader.Remaining, ack.Properties.User)
	}
}

// Fault 20: the reason reaches a client that is still sending: its unread packets do not
// make a reset of the connection that overtakes the DISCONNECT. [MQTT-3.14.0-1]
func TestTheReasonReachesAClientThatGoesOnSending(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{MaxPacketSize: 2000}})
	for range 20 {
		p := s.connect(5, "p")
		b := []byte{0x30, 0xff, 0xff, 0x7f} // a packet that is too large, and much more
		p.write(append(b, make([]byte, 200_000)...))
		if code := p.wantClosed(); code != 0x95 {
			t.Fatalf("DISCONNECT %#x, want 0x95", code)
		}
	}
}

// WebSocket faults of section 3: what authentication may look at is there, a path and a
// page that are not ours are not.
func TestWebSocketHandshakeReachesAuthentication(t *testing.T) {
	seen := make(chan *http.Request, 1)
	s := serve(t, setup{opts: broker.Options{Auth: []auth.Method{methodFunc(func(c *auth.Credentials) (*auth.Principal, error) {
		seen <- c.Request
		return &auth.Principal{Name: "ada", Policy: auth.AllowAll{}}, nil
	})}}})
	web := httptest.NewServer(s.WebSocket())
	defer web.Close()
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	url := "ws" + strings.TrimPrefix(web.URL, "http") + "/mqtt?token=abc"
	ws, resp, err := dialer.DialContext(t.Context(), url, http.Header{"Cookie": {"session=1"}, "X-Device": {"7"}})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	defer ws.Close()
	p := &peer{t: t, version: 5}
	if err := ws.WriteMessage(websocket.BinaryMessage, p.encode(connectPacket(5, "c"))); err != nil {
		t.Fatal(err)
	}
	r := <-seen
	if cookie, err := r.Cookie("session"); err != nil || cookie.Value != "1" || r.URL.Query().Get("token") != "abc" || r.Header.Get("X-Device") != "7" {
		t.Errorf("authentication saw %+v", r)
	}
	if _, resp, err := dialer.DialContext(t.Context(), url, http.Header{"Origin": {"https://evil.example"}}); err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign page: %v", err)
	} else {
		_ = resp.Body.Close()
	}
}
