package broker_test

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
)

// peer is a raw MQTT client: it sends what it is told and shows what it gets.
type peer struct {
	t       testing.TB
	conn    net.Conn
	r       *bufio.Reader
	version byte
	ack     packets.Packet // the CONNACK
}

// raw connects without a CONNECT.
func (s *server) raw(version byte) *peer {
	s.t.Helper()
	conn, err := net.Dial("tcp", s.Addrs()[0].String())
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = conn.Close() })
	return &peer{t: s.t, conn: conn, r: bufio.NewReaderSize(conn, 64<<10), version: version}
}

// connect connects with a clean session unless change says otherwise.
func (s *server) connect(version byte, id string, change ...func(*packets.Packet)) *peer {
	s.t.Helper()
	p := s.tryConnect(version, id, change...)
	if p.ack.ReasonCode != 0 {
		s.t.Fatalf("CONNACK with code %#x", p.ack.ReasonCode)
	}
	return p
}

func (s *server) tryConnect(version byte, id string, change ...func(*packets.Packet)) *peer {
	s.t.Helper()
	p := s.raw(version)
	p.send(connectPacket(version, id, change...))
	p.ack = p.want(packets.Connack)
	return p
}

func connectPacket(version byte, id string, change ...func(*packets.Packet)) packets.Packet {
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}, ProtocolVersion: version}
	pk.Connect.ProtocolName = []byte("MQTT")
	pk.Connect.Clean = true
	pk.Connect.ClientIdentifier = id
	for _, f := range change {
		f(&pk)
	}
	return pk
}

// persistent asks for a session that outlives its connection.
func persistent(pk *packets.Packet) {
	pk.Connect.Clean = false
	if pk.ProtocolVersion == 5 {
		pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = 3600, true
	}
}

func receiveMaximum(n uint16) func(*packets.Packet) {
	return func(pk *packets.Packet) { pk.Properties.ReceiveMaximum = n }
}

func (p *peer) send(pk packets.Packet) {
	p.t.Helper()
	p.write(p.encode(pk))
}

func (p *peer) encode(pk packets.Packet) []byte {
	p.t.Helper()
	pk.ProtocolVersion = p.version
	pk.Mods.AllowResponseInfo = true
	var b bytes.Buffer
	encode := map[byte]func(*bytes.Buffer) error{
		packets.Connect: pk.ConnectEncode, packets.Publish: pk.PublishEncode, packets.Puback: pk.PubackEncode,
		packets.Pubrec: pk.PubrecEncode, packets.Pubrel: pk.PubrelEncode, packets.Pubcomp: pk.PubcompEncode,
		packets.Subscribe: pk.SubscribeEncode, packets.Unsubscribe: pk.UnsubscribeEncode,
		packets.Pingreq: pk.PingreqEncode, packets.Disconnect: pk.DisconnectEncode,
	}[pk.FixedHeader.Type]
	switch pk.FixedHeader.Type {
	case packets.Pubrel, packets.Subscribe, packets.Unsubscribe:
		pk.FixedHeader.Qos = 1
	}
	if err := encode(&b); err != nil {
		p.t.Fatal(err)
	}
	return b.Bytes()
}

func (p *peer) write(b []byte) {
	p.t.Helper()
	if _, err := p.conn.Write(b); err != nil {
		p.t.Fatal(err)
	}
}

// next is the next packet, or the error that ended the connection.
func (p *peer) next() (packets.Packet, error) {
	p.t.Helper()
	_ = p.conn.SetReadDeadline(time.Now().Add(patience))
	first, err := p.r.ReadByte()
	if err != nil {
		return packets.Packet{}, err
	}
	pk := packets.Packet{ProtocolVersion: p.version}
	if err := pk.FixedHeader.Decode(first); err != nil {
		p.t.Fatalf("the server sent a first byte of %#x: %v", first, err)
	}
	n, _, err := packets.DecodeLength(p.r)
	if err != nil {
		return pk, err
	}
	pk.FixedHeader.Remaining = n
	body := make([]byte, n)
	if _, err := io.ReadFull(p.r, body); err != nil {
		return pk, err
	}
	decode := map[byte]func([]byte) error{
		packets.Connack: pk.ConnackDecode, packets.Publish: pk.PublishDecode, packets.Puback: pk.PubackDecode,
		packets.Pubrec: pk.PubrecDecode, packets.Pubrel: pk.PubrelDecode, packets.Pubcomp: pk.PubcompDecode,
		packets.Suback: pk.SubackDecode, packets.Unsuback: pk.UnsubackDecode, packets.Pingresp: pk.PingrespDecode,
		packets.Disconnect: pk.DisconnectDecode,
	}[pk.FixedHeader.Type]
	if decode == nil {
		p.t.Fatalf("the server sent a packet of type %d", pk.FixedHeader.Type)
	}
	if err := decode(body); err != nil {
		p.t.Fatalf("the server sent a malformed packet of type %d: %v", pk.FixedHeader.Type, err)
	}
	return pk, nil
}

