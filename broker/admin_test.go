package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/message"
)

func TestClientIsDescribed(t *testing.T) {
	s := serve(t, setup{})
	if _, ok := s.Client("ada"); ok {
		t.Error("a client that never came is known")
	}
	p := s.connect(5, "ada", persistent, func(pk *packets.Packet) { pk.Connect.Keepalive = 45 })
	p.subscribe("b/#", 1)
	p.subscribe("a/+", 0)
	info, ok := s.Client("ada")
	if !ok || !info.Connected || info.Clean || info.KeepAlive.Seconds() != 45 || info.Expiry.Seconds() != 3600 ||
		info.Since.IsZero() || info.Remote.String() != p.conn.LocalAddr().String() || info.Local.String() != p.conn.RemoteAddr().String() {
		t.Errorf("%+v", info)
	}
	subs, ok := s.Subscriptions("ada")
	if !ok || len(subs) != 2 || subs[0] != (broker.SubscriptionInfo{Filter: "a/+"}) || subs[1] != (broker.SubscriptionInfo{Filter: "b/#", QoS: 1}) {
		t.Errorf("subscriptions %v", subs)
	}
	p.bye()
	waitFor(t, func() bool { info, _ = s.Client("ada"); return !info.Connected })
	if info.Why != "CLIENT_INITIATED_DISCONNECT" || info.Left.IsZero() || !info.Since.IsZero() {
		t.Errorf("away: %+v", info)
	}
	if _, ok := s.Subscriptions("nobody"); ok {
		t.Error("nobody has subscriptions")
	}
}

func TestKickedClientLearnsWhy(t *testing.T) {
	s := serve(t, setup{})
	watcher := s.connect(5, "watcher")
	watcher.subscribe("gone", 1)

	p := s.connect(5, "ada", persistent, withWill("gone", "ada"))
	p.subscribe("a", 1)
	if err := s.Kick("ada", false, false); err != nil {
		t.Fatal(err)
	}
	if code := p.wantClosed(); code != 0x98 {
		t.Errorf("DISCONNECT with %#x, want an administrative action", code)
	}
	watcher.wantMessage("gone", "ada")
	if info, ok := s.Client("ada"); !ok || info.Connected || info.Why != "API_INITIATED_DISCONNECT" {
		t.Errorf("the session: %+v", info)
	}
	if err := s.Kick("ada", false, false); !errors.Is(err, broker.ErrNotConnected) {
		t.Errorf("kicked twice: %v", err)
	}

	again := s.connect(5, "ada", persistent, withWill("gone", "ada"))
	if !again.ack.SessionPresent {
		t.Error("the session was lost")
	}
	if err := s.Kick("ada", true, true); err != nil {
		t.Fatal(err)
	}
	again.wantClosed()
	if _, ok := s.Client("ada"); ok {
		t.Error("the session is still there")
	}
	if err := s.Kick("ada", true, true); !errors.Is(err, broker.ErrNoClient) {
		t.Errorf("kicked out of nothing: %v", err)
	}
	watcher.ackPublish(packets.Puback, 1)
	watcher.quiet()
}

func TestDirectMessageNeedsNoSubscription(t *testing.T) {
	each(t, func(t *testing.T, version byte) {
		t.Helper()
		s := serve(t, setup{})
		p := s.connect(version, "ada")
		if err := s.Direct(t.Context(), "ada", &message.Message{Topic: "to/ada", Payload: []byte("hello")}, false); err != nil {
			t.Fatal(err)
		}
		if pk := p.wantMessage("to/ada", "hello"); pk.FixedHeader.Qos != 0 {
			t.Errorf("QoS %d", pk.FixedHeader.Qos)
		}
		confirmed := make(chan error, 1)
		go func() {
			confirmed <- s.Direct(t.Context(), "ada", &message.Message{Topic: "to/ada", Payload: []byte("sure?")}, true)
		}()
		pk := p.wantMessage("to/ada", "sure?")
		if pk.FixedHeader.Qos != 1 {
			t.Errorf("QoS %d", pk.FixedHeader.Qos)
		}
		select {
		case err := <-confirmed:
			t.Fatalf("confirmed before the PUBACK: %v", err)
		default:
		}
		p.ackPublish(packets.Puback, pk.PacketID)
		if err := <-confirmed; err != nil {
			t.Fatal(err)
		}
	})
}

func TestDirectMessageFails(t *testing.T) {
	s := serve(t, setup{opts: restricted()})
	s.connect(5, "eve")
	m := func(topic string) *message.Message {
		return &message.Message{Topic: topic, Payload: []byte("x")}
	}
	if err := s.Direct(t.Context(), "ada", m("shown/a"), true); !errors.Is(err, broker.ErrNoClient) {
		t.Errorf("nobody there: %v", err)
	}
	p := s.connect(5, "ada", persistent)
	if err := s.Direct(t.Context(), "ada", m("blind/a"), true); !errors.Is(err, broker.ErrMayNotReceive) {
		t.Errorf("forbidden: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Direct(ctx, "ada", m("shown/a"), true); !errors.Is(err, broker.ErrNotConfirmed) || !errors.Is(err, context.Canceled) {
		t.Errorf("no time to wait: %v", err)
	}
	pk := p.wantMessage("shown/a", "x")
	p.ackPublish(packets.Puback, pk.PacketID)

	refused := make(chan error, 1)
	go func() { refused <- s.Direct(t.Context(), "ada", m("shown/a"), true) }()
	pk = p.wantMessage("shown/a", "x")
	p.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, PacketID: pk.PacketID, ReasonCode: 0x87})
	if err := <-refused; !errors.Is(err, broker.ErrNotConfirmed) {
		t.Errorf("refused: %v", err)
	}
	p.bye()
	waitFor(t, func() bool { i, _ := s.Client("ada"); return !i.Connected })
	if err := s.Direct(t.Context(), "ada", m("shown/a"), true); !errors.Is(err, broker.ErrNotConnected) {
		t.Errorf("away: %v", err)
	}
	if err := s.Direct(t.Context(), "ada", m("a/#"), true); err == nil {
		t.Error("a wildcard was sent")
	}
}

func TestRetainedMessagesComeInPages(t *testing.T) {
	s := serve(t, setup{})
	p := s.connect(5, "ada")
	const n = 300
	for i := range n {
		p.publish(fmt.Sprintf("r/%03d", (i*7)%n), strconv.Itoa(i), retain)
	}
	p.publish("$own/x", "y", retain)
	var got []string
	for after := ""; ; {
		page := s.RetainedPage(after, 17)
		if len(page) == 0 {
			break
		}
		for _, m := range page {
			got = append(got, m.Topic)
			after = m.Topic
		}
	}
	if len(got) != n+1 || got[0] != "$own/x" {
		t.Fatalf("%d topics, the first is %q", len(got), got[0])
	}
	for i, topic := range got[1:] {
		if want := fmt.Sprintf("r/%03d", i); topic != want {
			t.Fatalf("topic %d is %q, want %q", i, topic, want)
		}
	}
	if m := s.Retained("r/007"); m == nil || string(m.Payload) != "1" {
		t.Errorf("r/007: %v", m)
	}
	if s.Retained("nothing") != nil {
		t.Error("a retained message out of nothing")
	}
}
