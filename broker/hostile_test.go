package broker_test

import (
	"net"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
)

// Faults in packets end the connection with the right reason, and nobody else's.
// Faults 11 (a truncated SUBSCRIBE), 17 (aliases), 20 (reasons).
func TestFaultsEndTheConnectionWithAReason(t *testing.T) {
	alias := func(n uint16) func(*packets.Packet) {
		return func(pk *packets.Packet) { pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = n, true }
	}
	enc := &peer{t: t, version: 5}
	s := serve(t, setup{limits: broker.Limits{MaxPacketSize: 2000}})
	bystander := s.connect(5, "bystander")
	for _, c := range []struct {
		what string
		b    []byte
		code int
	}{
		{"SUBSCRIBE without its options", []byte{0x82, 11, 0, 1, 0, 0, 6, 'a', '/', 'b', '/', 'c', 'd'}, 0x81},
		{"SUBSCRIBE with reserved bits", []byte{0x82, 7, 0, 1, 0, 0, 1, 'a', 0xC0}, 0x81},
		{"SUBSCRIBE with Retain Handling 3", []byte{0x82, 7, 0, 1, 0, 0, 1, 'a', 0x30}, 0x82},
		{"SUBSCRIBE with flags 0", []byte{0x80, 7, 0, 1, 0, 0, 1, 'a', 0}, 0x81},
		{"SUBSCRIBE with identifier 0", []byte{0x82, 7, 0, 0, 0, 0, 1, 'a', 0}, 0x82},
		{"SUBSCRIBE without a filter", []byte{0x82, 3, 0, 1, 0}, 0x82},
		{"alias never set", enc.encode(publishPacket("", "x", 1, 1, alias(1))), 0x94},
		{"alias above the maximum", enc.encode(publishPacket("a", "x", 1, 1, alias(100))), 0x94},
		{"alias 0", []byte{0x30, 7, 0, 1, 'a', 3, 0x23, 0, 0}, 0x94},
		{"neither topic nor alias", enc.encode(publishPacket("", "x", 0, 0)), 0x82},
		{"wildcard in a topic", enc.encode(publishPacket("a/+", "x", 0, 0)), 0x90},
		{"topic that is no text", []byte{0x30, 5, 0, 2, 0xff, 0xfe, 0}, 0x81},
		{"PUBLISH that ends too early", []byte{0x30, 2, 0, 9}, 0x81},
		{"PUBLISH at QoS 3", []byte{0x36, 6, 0, 1, 'a', 0, 1, 0}, 0x81},
		{"DUP at QoS 0", []byte{0x38, 4, 0, 1, 'a', 0}, 0x81},
		{"a property twice", []byte{0x30, 8, 0, 1, 'a', 4, 1, 0, 1, 0}, 0x82},
		{"a property that PUBLISH has not", []byte{0x30, 9, 0, 1, 'a', 5, 0x11, 0, 0, 0, 0}, 0x81},
		{"a subscription identifier", []byte{0x30, 6, 0, 1, 'a', 2, 0x0B, 1}, 0x82},
		{"a wildcard as response topic", []byte{0x30, 8, 0, 1, 'a', 4, 8, 0, 1, '#'}, 0x82},
		{"packet too large", enc.encode(publishPacket("a", strings.Repeat("x", 2000), 0, 0)), 0x95},
		{"256 MB announced", []byte{0x30, 0xff, 0xff, 0xff, 0x7f}, 0x95},
		{"length of five bytes", []byte{0x30, 0xff, 0xff, 0xff, 0xff, 0x01}, 0x81},
		{"PUBACK with flags", []byte{0x41, 2, 0, 1}, 0x81},
		{"PUBREL with flags 0", []byte{0x60, 2, 0, 1}, 0x81},
		{"PUBACK of one byte", []byte{0x40, 1, 0}, 0x81},
		{"second CONNECT", enc.encode(connectPacket(5, "x")), 0x82},
		{"a packet only servers send", []byte{0x20, 2, 0, 0}, 0x82},
		{"packet type 0", []byte{0x00, 0}, 0x82},
		{"AUTH without a method", []byte{0xF0, 2, 0x18, 0}, 0x82},
		{"UNSUBSCRIBE without a filter", []byte{0xA2, 3, 0, 1, 0}, 0x82},
		{"SUBSCRIBE with properties beyond their length", []byte{0x82, 10, 0, 1, 3, 0x26, 0, 0, 0, 1, 'a', 0}, 0x81},
		{"SUBSCRIBE with two identifiers", []byte{0x82, 11, 0, 1, 4, 0x0B, 1, 0x0B, 2, 0, 1, 'a', 0}, 0x82},
		{"SUBSCRIBE with identifier 0 for its subscription", []byte{0x82, 9, 0, 1, 2, 0x0B, 0, 0, 1, 'a', 0}, 0x82},
		{"UNSUBSCRIBE with properties beyond their length", []byte{0xA2, 9, 0, 1, 3, 0x26, 0, 0, 0, 1, 'a'}, 0x81},
		{"UNSUBSCRIBE with a subscription identifier", []byte{0xA2, 8, 0, 1, 2, 0x0B, 1, 0, 1, 'a'}, 0x81},
		{"UNSUBSCRIBE with a filter that is no text", []byte{0xA2, 6, 0, 1, 0, 0, 1, 0xff}, 0x81},
		{"DISCONNECT with two expiries", []byte{0xE0, 12, 0, 10, 0x11, 0, 0, 0, 0, 0x11, 0, 0, 0, 0}, 0x82},
		{"DISCONNECT with a server's property", []byte{0xE0, 6, 0, 4, 0x1C, 0, 1, 'x'}, 0x81},
		{"DISCONNECT with more than it has", []byte{0xE0, 3, 0, 0, 9}, 0x81},
		{"DISCONNECT with flags", []byte{0xE1, 0}, 0x81},
		{"PINGREQ with content", []byte{0xC0, 1, 0}, 0x81},
	} {
		p := s.connect(5, "hostile")
		p.write(c.b)
		if code := p.wantClosed(); code != c.code {
			t.Errorf("%s: DISCONNECT %#x, want %#x", c.what, code, c.code)
		}
		old := s.connect(4, "hostile3")
		old.write([]byte{0x36, 5, 0, 1, 'a', 0, 1})
		if code := old.wantClosed(); code != -1 { // [MQTT-3.14.0-1]
			t.Fatalf("3.1.1 got a DISCONNECT %#x", code)
		}
	}
	bystander.quiet()
}

