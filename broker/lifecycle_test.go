package broker_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/message"
)

// What is queued is bounded, the policy says what gives way, and that is counted.
func TestQueuePolicies(t *testing.T) {
	if n := broker.DefaultLimits().Queue.MaxMessages; n != 100_000 {
		t.Errorf("%d messages may wait by default, want 100000", n)
	}
	for _, c := range []struct {
		policy      session.Policy
		first, last int
	}{{session.DropOldest, 10, 19}, {session.DropNewest, 0, 9}, {session.Refuse, 0, 9}} {
		t.Run(string(c.policy), func(t *testing.T) {
			reg := prometheus.NewRegistry()
			s := serve(t, setup{
				limits: broker.Limits{Queue: broker.QueueLimits{MaxMessages: 10, Policy: c.policy}},
				opts:   broker.Options{Metrics: reg},
			})
			s.connect(5, "c", persistent).subscribeAndLeave("a", 1)
			pub := s.connect(5, "pub")
			for i := range 20 {
				pub.send(publishPacket("a", strconv.Itoa(i), 1, 1))
				want := byte(0)
				if c.policy == session.Refuse && i >= 10 {
					want = 0x97
				}
				pub.wantCode(packets.Puback, want)
			}
			counter := "topicwire_broker_dropped_queue_full_total"
			if c.policy == session.Refuse { // its publisher knows
				counter = "topicwire_broker_publishes_refused_total"
			}
			if n := metric(t, reg, counter); n != 10 {
				t.Errorf("%s is %v, want 10", counter, n)
			}
			got := s.connect(5, "c", persistent)
			for i := c.first; i <= c.last; i++ {
				got.wantMessage("a", strconv.Itoa(i))
			}
			got.quiet()
		})
	}
}

// Fault 21: an expiry is counted down, and none is made up. [MQTT-3.3.2-5] [MQTT-3.3.2-6]
func TestMessageExpiry(t *testing.T) {
	s := serve(t, setup{})
	s.connect(5, "c", persistent).subscribeAndLeave("a", 1)
	pub := s.connect(5, "pub")
	expiry := func(n uint32) func(*packets.Packet) {
		return func(pk *packets.Packet) { pk.Properties.MessageExpiryInterval = n }
	}
	pub.publish("a", "short", expiry(1))
	pub.publish("a", "long", expiry(100))
	pub.publish("a", "none")
	watch := s.connect(5, "watch", persistent)
	watch.subscribe("w", 0)
	s.connect(5, "timer", persistent, withWill("w", "two seconds", willDelay(2))).lose()
	watch.wantMessage("w", "two seconds")
	c := s.connect(5, "c", persistent)
	if got := c.wantMessage("a", "long").Properties.MessageExpiryInterval; got < 90 || got > 98 {
		t.Errorf("expiry %d, want what is left of 100 after 2 s", got)
	}
	if got := c.wantMessage("a", "none").Properties.MessageExpiryInterval; got != 0 {
		t.Errorf("expiry %d on a message without", got)
	}
}

// The server says goodbye, and what is queued still arrives. [MQTT-3.14.4-1]
func TestShutdown(t *testing.T) {
	s := serve(t, setup{})
	five, three := s.connect(5, "five"), s.connect(4, "three")
	five.subscribe("a", 0)
	pub := s.connect(4, "pub")
	for i := range 1000 {
		pub.publish("a", strconv.Itoa(i))
	}
	done := make(chan error, 1)
	go func() { done <- s.stop() }()
	for i := range 1000 {
		five.wantMessage("a", strconv.Itoa(i))
	}
	if code := five.wantClosed(); code != 0x8B {
		t.Errorf("DISCONNECT %#x, want 0x8B", code)
	}
	if code := three.wantClosed(); code != -1 {
		t.Errorf("3.1.1 got a DISCONNECT %#x", code)
	}
	for _, p := range []*peer{five, three, pub} {
		_ = p.conn.Close()
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := s.Publish(t.Context(), &message.Message{Topic: "a"}); !errors.Is(err, broker.ErrNotServing) {
		t.Errorf("Publish after the end: %v", err)
	}
}

// Sessions, what waits in them, retained messages and wills outlive the broker if the
// store does.
func TestRestartOnTheSameStore(t *testing.T) {
	for name, stores := range keeping {
		t.Run(name, func(t *testing.T) { testRestart(t, stores(t)) })
	}
}

func testRestart(t *testing.T, next func() store.Store) {
	t.Helper()
	start := func() *server { return serve(t, setup{opts: broker.Options{Store: next()}}) }
	s := start()
	c := s.connect(5, "c", persistent)
	c.subscribe("a", 2)
	c.subscribe("$share/g/b", 1)
	pub := s.connect(5, "pub", persistent)
	pub.publish("r", "retained", retain)
	pub.publish("gone", "retained", retain)
	pub.publish("gone", "", retain)
	for _, m := range []string{"one", "two", "three"} {
		publishAt(pub, 2, "a", m)
	}
	one, two := c.wantMessage("a", "one"), c.wantMessage("a", "two")
	c.wantMessage("a", "three")
	c.ackPublish(packets.Pubrec, one.PacketID)
	c.want(packets.Pubrel)
	c.lose()
	publishAt(pub, 2, "a", "four")
	pub.publish("b", "shared")
	pub.send(publishPacket("a", "five", 2, 99))
	pub.wantCode(packets.Pubrec, 0)
	pub.lose()
	s.connect(5, "w", persistent, withWill("w", "restored", willDelay(1))).lose()
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}

	s = start()
	watch := s.connect(5, "watch")
	watch.subscribe("w", 0)
	watch.subscribe("r", 0)
	watch.wantMessage("r", "retained")
	watch.subscribe("gone", 0)
	c = s.connect(5, "c", persistent)
	if !c.ack.SessionPresent {
		t.Fatal("the session did not survive")
	}
	if rel := c.want(packets.Pubrel); rel.PacketID != one.PacketID {
		t.Errorf("PUBREL %d, want %d", rel.PacketID, one.PacketID)
	}
	if again := c.wantMessage("a", "two"); again.PacketID != two.PacketID || !again.FixedHeader.Dup {
		t.Errorf("id %d DUP %v, want %d true", again.PacketID, again.FixedHeader.Dup, two.PacketID)
	}
	c.wantMessage("a", "three")
	rest := map[string][]string{} // QoS 2 may wait for the store, and QoS 1 does not wait for it
	for range 3 {
		m := c.want(packets.Publish)
		if m.FixedHeader.Dup {
			t.Error("DUP on a first delivery")
		}
		rest[m.TopicName] = append(rest[m.TopicName], string(m.Payload))
	}
	if fmt.Sprint(rest) != "map[a:[four five] b:[shared]]" {
		t.Errorf("got %v", rest)
	}
	pub = s.connect(5, "pub", persistent)
	pub.send(publishPacket("a", "five", 2, 99, func(pk *packets.Packet) { pk.FixedHeader.Dup = true }))
	pub.wantCode(packets.Pubrec, 0)
	c.quiet() // it was not delivered again
	publishAt(pub, 2, "a", "six")
	c.wantMessage("a", "six")
	watch.wantMessage("w", "restored")
}

