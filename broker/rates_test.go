package broker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/broker/session"
)

// The profile has the values of AWS IoT Core's quota page.
func TestProfileHasTheValuesOfAWS(t *testing.T) {
	one := 1
	got := broker.Limits{Profile: broker.ProfileAWSIoT}.Effective()
	def := broker.DefaultLimits()
	want := def // what AWS has no figure for
	want.Profile = broker.ProfileAWSIoT
	want.MaxPacketSize, want.MaxPayloadSize = 146*1024, 128*1024
	want.MaxClientID = 128
	want.MaxTopicLength, want.MaxTopicLevels = 256, 8 // seven slashes
	want.MaxSubscriptions, want.MaxFilters = 50, 8
	want.MaxQoS, want.MaxInflight, want.MaxTopicAliases = &one, 100, 8
	want.MinKeepAlive, want.MaxKeepAlive = 30*time.Second, 1200*time.Second
	want.MaxSessionExpiry, want.MaxMessageExpiry = 3600*time.Second, 604800*time.Second
	want.MaxSessions, want.MaxRetained = 500_000, 500_000
	want.RateLimits = broker.RateLimits{
		PublishRatePerClient: 100, ThroughputPerClient: 512 * 1024,
		ConnectRatePerClient: 1, ConnectRate: 3000, PublishRate: 20_000,
		RetainedRate: 500, RetainedRatePerTopic: 1, QueuedRate: 500,
		MaxContentType: 256, MaxCorrelationData: 8192, MaxUserProperties: 8192,
		MaxTotalSubscriptions: 500_000, MaxSharedGroups: 100, MaxSharedMembers: 100, MaxSharedQueued: 500_000,
		MaxWebSocketLifetime: 24 * time.Hour,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A client that publishes too fast loses what is too much: at QoS 1 it is told so, or
// gets no acknowledgement where there is no other way.
func TestPublishRatePerClient(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		reg := prometheus.NewRegistry()
		s := serve(t, setup{limits: broker.Limits{RateLimits: broker.RateLimits{PublishRatePerClient: 5}}, opts: broker.Options{Metrics: reg}})
		p := s.connect(v, "p")
		var b []byte
		for id := range uint16(50) {
			b = append(b, p.encode(publishPacket("a", "x", 1, id+1))...)
		}
		p.write(append(b, p.encode(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}})...))
		taken, refused := 0, 0
		for {
			pk := p.wantAny()
			if pk.FixedHeader.Type == packets.Pingresp {
				break
			}
			if pk.ReasonCode == 0x97 {
				refused++
			} else {
				taken++
			}
		}
		throttled := int(metric(t, reg, "topicwire_broker_publishes_throttled_total"))
		if taken < 5 || throttled == 0 || taken+throttled != 50 {
			t.Errorf("%d taken and %d throttled of 50 messages at once, the limit is 5 a second", taken, throttled)
		}
		if v == 5 && refused != throttled || v == 4 && refused != 0 {
			t.Errorf("%d refused, %d throttled", refused, throttled)
		}
	})
}

// To a client that may be sent no more for now, QoS 1 waits and QoS 0 is dropped.
func TestPublishRateToAClient(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{RateLimits: broker.RateLimits{PublishRatePerClient: 20}}})
	sub := s.connect(5, "sub")
	sub.subscribe("a", 1)
	for i := range 40 { // by another client each: they have limits of their own
		p := s.connect(5, "p")
		p.publish("a", fmt.Sprint(i))
		_ = p.conn.Close()
	}
	for i := range 40 {
		sub.ackPublish(packets.Puback, sub.wantMessage("a", fmt.Sprint(i)).PacketID)
	}
}

// What is read from a client, and written to it, is held to the throughput and arrives
// nevertheless.
func TestThroughputPerClient(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{RateLimits: broker.RateLimits{ThroughputPerClient: 100 << 10}}})
	p := s.connect(5, "p")
	p.subscribe("a", 1)
	begin := time.Now()
	payload := strings.Repeat("x", 10<<10)
	for id := range uint16(12) { // 240 KB in both directions, of which a second's worth is free
		p.send(publishPacket("a", payload, 1, id+1))
	}
	for acks, messages := 0, 0; acks < 12 || messages < 12; {
		switch pk := p.wantAny(); pk.FixedHeader.Type {
		case packets.Puback:
			acks++
		case packets.Publish:
			messages++
			p.ackPublish(packets.Puback, pk.PacketID)
		}
	}
	if took := time.Since(begin); took < time.Second { // a bound from below does not depend on the machine
		t.Errorf("240 KB took %v at 100 KB a second", took)
	}
}

