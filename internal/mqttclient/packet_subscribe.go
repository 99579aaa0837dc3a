package mqttclient

// Subscription is one topic filter of a SUBSCRIBE packet and its options
// (MQTT 5, section 3.8.3.1). MQTT 3.1.1 carries only Filter and QoS.
type Subscription struct {
	Filter            string
	QoS               byte
	NoLocal           bool
	RetainAsPublished bool
	RetainHandling    byte // 0 send retained, 1 only if new, 2 do not
}

// Subscribe is a SUBSCRIBE packet.
type Subscribe struct {
	PacketID      uint16
	Subscriptions []Subscription
	Props         Properties
}

// Type is SUBSCRIBE.
func (p *Subscribe) Type() Type { return SUBSCRIBE }

// Append implements [Packet].
func (p *Subscribe) Append(b []byte, v Version) ([]byte, error) {
	e := encoder{b: b}
	return e.packet(head(SUBSCRIBE), func() {
		e.uint16(p.PacketID)
		if v == V5 {
			e.properties(&p.Props)
		}
		for _, s := range p.Subscriptions {
			e.string(s.Filter)
			e.byte(s.options(v))
		}
	})
}

func (s *Subscription) options(v Version) byte {
	o := s.QoS & 0b11
	if v != V5 {
		return o
	}
	if s.NoLocal {
		o |= 1 << 2
	}
	if s.RetainAsPublished {
		o |= 1 << 3
	}
	return o | s.RetainHandling<<4&0b110000
}

func (p *Subscribe) decode(d *decoder, v Version, _ byte) {
	p.PacketID = d.uint16()
	if v == V5 {
		d.properties(&p.Props)
	}
	for len(d.b) > 0 && d.err == nil {
		s := Subscription{Filter: d.string()}
		o := d.byte()
		s.QoS = o & 0b11
		if v == V5 {
			s.NoLocal, s.RetainAsPublished, s.RetainHandling = o&(1<<2) != 0, o&(1<<3) != 0, o>>4&0b11
		}
		p.Subscriptions = append(p.Subscriptions, s)
	}
	if len(p.Subscriptions) == 0 {
		d.fail("no topic filter") // [MQTT-3.8.3-2]
	}
}

// Unsubscribe is an UNSUBSCRIBE packet (MQTT 5, section 3.10).
type Unsubscribe struct {
	PacketID uint16
	Filters  []string
	Props    Properties
}

// Type is UNSUBSCRIBE.
func (p *Unsubscribe) Type() Type { return UNSUBSCRIBE }

// Append implements [Packet].
func (p *Unsubscribe) Append(b []byte, v Version) ([]byte, error) {
	e := encoder{b: b}
	return e.packet(head(UNSUBSCRIBE), func() {
		e.uint16(p.PacketID)
		if v == V5 {
			e.properties(&p.Props)
		}
		for _, f := range p.Filters {
			e.string(f)
		}
	})
}

func (p *Unsubscribe) decode(d *decoder, v Version, _ byte) {
	p.PacketID = d.uint16()
	if v == V5 {
		d.properties(&p.Props)
	}
	for len(d.b) > 0 && d.err == nil {
		p.Filters = append(p.Filters, d.string())
	}
	if len(p.Filters) == 0 {
		d.fail("no topic filter") // [MQTT-3.10.3-2]
	}
}

// Suback is a SUBACK or UNSUBACK packet (MQTT 5, sections 3.9 and 3.11).
type Suback struct {
	Kind     Type
	PacketID uint16
	Reasons  []Reason // one for each filter; none in an UNSUBACK of MQTT 3.1.1
	Props    Properties
}

// Type is the Kind.
func (p *Suback) Type() Type { return p.Kind }

// Append implements [Packet].
func (p *Suback) Append(b []byte, v Version) ([]byte, error) {
	e := encoder{b: b}
	return e.packet(head(p.Kind), func() {
		e.uint16(p.PacketID)
		if v == V5 {
			e.properties(&p.Props)
		}
		for _, r := range p.Reasons {
			e.byte(byte(r))
		}
	})
}

func (p *Suback) decode(d *decoder, v Version, _ byte) {
	p.PacketID = d.uint16()
	if v == V5 {
		d.properties(&p.Props)
	}
	for _, r := range d.take(len(d.b)) {
		p.Reasons = append(p.Reasons, Reason(r))
	}
}
