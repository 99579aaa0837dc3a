package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/listen"
)

// Fault 20: all that the server supports is said in CONNACK.
// [MQTT-3.2.2-9] [MQTT-3.2.2-16] [MQTT-3.2.2-21]
func TestConnackSaysEverything(t *testing.T) {
	one := 1
	s := serve(t, setup{limits: broker.Limits{
		MaxQoS: &one, MaxInflight: 77, MaxPacketSize: 5000, MaxTopicAliases: 9,
		MaxKeepAlive: 60 * time.Second, MaxSessionExpiry: 100 * time.Second,
	}})
	p := s.connect(5, "", func(pk *packets.Packet) {
		pk.Connect.Keepalive = 600
		pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = 4000, true
	})
	got := p.ack.Properties
	if got.MaximumQos != 1 || !got.MaximumQosFlag || got.ReceiveMaximum != 77 || got.MaximumPacketSize != 5000 ||
		got.TopicAliasMaximum != 9 || got.ServerKeepAlive != 60 || got.SessionExpiryInterval != 100 || got.AssignedClientID == "" {
		t.Errorf("CONNACK properties %+v", got)
	}
	if got.RetainAvailable != 1 || got.WildcardSubAvailable != 1 || got.SubIDAvailable != 1 || got.SharedSubAvailable != 1 {
		t.Errorf("not available: %+v", got)
	}
	if p.ack.SessionPresent {
		t.Error("a new session is said to be present")
	}
	// What is said is enforced. [MQTT-3.2.2-11]
	p.send(publishPacket("a", "x", 2, 1))
	if code := p.wantClosed(); code != 0x9B {
		t.Errorf("QoS 2 above Maximum QoS: DISCONNECT %#x, want 0x9B", code)
	}
}

func TestSessionPresent(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		s := serve(t, setup{})
		p := s.connect(v, "c", persistent)
		if p.ack.SessionPresent {
			t.Error("present on the first connection") // [MQTT-3.2.2-3]
		}
		p.subscribe("a", 1)
		p.bye()
		p = s.connect(v, "c", persistent)
		if !p.ack.SessionPresent {
			t.Error("absent although kept") // [MQTT-3.2.2-2]
		}
		p.bye()
		if p = s.connect(v, "c"); p.ack.SessionPresent {
			t.Error("present after clean start") // [MQTT-3.1.2-4]
		}
		pub := s.connect(v, "pub")
		pub.publish("a", "x")
		p.quiet() // the subscription is gone with the old session
		p.bye()
		if s.connect(v, "c", func(pk *packets.Packet) { pk.Connect.Clean = false }).ack.SessionPresent {
			t.Error("present although it ended with its connection")
		}
	})
}

// In MQTT 3.1 the byte that says so elsewhere is reserved.
func TestSessionPresentIsNotForMQTT31(t *testing.T) {
	s := serve(t, setup{})
	for range 2 {
		p := s.raw(4)
		p.write([]byte{0x10, 15, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 0, 0, 0, 0, 1, 'c'})
		if p.want(packets.Connack).SessionPresent {
			t.Error("Session Present")
		}
		p.bye()
	}
	if !s.connect(4, "c", persistent).ack.SessionPresent {
		t.Error("the session was not kept")
	}
}

// mosquitto's bridges set the highest bit of the version. They get no message back that
// they have brought, and RETAIN as it was published; and they say under $SYS whether they
// are connected, which no other client may in their place.
func TestBridge(t *testing.T) {
	const state = "$SYS/broker/connection/b/state"
	s := serve(t, setup{})
	watch := s.connect(4, "watch")
	watch.subscribe(state, 0)
	for version, name := range map[byte]string{0x83: "MQIsdp", 0x84: "MQTT"} {
		bridge := s.raw(4)
		b := append([]byte{0x10, byte(14 + len(name) + len(state)), 0, byte(len(name))}, name...)
		b = append(b, version, 0x02|0x04, 0, 0, 0, 1, 'b', 0, byte(len(state)))
		bridge.write(append(append(b, state...), 0, 1, '0'))
		bridge.wantCode(packets.Connack, 0)
		bridge.publish(state, "1")
		watch.wantMessage(state, "1")
		bridge.publish("$SYS/broker/connection/state", "nobody's") // acknowledged and dropped
		bridge.subscribe("a", 1)
		bridge.publish("a", "its own")
		bridge.quiet()
		other, pub := s.connect(4, "other"), s.connect(4, "pub")
		other.subscribe("a", 0)
		pub.publish("a", "retained", retain)
		for p, retained := range map[*peer]bool{bridge: true, other: false} {
			if got := p.wantMessage("a", "retained"); got.FixedHeader.Retain != retained {
				t.Errorf("RETAIN %v", got.FixedHeader.Retain)
			}
		}
		pub.publish("a", "", retain)
		pub.publish(state, "another's")
		bridge.lose()
		watch.wantMessage(state, "0")
	}
	// A bridge of MQTT 5 does not say that it is one.
	s.connect(5, "b", withWill(state, "5")).lose()
	watch.wantMessage(state, "5")
	if got := s.tryConnect(5, "c", withWill(state, "x")).ack.ReasonCode; got != 0x87 {
		t.Errorf("a will in another's place: CONNACK %#x", got)
	}
}