// want is the next packet, which must be of that type.
func (p *peer) want(kind byte) packets.Packet {
	p.t.Helper()
	pk, err := p.next()
	if err != nil {
		p.t.Fatalf("waiting for %s: %v", packets.PacketNames[kind], err)
	}
	if pk.FixedHeader.Type != kind {
		p.t.Fatalf("got %s (code %#x, topic %q), want %s", packets.PacketNames[pk.FixedHeader.Type], pk.ReasonCode, pk.TopicName, packets.PacketNames[kind])
	}
	return pk
}

// wantCode is want with a reason code.
func (p *peer) wantCode(kind, code byte) packets.Packet {
	p.t.Helper()
	pk := p.want(kind)
	if pk.ReasonCode != code {
		p.t.Fatalf("%s with code %#x, want %#x", packets.PacketNames[kind], pk.ReasonCode, code)
	}
	return pk
}

// quiet makes sure that nothing has been sent to the client: what is sent before the
// answer to a ping would arrive before it.
func (p *peer) quiet() {
	p.t.Helper()
	p.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Pingreq}})
	p.want(packets.Pingresp)
}

// wantClosed reads to the end of the connection and returns the reason code of a
// DISCONNECT, -1 if none came.
func (p *peer) wantClosed() int {
	p.t.Helper()
	code := -1
	for {
		pk, err := p.next()
		if err != nil {
			if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
				p.t.Fatal("the connection was not closed")
			}
			return code
		}
		if pk.FixedHeader.Type == packets.Disconnect {
			code = int(pk.ReasonCode)
		}
	}
}

func (p *peer) subscribe(filter string, qos byte, change ...func(*packets.Packet)) packets.Packet {
	p.t.Helper()
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1,
		Filters: packets.Subscriptions{{Filter: filter, Qos: qos}},
	}
	for _, f := range change {
		f(&pk)
	}
	p.send(pk)
	return p.want(packets.Suback)
}

func publishPacket(topic, payload string, qos byte, id uint16, change ...func(*packets.Packet)) packets.Packet {
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos},
		TopicName:   topic, Payload: []byte(payload), PacketID: id,
	}
	for _, f := range change {
		f(&pk)
	}
	return pk
}

func retain(pk *packets.Packet) { pk.FixedHeader.Retain = true }

// publish publishes at QoS 1 and waits for the acknowledgement; by then the message
// has been handed to every subscriber's connection.
func (p *peer) publish(topic, payload string, change ...func(*packets.Packet)) {
	p.t.Helper()
	p.send(publishPacket(topic, payload, 1, 7, change...))
	p.wantCode(packets.Puback, 0)
}

func (p *peer) ackPublish(kind byte, id uint16) {
	p.t.Helper()
	p.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: kind}, PacketID: id})
}

// wantMessage is the next packet, which must be that message.
func (p *peer) wantMessage(topic, payload string) packets.Packet {
	p.t.Helper()
	pk := p.want(packets.Publish)
	if pk.TopicName != topic || string(pk.Payload) != payload {
		p.t.Fatalf("got %q on %q, want %q on %q", pk.Payload, pk.TopicName, payload, topic)
	}
	return pk
}

// bye disconnects in good order and waits for the end.
func (p *peer) bye() {
	p.t.Helper()
	p.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}})
	p.wantClosed()
}

// lose cuts the connection and waits until the server has noticed.
func (p *peer) lose() {
	p.t.Helper()
	if c, ok := p.conn.(*net.TCPConn); ok {
		_ = c.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, p.r)
	_ = p.conn.Close()
}

// each runs a test for both versions.
func each(t *testing.T, f func(t *testing.T, version byte)) {
	t.Helper()
	t.Run("3.1.1", func(t *testing.T) { f(t, 4) })
	t.Run("5.0", func(t *testing.T) { f(t, 5) })
}

// pending is an acceptance that a test completes.
type pending chan func(error)

func (p pending) Then(f func(error)) { p <- f }

var _ broker.Pending = pending(nil)
