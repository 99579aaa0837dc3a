package mqttclient_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// everyProperty sets every property that there is.
func everyProperty() mqttclient.Properties {
	return mqttclient.Properties{
		PayloadFormat: new(byte(1)), MessageExpiry: new(uint32(0)), ContentType: "text/plain", ResponseTopic: "r/t",
		CorrelationData: []byte{}, SubscriptionIDs: []uint32{1, 268435455}, SessionExpiry: new(uint32(0xffffffff)),
		AssignedClientID: "me", ServerKeepAlive: new(uint16(0)), AuthMethod: "m", AuthData: []byte{0, 255},
		RequestProblem: new(byte(0)), WillDelay: new(uint32(3)), RequestResponse: new(byte(1)), ResponseInfo: "i",
		ServerReference: "s", ReasonString: "why", ReceiveMaximum: 65535, TopicAliasMaximum: new(uint16(0)), TopicAlias: 1,
		MaximumQoS: new(byte(1)), RetainAvailable: new(byte(0)), User: []mqttclient.UserProperty{{Key: "k", Value: "v"}, {Key: "k"}},
		MaximumPacketSize: 1 << 20, WildcardAvailable: new(byte(1)), SubIDAvailable: new(byte(1)), SharedAvailable: new(byte(0)),
	}
}

// packets are examples of every type; those with properties are for MQTT 5 only.
func packets() map[string]struct {
	p  mqttclient.Packet
	v5 bool
} {
	props := everyProperty()
	type example = struct {
		p  mqttclient.Packet
		v5 bool
	}
	return map[string]example{
		"connect":       {p: &mqttclient.Connect{ClientID: "c", CleanStart: true, KeepAlive: 60}},
		"connect full":  {p: &mqttclient.Connect{Username: new(""), Password: []byte("p"), Will: &mqttclient.Will{Topic: "w", Payload: []byte("gone"), QoS: 2, Retain: true}}},
		"connect props": {p: &mqttclient.Connect{Props: props, Will: &mqttclient.Will{Topic: "w", Payload: []byte{}, Props: props}}, v5: true},
		"connack":       {p: &mqttclient.Connack{SessionPresent: true}},
		"connack props": {p: &mqttclient.Connack{Reason: 0x87, Props: props}, v5: true},
		"publish":       {p: &mqttclient.Publish{Topic: "a/b", Payload: []byte("x")}},
		"publish q2":    {p: &mqttclient.Publish{Topic: "a", QoS: 2, PacketID: 7, Dup: true, Retain: true}},
		"publish big":   {p: &mqttclient.Publish{Topic: "a", Payload: bytes.Repeat([]byte("0123456789"), 2000)}},
		"publish props": {p: &mqttclient.Publish{Topic: "a", QoS: 1, PacketID: 65535, Props: props, Payload: []byte("x")}, v5: true},
		"puback":        {p: &mqttclient.Ack{Kind: mqttclient.PUBACK, PacketID: 1}},
		"pubrec":        {p: &mqttclient.Ack{Kind: mqttclient.PUBREC, PacketID: 1, Reason: 0x10}, v5: true},
		"pubrel":        {p: &mqttclient.Ack{Kind: mqttclient.PUBREL, PacketID: 1}},
		"pubcomp":       {p: &mqttclient.Ack{Kind: mqttclient.PUBCOMP, PacketID: 1, Props: props}, v5: true},
		"subscribe":     {p: &mqttclient.Subscribe{PacketID: 1, Subscriptions: []mqttclient.Subscription{{Filter: "#"}, {Filter: "+/a", QoS: 2}}}},
		"subscribe opts": {p: &mqttclient.Subscribe{PacketID: 1, Props: props, Subscriptions: []mqttclient.Subscription{
			{Filter: "a", QoS: 1, NoLocal: true, RetainAsPublished: true, RetainHandling: 2},
		}}, v5: true},
		"suback":       {p: &mqttclient.Suback{Kind: mqttclient.SUBACK, PacketID: 1, Reasons: []mqttclient.Reason{0, 2, 0x80}}},
		"unsubscribe":  {p: &mqttclient.Unsubscribe{PacketID: 1, Filters: []string{"a", "b/#"}}},
		"unsuback":     {p: &mqttclient.Suback{Kind: mqttclient.UNSUBACK, PacketID: 1}},
		"pingreq":      {p: &mqttclient.Ping{Kind: mqttclient.PINGREQ}},
		"pingresp":     {p: &mqttclient.Ping{Kind: mqttclient.PINGRESP}},
		"disconnect":   {p: &mqttclient.Disconnect{Kind: mqttclient.DISCONNECT}},
		"disconnect r": {p: &mqttclient.Disconnect{Kind: mqttclient.DISCONNECT, Reason: 0x8e, Props: props}, v5: true},
		"auth":         {p: &mqttclient.Disconnect{Kind: mqttclient.AUTH, Reason: 0x18, Props: props}, v5: true},
	}
}