// Fault 16: an empty password is a password.
func TestEmptyPasswordIsLegal(t *testing.T) {
	each(t, func(t *testing.T, v byte) {
		t.Helper()
		var seen auth.Credentials
		s := serve(t, setup{opts: broker.Options{Auth: []auth.Method{methodFunc(func(c *auth.Credentials) (*auth.Principal, error) {
			seen = *c
			return &auth.Principal{Name: c.Username, Policy: auth.AllowAll{}}, nil
		})}}})
		s.connect(v, "c", func(pk *packets.Packet) {
			pk.Connect.UsernameFlag, pk.Connect.Username = true, []byte("ada")
			pk.Connect.PasswordFlag = true
		})
		if seen.Username != "ada" || !seen.HasUsername || seen.Password == nil || len(seen.Password) != 0 || seen.ClientID != "c" {
			t.Errorf("credentials %+v", seen)
		}
	})
}

type methodFunc func(*auth.Credentials) (*auth.Principal, error)

func (f methodFunc) Authenticate(_ context.Context, c *auth.Credentials) (*auth.Principal, error) {
	return f(c)
}

// A refusal has the code of the client's version. [MQTT-3.2.2-7]
func TestConnackReasonCodes(t *testing.T) {
	s := serve(t, setup{
		limits: broker.Limits{MaxClientID: 20},
		opts: broker.Options{Auth: []auth.Method{methodFunc(func(c *auth.Credentials) (*auth.Principal, error) {
			switch c.Username {
			case "wrong":
				return nil, auth.ErrRefused
			case "broken":
				return nil, errors.New("the directory does not answer")
			case "":
				return nil, auth.ErrNotMine
			}
			return &auth.Principal{Name: c.Username, Policy: topicPolicy{}}, nil
		})}},
	})
	user := func(name string) func(*packets.Packet) {
		return func(pk *packets.Packet) { pk.Connect.UsernameFlag, pk.Connect.Username = name != "", []byte(name) }
	}
	for _, c := range []struct {
		what        string
		id          string
		change      func(*packets.Packet)
		three, five byte
	}{
		{"bad credentials", "c", user("wrong"), 4, 0x86},
		{"nobody's credentials", "c", user(""), 5, 0x87},
		{"method fails", "c", user("broken"), 3, 0x88},
		{"client identifier too long", strings.Repeat("x", 21), user("ada"), 2, 0x85},
		{"will to a denied topic", "c", func(pk *packets.Packet) {
			user("ada")(pk)
			pk.Connect.WillFlag, pk.Connect.WillTopic = true, "denied/x"
		}, 5, 0x87},
		{"will to $SYS", "c", func(pk *packets.Packet) {
			user("ada")(pk)
			pk.Connect.WillFlag, pk.Connect.WillTopic = true, "$SYS/x"
		}, 5, 0x87},
	} {
		for v, want := range map[byte]byte{4: c.three, 5: c.five} {
			p := s.tryConnect(v, c.id, c.change)
			if p.ack.ReasonCode != want {
				t.Errorf("%s, version %d: code %#x, want %#x", c.what, v, p.ack.ReasonCode, want)
			}
			p.wantClosed()
		}
	}
	p := s.tryConnect(4, "", user("ada"), func(pk *packets.Packet) { pk.Connect.Clean = false })
	if p.ack.ReasonCode != 2 { // [MQTT-3.1.3-8]
		t.Errorf("no client identifier and a session to keep: code %#x, want 2", p.ack.ReasonCode)
	}
	p = s.tryConnect(5, "c", user("ada"), func(pk *packets.Packet) { pk.Properties.AuthenticationMethod = "SCRAM" })
	if p.ack.ReasonCode != 0x8C {
		t.Errorf("authentication method: code %#x, want 0x8C", p.ack.ReasonCode)
	}
}

// topicPolicy denies what begins with "denied", and lets topics below "blind" be
// subscribed to and not be received.
type topicPolicy struct{}

func (topicPolicy) Allows(a auth.Action, topic string) bool {
	return !strings.HasPrefix(topic, "denied") && (a != auth.Receive || !strings.HasPrefix(topic, "blind"))
}

func restricted() broker.Options {
	return broker.Options{Auth: []auth.Method{methodFunc(func(c *auth.Credentials) (*auth.Principal, error) {
		return &auth.Principal{Name: c.Username, Policy: topicPolicy{}}, nil
	})}}
}