// The will of a client that was connected when the server died is published by the
// next one, unless the client is back in time. [MQTT-3.1.2-8]
func TestWillSurvivesTheServer(t *testing.T) {
	for name, stores := range keeping {
		t.Run(name, func(t *testing.T) { testWillSurvives(t, stores(t)) })
	}
}

func testWillSurvives(t *testing.T, store func() store.Store) {
	t.Helper()
	dies := serve(t, setup{opts: broker.Options{Store: store()}})
	dies.connect(5, "lost", withWill("w", "lost"))
	dies.connect(5, "back", persistent, withWill("w", "back", willDelay(100)))
	dies.connect(5, "bye", withWill("w", "bye")).bye()
	next := serve(t, setup{opts: broker.Options{Store: store()}})
	sub := next.connect(5, "sub")
	next.connect(5, "back", persistent)
	sub.subscribe("w", 0)
	next.connect(5, "late", persistent, withWill("w", "late", willDelay(1))).lose()
	for {
		got := sub.want(packets.Publish)
		if string(got.Payload) == "late" {
			break
		}
		if string(got.Payload) != "lost" {
			t.Errorf("got the will %q", got.Payload)
		}
	}
}

// Publish goes the way of every message.
func TestPublish(t *testing.T) {
	p := make(pending, 1)
	s := serve(t, setup{accept: func(_ context.Context, m *message.Message) (broker.Pending, error) {
		if m.QoS == 0 {
			return nil, nil
		}
		return p, nil
	}})
	sub := s.connect(5, "sub")
	sub.subscribe("a", 1)
	m := &message.Message{Topic: "a", Payload: []byte("x"), QoS: 1, Hops: 1, Props: message.Properties{
		ContentType: "text/plain", Correlation: []byte{}, User: []message.UserProperty{{Key: "k", Value: "v"}},
	}}
	done := make(chan error, 1)
	go func() { done <- s.Publish(t.Context(), m) }()
	got := sub.wantMessage("a", "x")
	if got.Properties.ContentType != "text/plain" || len(got.Properties.User) != 1 {
		t.Errorf("properties %+v", got.Properties)
	}
	select {
	case err := <-done:
		t.Errorf("Publish returned %v before the message was durable", err)
	default:
	}
	(<-p)(nil)
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, topic := range []string{"", "a/#", "$SYS/x", strings.Repeat("a/", 200)} {
		var refused *broker.Refused
		if err := s.Publish(t.Context(), &message.Message{Topic: topic}); !errors.As(err, &refused) {
			t.Errorf("Publish to %.20q: %v, want a refusal", topic, err)
		}
	}
	if err := s.Publish(t.Context(), &message.Message{Topic: "a", Payload: []byte("y")}); err != nil {
		t.Error(err)
	}
	sub.wantMessage("a", "y")
}

// A client on the WebSocket door is a client like any other.
func TestWebSocketClient(t *testing.T) {
	var via message.Via
	s := serve(t, setup{accept: func(_ context.Context, m *message.Message) (broker.Pending, error) {
		via = m.From.Via
		return nil, nil
	}})
	web := httptest.NewServer(s.WebSocket())
	defer web.Close()
	dialer := websocket.Dialer{Subprotocols: []string{"mqtt"}}
	ws, answer, err := dialer.Dial("ws"+strings.TrimPrefix(web.URL, "http"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_ = answer.Body.Close()
	defer func() { _ = ws.Close() }()
	tcp := s.connect(5, "tcp")
	tcp.subscribe("a", 1)
	p := &peer{t: t, version: 5}
	for _, pk := range []packets.Packet{connectPacket(5, "web"), publishPacket("a", "x", 1, 1)} {
		if err := ws.WriteMessage(websocket.BinaryMessage, p.encode(pk)); err != nil {
			t.Fatal(err)
		}
	}
	tcp.wantMessage("a", "x")
	var got []byte
	for !strings.Contains(string(got), "\x40\x02\x00\x01") {
		_, r, err := ws.NextReader()
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, b...)
	}
	if via != message.ViaWebSocket {
		t.Errorf("came via %v", via)
	}
}
