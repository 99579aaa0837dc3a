package mqttclient

import "fmt"

// Packet is one control packet: one of the pointer types of this package.
type Packet interface {
	// Append appends the packet as version v writes it. An error wraps ErrTooLong
	// and leaves b as it was.
	Append(b []byte, v Version) ([]byte, error)
	// Type is the control packet type.
	Type() Type

	decode(d *decoder, v Version, flags byte)
}

// Decode reads the packet whose first byte is first and whose bytes after the fixed
// header are body. Nothing in the packet refers to body afterwards. An error wraps
// ErrMalformed.
func Decode(v Version, first byte, body []byte) (Packet, error) {
	var p Packet
	switch t := Type(first >> 4); t {
	case CONNECT:
		p = &Connect{}
	case CONNACK:
		p = &Connack{}
	case PUBLISH:
		p = &Publish{}
	case PUBACK, PUBREC, PUBREL, PUBCOMP:
		p = &Ack{Kind: t}
	case SUBSCRIBE:
		p = &Subscribe{}
	case SUBACK, UNSUBACK:
		p = &Suback{Kind: t}
	case UNSUBSCRIBE:
		p = &Unsubscribe{}
	case PINGREQ, PINGRESP:
		p = &Ping{Kind: t}
	case DISCONNECT, AUTH:
		p = &Disconnect{Kind: t}
	default:
		return nil, fmt.Errorf("%w: packet type %d does not exist", ErrMalformed, t)
	}
	if want := fixedFlags(p.Type()); p.Type() != PUBLISH && first&0x0f != want {
		return nil, fmt.Errorf("%w: %s has flags %04b instead of %04b", ErrMalformed, p.Type(), first&0x0f, want) // [MQTT-2.1.3-1]
	}
	d := decoder{b: body}
	p.decode(&d, v, first&0x0f)
	if d.err != nil {
		return nil, fmt.Errorf("%s: %w", p.Type(), d.err)
	}
	if len(d.b) > 0 {
		return nil, fmt.Errorf("%s: %w: %d bytes too many", p.Type(), ErrMalformed, len(d.b))
	}
	return p, nil
}

// fixedFlags are the flags that the fixed header of type t must carry.
func fixedFlags(t Type) byte {
	switch t {
	case PUBREL, SUBSCRIBE, UNSUBSCRIBE:
		return 0b0010
	default:
		return 0
	}
}

// head is the first byte of a packet of type t without flags of its own.
func head(t Type) byte { return byte(t)<<4 | fixedFlags(t) }

// Publish is a PUBLISH packet (MQTT 5, section 3.3).
type Publish struct {
	Topic    string
	Payload  []byte
	QoS      byte
	Retain   bool
	Dup      bool
	PacketID uint16 // only with QoS 1 and 2
	Props    Properties
}

// Type is PUBLISH.
func (p *Publish) Type() Type { return PUBLISH }

// Append implements [Packet].
func (p *Publish) Append(b []byte, v Version) ([]byte, error) {
	first := byte(PUBLISH)<<4 | p.QoS<<1&0b110
	if p.Retain {
		first |= 0b0001
	}
	if p.Dup {
		first |= 0b1000
	}
	e := encoder{b: b}
	return e.packet(first, func() {
		e.string(p.Topic)
		if p.QoS > 0 {
			e.uint16(p.PacketID)
		}
		if v == V5 {
			e.properties(&p.Props)
		}
		e.b = append(e.b, p.Payload...)
	})
}

func (p *Publish) decode(d *decoder, v Version, flags byte) {
	p.Dup, p.QoS, p.Retain = flags&0b1000 != 0, flags>>1&0b11, flags&0b0001 != 0
	if p.QoS == 3 {
		d.fail("QoS 3 does not exist") // [MQTT-3.3.1-4]
	}
	p.Topic = d.string()
	if p.QoS > 0 {
		p.PacketID = d.uint16()
		if p.PacketID == 0 {
			d.fail("packet identifier 0") // [MQTT-2.2.1-3]
		}
	}
	if v == V5 {
		d.properties(&p.Props)
	}
	p.Payload = append([]byte(nil), d.take(len(d.b))...)
}

// Ack is a PUBACK, PUBREC, PUBREL or PUBCOMP packet (MQTT 5, sections 3.4 to 3.7).
type Ack struct {
	Kind     Type
	PacketID uint16
	Reason   Reason // always 0 in MQTT 3.1.1
	Props    Properties
}

// Type is the Kind.
func (p *Ack) Type() Type { return p.Kind }

// Append implements [Packet].
func (p *Ack) Append(b []byte, v Version) ([]byte, error) {
	e := encoder{b: b}
	return e.packet(head(p.Kind), func() {
		e.uint16(p.PacketID)
		e.reason(v, p.Reason, &p.Props)
	})
}

func (p *Ack) decode(d *decoder, v Version, _ byte) {
	p.PacketID = d.uint16()
	p.Reason = d.reason(v, &p.Props)
}

// reason appends a reason code and properties, or nothing where both may be omitted.
func (e *encoder) reason(v Version, r Reason, p *Properties) {
	if v != V5 {
		return
	}
	at := len(e.b)
	e.byte(byte(r))
	e.properties(p)
	if len(e.b) == at+2 { // no property
		e.b = e.b[:at+1]
		if r == 0 {
			e.b = e.b[:at]
		}
	}
}

func (d *decoder) reason(v Version, p *Properties) (r Reason) {
	if v == V5 && len(d.b) > 0 {
		r = Reason(d.byte())
		if len(d.b) > 0 {
			d.properties(p)
		}
	}
	return r
}

// Ping is a PINGREQ or PINGRESP packet.
type Ping struct{ Kind Type }

// Type is the Kind.
func (p *Ping) Type() Type { return p.Kind }

// Append implements [Packet].
func (p *Ping) Append(b []byte, _ Version) ([]byte, error) { return append(b, head(p.Kind), 0), nil }

func (p *Ping) decode(*decoder, Version, byte) {}

// Disconnect is a DISCONNECT or AUTH packet, which have the same form
// (MQTT 5, sections 3.14 and 3.15).
type Disconnect struct {
	Kind   Type // DISCONNECT or AUTH; 0 is DISCONNECT
	Reason Reason
	Props  Properties
}

// Type is the Kind.
func (p *Disconnect) Type() Type {
	if p.Kind == 0 {
		return DISCONNECT
	}
	return p.Kind
}

// Append implements [Packet].
func (p *Disconnect) Append(b []byte, v Version) ([]byte, error) {
	e := encoder{b: b}
	return e.packet(head(p.Type()), func() { e.reason(v, p.Reason, &p.Props) })
}

func (p *Disconnect) decode(d *decoder, v Version, _ byte) { p.Reason = d.reason(v, &p.Props) }
