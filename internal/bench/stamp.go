package bench

import (
	"encoding/binary"
	"fmt"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// stampSize is the part of a payload that the generator reads again: the publisher
// (4 bytes), the message's number from 0 (8) and when it was due, in nanoseconds
// since the run began (8), all big endian.
const stampSize = 20

// stamp is what a payload begins with.
type stamp struct {
	publisher uint32
	seq       uint64
	due       int64
}

func (s stamp) put(b []byte) {
	binary.BigEndian.PutUint32(b, s.publisher)
	binary.BigEndian.PutUint64(b[4:], s.seq)
	binary.BigEndian.PutUint64(b[12:], uint64(s.due))
}

func readStamp(b []byte) stamp {
	return stamp{
		publisher: binary.BigEndian.Uint32(b),
		seq:       binary.BigEndian.Uint64(b[4:]),
		due:       int64(binary.BigEndian.Uint64(b[12:])),
	}
}

// template is a PUBLISH packet that is copied and stamped for each message.
type template struct {
	packet    []byte
	payload   int // where the payload begins
	id        int // where the packet identifier is; 0 with QoS 0
	publisher uint32
}

func newTemplate(v mqttclient.Version, p *mqttclient.Publish, publisher, size int) (*template, error) {
	p.Payload = make([]byte, size)
	for i := stampSize; i < size; i++ {
		p.Payload[i] = 'a' + byte(i%26) // text, in case somebody looks
	}
	p.PacketID = 1 // overwritten
	b, err := p.Append(nil, v)
	if err != nil {
		return nil, err
	}
	t := &template{packet: b, payload: len(b) - size, publisher: uint32(publisher)}
	if p.QoS > 0 {
		_, n := mqttclient.Varint(b[1:])
		t.id = 1 + n + 2 + len(p.Topic)
	}
	return t, nil
}

// appendTo appends message number seq, due at the given time.
func (t *template) appendTo(b []byte, seq uint64, due int64) []byte {
	at := len(b)
	b = append(b, t.packet...)
	if t.id > 0 {
		binary.BigEndian.PutUint16(b[at+t.id:], packetID(seq))
	}
	stamp{publisher: t.publisher, seq: seq, due: due}.put(b[at+t.payload:])
	return b
}

// packetID gives messages the identifiers 1 to 65535 in turn.
func packetID(seq uint64) uint16 { return uint16(seq%65535) + 1 }

// delivery is a PUBLISH as a subscriber sees it, in the read buffer.
type delivery struct {
	qos     byte
	id      uint16
	payload []byte
}

// parse finds identifier and payload in a PUBLISH packet and skips the rest.
func parse(v mqttclient.Version, first byte, body []byte) (delivery, error) {
	d := delivery{qos: first >> 1 & 0b11}
	if len(body) < 2 {
		return d, fmt.Errorf("%w: PUBLISH without a topic", mqttclient.ErrMalformed)
	}
	at := 2 + int(binary.BigEndian.Uint16(body))
	if d.qos > 0 {
		if at+2 > len(body) {
			return d, fmt.Errorf("%w: PUBLISH without a packet identifier", mqttclient.ErrMalformed)
		}
		d.id = binary.BigEndian.Uint16(body[at:])
		at += 2
	}
	if v == mqttclient.V5 {
		n, size := mqttclient.Varint(body[min(at, len(body)):])
		if size <= 0 {
			return d, fmt.Errorf("%w: PUBLISH without a property length", mqttclient.ErrMalformed)
		}
		at += size + n
	}
	if at > len(body) {
		return d, fmt.Errorf("%w: PUBLISH ends early", mqttclient.ErrMalformed)
	}
	d.payload = body[at:]
	return d, nil
}

// appendAck appends an acknowledgement without reason code, which both versions
// understand as success.
func appendAck(b []byte, t mqttclient.Type, id uint16) []byte {
	first := byte(t) << 4
	if t == mqttclient.PUBREL {
		first |= 0b0010 // [MQTT-3.6.1-1]
	}
	return append(b, first, 2, byte(id>>8), byte(id))
}