func TestRoundTrip(t *testing.T) {
	for name, tt := range packets() {
		for _, v := range []mqttclient.Version{mqttclient.V311, mqttclient.V5} {
			if tt.v5 && v != mqttclient.V5 {
				continue
			}
			t.Run(name+" "+v.String(), func(t *testing.T) {
				b, err := tt.p.Append([]byte("before"), v)
				if err != nil {
					t.Fatal(err)
				}
				first, body, rest, need, ok, err := mqttclient.Frame(append(b, "after"...)[len("before"):])
				if err != nil || !ok || string(rest) != "after" || need != len(b)-len("before") {
					t.Fatalf("frame: ok %t, rest %.20q, need %d of %d, %v", ok, rest, need, len(b), err)
				}
				got, err := mqttclient.Decode(v, first, body)
				if err != nil {
					t.Fatal(err)
				}
				if c, ok := got.(*mqttclient.Connect); ok { // the packet itself says its version
					if c.Version != v {
						t.Errorf("version %d", c.Version)
					}
					c.Version = 0
				}
				if diff := cmp.Diff(tt.p, got); diff != "" {
					t.Errorf("not what was written (-want +got):\n%s", diff)
				}
			})
		}
	}
}

func TestWireForm(t *testing.T) {
	// Bytes as MQTT 5, section 3, gives them; round trips alone could be wrong on both ways.
	tests := map[string]struct {
		v    mqttclient.Version
		p    mqttclient.Packet
		want string
	}{
		"connect":    {mqttclient.V311, &mqttclient.Connect{ClientID: "id", CleanStart: true, KeepAlive: 10}, "\x10\x0e\x00\x04MQTT\x04\x02\x00\x0a\x00\x02id"},
		"connect v5": {mqttclient.V5, &mqttclient.Connect{Username: new("u"), Props: mqttclient.Properties{ReceiveMaximum: 20}}, "\x10\x13\x00\x04MQTT\x05\x80\x00\x00\x03\x21\x00\x14\x00\x00\x00\x01u"},
		"publish":    {mqttclient.V5, &mqttclient.Publish{Topic: "a", QoS: 1, PacketID: 258, Retain: true, Payload: []byte("hi")}, "\x33\x08\x00\x01a\x01\x02\x00hi"},
		"subscribe":  {mqttclient.V5, &mqttclient.Subscribe{PacketID: 1, Subscriptions: []mqttclient.Subscription{{Filter: "#", QoS: 1, NoLocal: true}}}, "\x82\x07\x00\x01\x00\x00\x01#\x05"},
		"pubrel":     {mqttclient.V5, &mqttclient.Ack{Kind: mqttclient.PUBREL, PacketID: 3}, "\x62\x02\x00\x03"},
		"refusal":    {mqttclient.V5, &mqttclient.Ack{Kind: mqttclient.PUBACK, PacketID: 3, Reason: 0x87}, "\x40\x03\x00\x03\x87"},
		"refusal v4": {mqttclient.V311, &mqttclient.Ack{Kind: mqttclient.PUBACK, PacketID: 3, Reason: 0x87}, "\x40\x02\x00\x03"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := tt.p.Append(nil, tt.v)
			if err != nil || string(got) != tt.want {
				t.Errorf("got %q, %v; want %q", got, err, tt.want)
			}
		})
	}
}