// Connections under one client identifier, and all together.
func TestConnectRates(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		code := byte(0x9F)
		if v == 4 {
			code = 3
		}
		s := serve(t, setup{limits: broker.Limits{RateLimits: broker.RateLimits{ConnectRatePerClient: 0.01}}})
		s.connect(v, "a")
		if got := s.tryConnect(v, "a").ack.ReasonCode; got != code {
			t.Errorf("the second connection: CONNACK %#x, want %#x", got, code)
		}
		s.connect(v, "b")
		s = serve(t, setup{limits: broker.Limits{RateLimits: broker.RateLimits{ConnectRate: 0.01}}})
		s.connect(v, "a")
		if got := s.tryConnect(v, "b").ack.ReasonCode; got != code {
			t.Errorf("the second client: CONNACK %#x, want %#x", got, code)
		}
	})
}

func TestSharedRates(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits broker.RateLimits
		then   func(*peer) // what is too much
	}{
		{"publish_rate", broker.RateLimits{PublishRate: 0.01}, func(p *peer) { p.send(publishPacket("c", "y", 1, 1)) }},
		{"retained_rate", broker.RateLimits{RetainedRate: 0.01}, func(p *peer) { p.send(publishPacket("b", "y", 1, 1, retain)) }},
		{"retained_rate_per_topic", broker.RateLimits{RetainedRatePerTopic: 0.01}, func(p *peer) { p.send(publishPacket("a", "y", 1, 1, retain)) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := serve(t, setup{limits: broker.Limits{RateLimits: c.limits, SysInterval: -1}})
			s.connect(5, "one").publish("a", "x", retain)
			two := s.connect(5, "two")
			if c.limits.PublishRate == 0 {
				two.publish("a", "not retained")
			}
			if c.limits.RetainedRatePerTopic > 0 {
				two.publish("other", "x", retain)
			}
			c.then(two)
			two.wantCode(packets.Puback, 0x97)
			sub := s.connect(5, "sub")
			sub.subscribe("a", 0)
			sub.wantMessage("a", "x")
		})
	}
}

func TestPropertyLimits(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{RateLimits: broker.RateLimits{MaxContentType: 10, MaxCorrelationData: 10, MaxUserProperties: 10}}})
	p := s.connect(5, "p")
	for i, c := range []struct {
		set  func(*packets.Properties)
		code byte
	}{
		{func(p *packets.Properties) { p.ContentType = strings.Repeat("x", 10) }, 0},
		{func(p *packets.Properties) { p.ContentType = strings.Repeat("x", 11) }, 0x97},
		{func(p *packets.Properties) { p.CorrelationData = make([]byte, 10) }, 0},
		{func(p *packets.Properties) { p.CorrelationData = make([]byte, 11) }, 0x97},
		{func(p *packets.Properties) {
			p.User = []packets.UserProperty{{Key: "1234", Val: "1"}, {Key: "1234", Val: "1"}}
		}, 0},
		{func(p *packets.Properties) {
			p.User = []packets.UserProperty{{Key: "1234", Val: "1"}, {Key: "1234", Val: "12"}}
		}, 0x97},
	} {
		p.send(publishPacket("a", "x", 1, 1, func(pk *packets.Packet) { c.set(&pk.Properties) }))
		if got := p.want(packets.Puback).ReasonCode; got != c.code {
			t.Errorf("case %d: PUBACK %#x, want %#x", i, got, c.code)
		}
		will := withWill("w", "x", func(pk *packets.Packet) { c.set(&pk.Connect.WillProperties) })
		if got := s.tryConnect(5, "will", will).ack.ReasonCode; got != c.code {
			t.Errorf("case %d, in a will: CONNACK %#x, want %#x", i, got, c.code)
		}
	}
}

// Subscriptions of all clients, shared groups and their members.
func TestSubscriptionLimitsOfAllClients(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{RateLimits: broker.RateLimits{MaxTotalSubscriptions: 4, MaxSharedGroups: 1, MaxSharedMembers: 2}}})
	one, two, three := s.connect(5, "1"), s.connect(5, "2"), s.connect(5, "3")
	for i, c := range []struct {
		p      *peer
		filter string
		code   byte
	}{
		{one, "$share/g/a", 0},
		{one, "$share/g/a", 0},    // the same again
		{one, "$share/g/b", 0x97}, // another group
		{two, "$share/g/a", 0},
		{three, "$share/g/a", 0x97}, // a third member
		{three, "x", 0},
		{three, "y", 0},
		{three, "z", 0x97},
		{three, "y", 0},
	} {
		if got := c.p.subscribe(c.filter, 0).ReasonCodes[0]; got != c.code {
			t.Errorf("step %d: SUBACK %#x, want %#x", i, got, c.code)
		}
	}
	one.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, PacketID: 1, Filters: packets.Subscriptions{{Filter: "$share/g/a"}}})
	one.want(packets.Unsuback)
	two.bye()
	if got := one.subscribe("$share/other/b", 0).ReasonCodes[0]; got != 0 {
		t.Errorf("with the group gone: SUBACK %#x", got)
	}
}