// What is wrong before and in CONNECT closes the connection, with an answer where
// there is one for the version. [MQTT-3.1.0-1] [MQTT-3.1.2-2] [MQTT-3.1.2-3]
func TestFaultsBeforeConnect(t *testing.T) {
	s := serve(t, setup{})
	name := []byte{0, 4, 'M', 'Q', 'T', 'T'}
	for _, c := range []struct {
		what string
		b    []byte
		want []byte
	}{
		{"PUBLISH first", []byte{0x30, 3, 0, 1, 'a'}, nil},
		{"PINGREQ first", []byte{0xC0, 0}, nil},
		{"HTTP", []byte("GET / HTTP/1.1\r\n\r\n"), nil},
		{"another protocol", append([]byte{0x10, 12, 0, 4}, 'H', 'T', 'T', 'P', 4, 2, 0, 0, 0, 0), nil},
		{"version 6", append([]byte{0x10, 12}, append(name, 6, 2, 0, 0, 0, 0)...), []byte{0x20, 3, 0, 0x84, 0}},
		{"version 2", append([]byte{0x10, 12}, append(name, 2, 2, 0, 0, 0, 0)...), []byte{0x20, 2, 0, 1}},
		{"reserved flag, 3.1.1", append([]byte{0x10, 12}, append(name, 4, 3, 0, 0, 0, 0)...), nil},
		{"reserved flag, 5", append([]byte{0x10, 13}, append(name, 5, 3, 0, 0, 0, 0, 0)...), []byte{0x20, 3, 0, 0x81, 0}},
		{"will QoS without a will", append([]byte{0x10, 13}, append(name, 5, 2|8, 0, 0, 0, 0, 0)...), []byte{0x20, 3, 0, 0x81, 0}},
		{"password without user name", append([]byte{0x10, 14}, append(name, 4, 2|0x40, 0, 0, 0, 0, 0, 0)...), nil},
		{"receive maximum 0", append([]byte{0x10, 16}, append(name, 5, 2, 0, 0, 3, 0x21, 0, 0, 0, 0)...), []byte{0x20, 3, 0, 0x82, 0}},
		{"session expiry twice", append([]byte{0x10, 23}, append(name, 5, 2, 0, 0, 10, 0x11, 0, 0, 0, 1, 0x11, 0, 0, 0, 1, 0, 0)...), []byte{0x20, 3, 0, 0x82, 0}},
		{"user name that is no text, 3.1.1", append([]byte{0x10, 15}, append(name, 4, 0x82, 0, 0, 0, 0, 0, 1, 0xff)...), nil},
		{"user name that is no text, 5", append([]byte{0x10, 16}, append(name, 5, 0x82, 0, 0, 0, 0, 0, 0, 1, 0xff)...), []byte{0x20, 3, 0, 0x81, 0}},
		{"client identifier that is no text", append([]byte{0x10, 14}, append(name, 5, 2, 0, 0, 0, 0, 1, 0xff)...), []byte{0x20, 3, 0, 0x81, 0}},
		{"more than there is, 3.1.1", append([]byte{0x10, 13}, append(name, 4, 2, 0, 0, 0, 0, 9)...), nil},
		{"more than there is, 5", append([]byte{0x10, 14}, append(name, 5, 2, 0, 0, 0, 0, 0, 9)...), []byte{0x20, 3, 0, 0x81, 0}},
		{"properties beyond the end", append([]byte{0x10, 13}, append(name, 5, 2, 0, 0, 9, 0, 0)...), []byte{0x20, 3, 0, 0x81, 0}},
		{"a will of payload format 2", append([]byte{0x10, 21}, append(name, 5, 6, 0, 0, 0, 0, 0, 2, 1, 2, 0, 1, 'w', 0, 0)...), []byte{0x20, 3, 0, 0x82, 0}},
		{"a will with two formats", append([]byte{0x10, 23}, append(name, 5, 6, 0, 0, 0, 0, 0, 4, 1, 1, 1, 1, 0, 1, 'w', 0, 0)...), []byte{0x20, 3, 0, 0x82, 0}},
		{"a will to be answered to #", append([]byte{0x10, 23}, append(name, 5, 6, 0, 0, 0, 0, 0, 4, 8, 0, 1, '#', 0, 1, 'w', 0, 0)...), []byte{0x20, 3, 0, 0x82, 0}},
		{"a will with a topic alias", append([]byte{0x10, 22}, append(name, 5, 6, 0, 0, 0, 0, 0, 3, 0x23, 0, 1, 0, 1, 'w', 0, 0)...), []byte{0x20, 3, 0, 0x81, 0}},
		{"a will topic that is no text", append([]byte{0x10, 19}, append(name, 5, 6, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0, 0)...), []byte{0x20, 3, 0, 0x81, 0}},
		{"3.1 without a client identifier", append([]byte{0x10, 14, 0, 6}, 'M', 'Q', 'I', 's', 'd', 'p', 3, 2, 0, 0, 0, 0), []byte{0x20, 2, 0, 2}},
		{"truncated", append([]byte{0x10, 8}, append(name, 4, 2)...), nil},
		{"80 KB announced", []byte{0x10, 0x80, 0x80, 0x05}, nil},
	} {
		p := s.raw(4)
		p.write(c.b)
		_ = p.conn.SetReadDeadline(time.Now().Add(patience))
		got := make([]byte, 0, 16)
		buf := make([]byte, 16)
		for {
			n, err := p.conn.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				if ne, ok := err.(net.Error); ok && ne.Timeout() { //nolint:errorlint // net.Conn returns it as it is
					t.Errorf("%s: not closed", c.what)
				}
				break
			}
		}
		if string(got) != string(c.want) {
			t.Errorf("%s: answer %x, want %x", c.what, got, c.want)
		}
	}
}

