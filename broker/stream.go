package broker

import (
	"bytes"
	"errors"
	"io"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker/session"
)

// The packet types, as the upper half of the first byte.
const (
	typeConnect     = 1
	typePublish     = 3
	typePuback      = 4
	typePubrec      = 5
	typePubrel      = 6
	typePubcomp     = 7
	typeSubscribe   = 8
	typeUnsubscribe = 10
	typePingreq     = 12
	typeDisconnect  = 14
	typeAuth        = 15
)

// What ends the reading of packets in good order.
var (
	errHandedOver = errors.New("broker: the connection is established and no longer mochi's") // what mochi is told
	errGoodbye    = errors.New("broker: the client has disconnected")
)

// errNoConnect is the fault of a first packet. [MQTT-3.1.0-1]
var errNoConnect = fault(reasonProtocolError, "the first packet is no CONNECT")

// Read is what mochi reads: the CONNECT, when all of it is there, and then the end.
// Once mochi has answered it with a CONNACK the connection is ours alone: mochi would
// hold two goroutines with large stacks for it as long as it lasts.
func (c *connection) Read(p []byte) (int, error) {
	b := &c.buf
	for {
		switch {
		case c.established.Load():
			return 0, errHandedOver
		case c.handed > 0:
			n := copy(p, b.b[b.r:b.r+c.handed])
			b.r += n
			c.handed -= n
			return n, nil
		case c.mochiClosed.Load():
			return 0, io.EOF
		case b.r < b.w && b.b[b.r] != typeConnect<<4:
			return 0, c.stop(errNoConnect) // without waiting for the rest of it
		}
		size, err := b.packet()
		if err != nil {
			return 0, c.stop(err)
		}
		if size == 0 || size > b.w-b.r {
			if err := c.fill(size); err != nil {
				return 0, err
			}
			continue
		}
		if err := c.checkConnect(b.b[b.r : b.r+size]); err != nil {
			return 0, c.stop(err)
		}
		c.handed = size
	}
}

// run handles the client's packets until the connection ends.
func (c *connection) run() error {
	b := &c.buf
	for {
		size, err := b.packet()
		if err != nil {
			return err
		}
		if size == 0 || size > b.w-b.r {
			if err := c.fill(size); err != nil {
				return err
			}
			continue
		}
		if p := c.who.Load(); p != c.principal {
			c.takePrincipal(p)
		}
		c.packets++
		if err := c.handle(b.b[b.r : b.r+size]); err != nil {
			return err
		}
		b.r += size
	}
}

// stop tells the client what was wrong.
func (c *connection) stop(err error) error {
	if r, ok := endReason(err); ok {
		var tell string
		if pe, ok := errors.AsType[*packetError](err); ok {
			tell = pe.tell
		}
		c.disconnectSaying(r, tell)
		c.why.CompareAndSwap(uint32(reasonNotAuthorized), didForbidden)
	}
	return err
}

// fill reads more. need is the size of the packet that is arriving, 0 if unknown.
func (c *connection) fill(need int) error {
	c.countPackets()
	c.buf.makeRoom(need, &c.b.buffers)
	b := &c.buf
	n, err := c.Conn.Read(b.b[b.w:])
	b.w += n
	if n > 0 {
		c.now = time.Now()
		if c.quota != nil {
			c.quota.bytes.spend(n, c.now)
		}
		return nil
	}
	if err == nil {
		err = io.ErrNoProgress
	}
	return err
}

// countPackets adds what was handled since the last read to the broker's count.
func (c *connection) countPackets() {
	if c.packets > 0 {
		c.b.metrics.packets.Add(int64(c.packets))
		c.packets = 0
	}
}

// handle takes one packet.
func (c *connection) handle(packet []byte) error {
	first, body := packet[0], packet[1:]
	for body[0]&0x80 != 0 {
		body = body[1:]
	}
	body = body[1:]
	switch first >> 4 {
	case typePublish:
		if err := decodePublish(&c.publish, first, body, c.version); err != nil {
			return err
		}
		return c.onPublish(&c.publish)
	case typePuback, typePubrec, typePubrel, typePubcomp:
		return c.onAck(first, body)
	case typeSubscribe, typeUnsubscribe, typePingreq, typeDisconnect:
		return c.handleRare(first, body)
	case typeAuth:
		return fault(reasonProtocolError, "AUTH without an authentication method") // [MQTT-4.12.0-1]
	case typeConnect:
		return fault(reasonProtocolError, "a second CONNECT") // [MQTT-3.1.0-2]
	default:
		return fault(reasonProtocolError, "a packet that only servers send")
	}
}