// What may be kept for clients that are away: so much a second of all, and so much of one
// shared subscription.
func TestQueueLimitsOfAllClients(t *testing.T) {
	reg := prometheus.NewRegistry()
	s := serve(t, setup{limits: broker.Limits{RateLimits: broker.RateLimits{QueuedRate: 0.01}}, opts: broker.Options{Metrics: reg}})
	s.connect(5, "c", persistent).subscribeAndLeave("a", 1)
	pub := s.connect(5, "pub")
	pub.publishMany("a", 1, 3)
	c := s.connect(5, "c", persistent)
	c.wantMessage("a", "0")
	c.quiet()
	if n := metric(t, reg, "topicwire_broker_dropped_queued_rate_total"); n != 2 {
		t.Errorf("%v are counted as dropped, want 2", n)
	}
	pub.publish("a", "live") // it is there: there is no limit
	c.wantMessage("a", "live")

	for _, policy := range []session.Policy{session.DropOldest, session.Refuse} {
		s := serve(t, setup{limits: broker.Limits{Queue: broker.QueueLimits{Policy: policy}, RateLimits: broker.RateLimits{MaxSharedQueued: 4}}})
		for _, id := range []string{"1", "2"} {
			s.connect(5, id, persistent).subscribeAndLeave("$share/g/a", 1)
		}
		pub := s.connect(5, "pub")
		for i := range 6 {
			pub.send(publishPacket("a", fmt.Sprint(i), 1, 1))
			want := byte(0)
			if policy == session.Refuse && i >= 4 {
				want = 0x97
			}
			pub.wantCode(packets.Puback, want)
		}
		got := map[string]bool{}
		c := s.connect(5, "1", persistent)
		for range 4 {
			got[string(c.want(packets.Publish).Payload)] = true
		}
		c.quiet()
		if len(got) != 4 || got["4"] || got["5"] {
			t.Errorf("%s: got %v, want the first four", policy, got)
		}
	}
}

// AWS ends WebSocket connections after a day.
func TestWebSocketLifetime(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{RateLimits: broker.RateLimits{MaxWebSocketLifetime: time.Second}}})
	ws := dialWS(t, s.Broker)
	p := &peer{t: t, version: 5}
	if err := ws.WriteMessage(websocket.BinaryMessage, p.encode(connectPacket(5, "c"))); err != nil {
		t.Fatal(err)
	}
	var last []byte
	for {
		_, b, err := ws.ReadMessage()
		if err != nil {
			if !websocket.IsCloseError(err, websocket.CloseNormalClosure) {
				t.Errorf("it ended with %v", err)
			}
			break
		}
		last = b
	}
	if len(last) != 4 || last[0] != 0xE0 || last[2] != 0xA0 {
		t.Errorf("the last packet was %x, want DISCONNECT with 0xA0", last)
	}
	s.connect(5, "tcp").quiet() // MQTT over TCP has no such limit
}

// A client of 3.1.1 cannot be told, but is held to the limits of the keep alive.
func TestKeepAliveLimitsHoldForEveryVersion(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{limits: broker.Limits{MaxKeepAlive: time.Second}})
		p := s.connect(v, "none")
		if v == 5 && p.ack.Properties.ServerKeepAlive != 1 {
			t.Errorf("Server Keep Alive %d", p.ack.Properties.ServerKeepAlive)
		}
		p.wantClosed()
	})
}

func TestRateLimitsCheck(t *testing.T) {
	for _, c := range []struct {
		limits broker.RateLimits
		path   string
	}{
		{broker.RateLimits{PublishRatePerClient: -1}, "publish_rate_per_client"},
		{broker.RateLimits{ThroughputPerClient: 10}, "throughput_per_client"},
		{broker.RateLimits{QueuedRate: -1}, "queued_rate"},
		{broker.RateLimits{MaxSharedQueued: -1}, "max_shared_queued"},
		{broker.RateLimits{MaxWebSocketLifetime: time.Millisecond}, "max_websocket_lifetime"},
	} {
		var paths []string
		broker.Limits{RateLimits: c.limits, Limits: listen.Limits{}}.Check(func(path, _, _ string) { paths = append(paths, path) })
		if got := strings.Join(paths, ","); got != c.path {
			t.Errorf("reports %q, want %q", got, c.path)
		}
	}
}