func TestTooLong(t *testing.T) {
	long := strings.Repeat("a", 65536)
	for name, p := range map[string]mqttclient.Packet{
		"topic":         &mqttclient.Publish{Topic: long},
		"correlation":   &mqttclient.Publish{Topic: "a", Props: mqttclient.Properties{CorrelationData: []byte(long)}},
		"user property": &mqttclient.Publish{Topic: "a", Props: mqttclient.Properties{User: []mqttclient.UserProperty{{Key: long}}}},
		"client id":     &mqttclient.Connect{ClientID: long},
		"filter":        &mqttclient.Subscribe{Subscriptions: []mqttclient.Subscription{{Filter: long}}},
	} {
		t.Run(name, func(t *testing.T) {
			b, err := p.Append([]byte("kept"), mqttclient.V5)
			if !errors.Is(err, mqttclient.ErrTooLong) || string(b) != "kept" {
				t.Errorf("got %d bytes, %v", len(b), err)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	for name, b := range map[string]string{
		"type 0":              "\x00\x00",
		"flags of PUBREL":     "\x60\x02\x00\x01",
		"flags of CONNACK":    "\x21\x02\x00\x00",
		"QoS 3":               "\x36\x05\x00\x01a\x00\x01",
		"id 0":                "\x32\x06\x00\x01a\x00\x00\x00",
		"topic too short":     "\x30\x03\x00\x05a",
		"not UTF-8":           "\x30\x04\x00\x01\xff\x00",
		"null in text":        "\x30\x04\x00\x01\x00\x00",
		"properties too long": "\x30\x04\x00\x01a\x05",
		"property unknown":    "\x30\x06\x00\x01a\x02\x7f\x00",
		"too many bytes":      "\xc0\x01\x00",
		"no filter":           "\x82\x03\x00\x01\x00",
		"protocol name":       "\x10\x0a\x00\x04MQTX\x04\x00\x00\x00",
		"protocol level":      "\x10\x0a\x00\x04MQTT\x03\x00\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			first, body, _, _, ok, err := mqttclient.Frame([]byte(b))
			if !ok || err != nil {
				t.Fatalf("no frame: %v", err)
			}
			if p, err := mqttclient.Decode(mqttclient.V5, first, body); !errors.Is(err, mqttclient.ErrMalformed) {
				t.Errorf("taken as %+v, %v", p, err)
			}
		})
	}
}

func TestReader(t *testing.T) {
	var stream []byte
	var want []int
	for _, n := range []int{0, 1, 5, 130, 17000, 3} {
		p := &mqttclient.Publish{Topic: "t", Payload: make([]byte, n)}
		stream, _ = p.Append(stream, mqttclient.V311)
		want = append(want, n)
	}
	r := mqttclient.NewReader(iotest.OneByteReader(bytes.NewReader(stream)), 16, 0)
	for _, n := range want {
		first, body, err := r.Next()
		if err != nil || first != 0x30 || len(body) != n+3 {
			t.Fatalf("got %d bytes, %v; want %d", len(body), err, n+3)
		}
	}
	if _, _, err := r.Next(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}

	whole := mqttclient.NewReader(bytes.NewReader(stream), 1<<16, 0)
	if _, _, err := whole.Next(); err != nil || !whole.Ready() {
		t.Errorf("a packet that has been read is not ready: %v", err)
	}
	cut := mqttclient.NewReader(bytes.NewReader([]byte("\x30\x05\x00")), 16, 0)
	if _, _, err := cut.Next(); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off within a packet: %v", err)
	}
	limited := mqttclient.NewReader(bytes.NewReader([]byte("\x30\xff\xff\xff\x7f")), 16, 1000)
	if _, _, err := limited.Next(); !errors.Is(err, mqttclient.ErrMalformed) {
		t.Errorf("larger than allowed: %v", err)
	}
	long := mqttclient.NewReader(bytes.NewReader([]byte("\x30\xff\xff\xff\xff\x01")), 16, 0)
	if _, _, err := long.Next(); !errors.Is(err, mqttclient.ErrMalformed) {
		t.Errorf("five bytes of length: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	for _, tt := range packets() {
		b, err := tt.p.Append(nil, mqttclient.V5)
		if err != nil || len(b) > 10_000 {
			continue
		}
		f.Add(b, true)
		b, _ = tt.p.Append(nil, mqttclient.V311)
		f.Add(b, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, five bool) {
		v := mqttclient.V311
		if five {
			v = mqttclient.V5
		}
		first, body, _, _, ok, err := mqttclient.Frame(b)
		if !ok || err != nil {
			return
		}
		p, err := mqttclient.Decode(v, first, body)
		if err != nil {
			return
		}
		if c, ok := p.(*mqttclient.Connect); ok {
			v = c.Version
		}
		again, err := p.Append(nil, v) // not b: properties may be in another order or doubled
		if err != nil {
			t.Fatalf("decoded but not encoded: %v", err)
		}
		first, body, _, _, _, _ = mqttclient.Frame(again)
		q, err := mqttclient.Decode(v, first, body)
		if err != nil {
			t.Fatalf("our own form is not understood: %v", err)
		}
		if diff := cmp.Diff(p, q); diff != "" {
			t.Errorf("changed on the way (-first +second):\n%s", diff)
		}
	})
}