// What a client may not do is refused as its version can say it, and not done.
func TestAuthorization(t *testing.T) {
	s := serve(t, setup{opts: restricted()})
	sub := s.connect(5, "sub")
	if got := sub.subscribe("denied/#", 1).ReasonCodes; got[0] != 0x87 {
		t.Errorf("SUBACK %#x, want 0x87", got[0])
	}
	if got := sub.subscribe("$share/g/denied/#", 1).ReasonCodes; got[0] != 0x87 {
		t.Errorf("SUBACK for a shared subscription %#x, want 0x87", got[0])
	}
	if got := s.connect(4, "old").subscribe("denied/#", 1).ReasonCodes; got[0] != 0x80 {
		t.Errorf("3.1.1: SUBACK %#x, want 0x80", got[0])
	}
	sub.subscribe("#", 1)
	five := s.connect(5, "five")
	five.send(publishPacket("denied/a", "x", 1, 1))
	five.wantCode(packets.Puback, 0x87)
	five.send(publishPacket("denied/a", "x", 2, 1))
	five.wantCode(packets.Pubrec, 0x87)
	// An alias does not get round it.
	five.send(publishPacket("denied/a", "x", 1, 1, func(pk *packets.Packet) {
		pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = 1, true
	}))
	five.wantCode(packets.Puback, 0x87)
	five.send(publishPacket("", "x", 1, 1, func(pk *packets.Packet) {
		pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = 1, true
	}))
	five.wantCode(packets.Puback, 0x87)
	three := s.connect(4, "three")
	three.send(publishPacket("denied/a", "x", 1, 1))
	three.wantCode(packets.Puback, 0) // acknowledged and dropped
	three.publish("blind/a", "x")
	sub.quiet()
	if s.MayReceive(originOf("sub"), "blind/a") || !s.MayReceive(originOf("sub"), "a") || s.MayReceive(originOf("nobody"), "a") {
		t.Error("MayReceive does not agree with the policy")
	}
}

// Anonymous clients are for one machine alone.
func TestAnonymousOnlyOnLoopback(t *testing.T) {
	for _, c := range []struct {
		cfg listen.Config
		key string
	}{
		{listen.Config{MQTT: listen.Addresses{"127.0.0.1:0", ":1883"}}, "listen.mqtt"},
		{listen.Config{MQTT: listen.Addresses{"0.0.0.0:0"}}, "listen.mqtt"},
		{listen.Config{MQTT: listen.Addresses{"127.0.0.1:0"}, HTTP: listen.Addresses{"10.0.0.1:8080"}}, "listen.http"},
		{listen.Config{HTTPS: listen.Addresses{"[::]:8443"}}, "listen.https"},
	} {
		_, err := broker.New(broker.Config{Listen: c.cfg}, broker.Options{})
		if err == nil || !strings.Contains(err.Error(), c.key) || !strings.Contains(err.Error(), "configure auth") {
			t.Errorf("%+v: error %v, want one that names %s and the remedy", c.cfg, err, c.key)
		}
	}
	b, err := broker.New(broker.Config{Listen: listen.Config{MQTT: listen.Addresses{"localhost:0", "[::1]:0"}, HTTP: listen.Addresses{"127.0.0.1:0"}}}, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}

// Fault 13: keep alives up to the largest are kept to. [MQTT-3.1.2-22]
func TestLongKeepAlivesDoNotOverflow(t *testing.T) {
	s := serve(t, setup{})
	for _, seconds := range []uint16{43690, 43691, 43692, 65535} {
		p := s.connect(4, "c", func(pk *packets.Packet) { pk.Connect.Keepalive = seconds })
		p.quiet()
		p.quiet()
	}
}

// Fault 20: a client that falls silent is told so. [MQTT-3.1.2-22]
func TestKeepAliveTimeoutHasAReason(t *testing.T) {
	s := serve(t, setup{})
	p := s.connect(5, "c", func(pk *packets.Packet) { pk.Connect.Keepalive = 1 })
	if code := p.wantClosed(); code != 0x8D {
		t.Errorf("DISCONNECT %#x, want 0x8D", code)
	}
}

// A DISCONNECT may shorten the session, not bring one to life. [MQTT-3.14.2-2]
func TestDisconnectChangesSessionExpiry(t *testing.T) {
	s := serve(t, setup{})
	disconnect := func(seconds uint32) packets.Packet {
		pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}}
		pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = seconds, true
		return pk
	}
	p := s.connect(5, "c", persistent)
	p.send(disconnect(0))
	p.wantClosed()
	p = s.connect(5, "c", func(pk *packets.Packet) { pk.Connect.Clean = false })
	if p.ack.SessionPresent {
		t.Error("the session outlived an expiry of 0")
	}
	p.send(disconnect(10))
	if code := p.wantClosed(); code != 0x82 {
		t.Errorf("DISCONNECT %#x, want 0x82", code)
	}
}