// Fault 12: who connects and says nothing is cut off.
func TestConnectTimeout(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{ConnectTimeout: time.Second}})
	s.raw(4).wantClosed()
	slow := s.raw(4)
	slow.write([]byte{0x10, 12, 0, 4})
	slow.wantClosed()
}

// Fault 17: clients do not publish to $SYS, and are told so.
func TestClientsCannotWriteSYS(t *testing.T) {
	s := serve(t, setup{})
	watch := s.connect(5, "watch")
	watch.subscribe("$SYS/broker/version", 0)
	watch.wantMessage("$SYS/broker/version", "topicwire version devel")
	p := s.connect(5, "p")
	for _, qos := range []byte{1, 2} {
		p.send(publishPacket("$SYS/broker/version", "hacked", qos, 1, retain))
		pk, err := p.next()
		if err != nil || pk.ReasonCode != 0x87 {
			t.Errorf("QoS %d: code %#x, %v", qos, pk.ReasonCode, err)
		}
	}
	old := s.connect(4, "old")
	old.publish("$SYS/broker/version", "hacked", retain)
	watch.quiet()
}

// Limits of topics and payloads are answered per message.
func TestPublishLimits(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{Profile: broker.ProfileAWSIoT}})
	p := s.connect(5, "p")
	if p.ack.Properties.MaximumQos != 1 || p.ack.Properties.ReceiveMaximum != 100 || p.ack.Properties.TopicAliasMaximum != 8 {
		t.Errorf("CONNACK of the profile: %+v", p.ack.Properties)
	}
	for topic, code := range map[string]byte{
		"1/2/3/4/5/6/7/8":                          0,
		"1/2/3/4/5/6/7/8/9":                        0x90,
		strings.Repeat("x", 256):                   0,
		strings.Repeat("x", 257):                   0x90,
		"$aws/rules/r/1/2/3/4/5/6/7/8":             0,
		"$aws/rules/r/1/2/3/4/5/6/7/8/9":           0x90,
		"$aws/rules/r/" + strings.Repeat("x", 256): 0,
	} {
		p.send(publishPacket(topic, "x", 1, 1))
		p.wantCode(packets.Puback, code)
	}
	p.send(publishPacket("a", strings.Repeat("x", 128<<10), 1, 1))
	p.wantCode(packets.Puback, 0)
	p.send(publishPacket("a", strings.Repeat("x", 128<<10+1), 1, 1))
	p.wantCode(packets.Puback, 0x97)
	p.send(publishPacket("a", "\xff", 1, 1, func(pk *packets.Packet) {
		pk.Properties.PayloadFormat, pk.Properties.PayloadFormatFlag = 1, true
	}))
	p.wantCode(packets.Puback, 0x99)
}