// handleRare takes the packets that mochi's codec decodes. It is a function of its
// own so that mochi's large packet is on the stack only meanwhile.
//
//go:noinline
func (c *connection) handleRare(first byte, body []byte) error {
	pk := packets.Packet{ProtocolVersion: c.version}
	if err := pk.FixedHeader.Decode(first); err != nil {
		return err
	}
	pk.FixedHeader.Remaining = len(body)
	switch pk.FixedHeader.Type {
	case packets.Subscribe:
		body = bytes.Clone(body)                                // what is decoded refers to it
		if err := checkSubscribe(body, c.version); err != nil { // first: mochi panics on what it refuses
			return err
		}
		if err := pk.SubscribeDecode(body); err != nil {
			return err
		}
		return c.onSubscribe(&pk)
	case packets.Unsubscribe:
		if err := checkUnsubscribe(body, c.version); err != nil {
			return err
		}
		if err := pk.UnsubscribeDecode(bytes.Clone(body)); err != nil {
			return err
		}
		return c.onUnsubscribe(&pk)
	case packets.Pingreq:
		if len(body) > 0 {
			return fault(reasonMalformed, "PINGREQ with content")
		}
		_, err := c.Write([]byte{packetPingresp, 0}) // [MQTT-3.12.4-1]
		return err
	default:
		if err := checkDisconnect(body, c.version); err != nil {
			return err
		}
		if err := pk.DisconnectDecode(body); err != nil {
			return err
		}
		if len(body) == 1 {
			pk.ReasonCode = body[0] // mochi reads a reason code only where properties follow
		}
		return c.onDisconnect(&pk)
	}
}

// packetPingresp is the first byte of a PINGRESP.
const packetPingresp = 0xD0

// checkConnect looks over the CONNECT and answers what is wrong with it; mochi would not
// answer at all, or with a code of the wrong version. [MQTT-3.1.2-1] [MQTT-3.1.2-2]
// [MQTT-3.1.4-1]
func (c *connection) checkConnect(packet []byte) error {
	body := packet[1:]
	for len(body) > 1 && body[0]&0x80 != 0 {
		body = body[1:]
	}
	if packet[0] != typeConnect<<4 || len(body) < 2 {
		return fault(reasonMalformed, "CONNECT is malformed")
	}
	r := reader{b: body[1:]}
	name := string(r.bytes())
	version := r.byte()
	if r.err != nil {
		return r.err
	}
	if version&bridgeBit != 0 {
		version &^= bridgeBit
		packet[len(packet)-len(r.b)-1] = version // mochi does not know it
		c.bridge = true
	}
	switch {
	case name == "MQTT" && (version == 4 || version == 5), name == "MQIsdp" && version == 3:
		c.version = version
	case name == "MQTT" && version > 5:
		_, _ = c.Conn.Write([]byte{0x20, 3, 0, byte(reasonUnsupportedVersion), 0})
	case name == "MQTT", name == "MQIsdp":
		_, _ = c.Conn.Write([]byte{0x20, 2, 0, connack3Version})
	}
	if c.version == 0 {
		return fault(reasonUnsupportedVersion, "protocol "+name+" is not supported in this version")
	}
	flags := r.byte()
	r.uint16() // keep alive
	w, err := checkConnectPayload(&r, flags, version)
	if err != nil {
		if why, ok := endReason(err); ok && version >= 5 {
			_, _ = c.Conn.Write([]byte{0x20, 3, 0, byte(why), 0})
		}
		return err
	}
	if flags&flagWill != 0 {
		c.willProps = &w
	}
	return nil
}

// bridgeBit is set in the version by mosquitto's bridges, so that a server knows them as
// such: see onSubscribe.
const bridgeBit = 0x80

// onAck takes the acknowledgements. The lower half of their first byte is fixed.
// [MQTT-3.6.1-1], 2.1.3
func (c *connection) onAck(first byte, body []byte) error {
	want := byte(0)
	if first>>4 == typePubrel {
		want = 2
	}
	if first&0x0F != want {
		return errReservedBits
	}
	id, why, err := decodeAck(body, c.version)
	if err != nil {
		return err
	}
	s := c.sub.session
	if first>>4 == typePubrel {
		c.onPubrel(id)
		return nil
	}
	s.Acknowledge(c, session.Ack(first&0xF0), id, byte(why))
	return nil
}

// onPubrel ends a QoS 2 message of the client's. The answer keeps its place behind
// acknowledgements that still wait. It frees the packet identifier, so it waits until
// the store has forgotten it: remembered after a restart, it would make a repetition of
// the next message that has it.
func (c *connection) onPubrel(id uint16) {
	c.acks.makeRoom()
	why := reasonSuccess
	if !c.sub.session.Release(id) {
		why = reasonIDNotFound
	} else if c.sub.session.Durable() {
		c.b.store.Sync(c.acks.later(session.Pubcomp, id, 1).done)
		return
	}
	c.acks.now(session.Pubcomp, id, why)
}
