package mqttclient

// Will is the message that the server publishes when the connection is lost
// (MQTT 5, section 3.1.2.5).
type Will struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool
	Props   Properties
}

// Connect is a CONNECT packet (MQTT 5, section 3.1).
type Connect struct {
	Version    Version // as decoded; Append takes the version it is given
	ClientID   string
	CleanStart bool
	KeepAlive  uint16 // seconds; 0 is off
	Username   *string
	Password   []byte // nil is none
	Will       *Will
	Props      Properties
}

// Bits of the connect flags (MQTT 5, section 3.1.2.3).
const (
	flagCleanStart = 1 << 1
	flagWill       = 1 << 2
	flagWillRetain = 1 << 5
	flagPassword   = 1 << 6
	flagUsername   = 1 << 7
)

// Type is CONNECT.
func (p *Connect) Type() Type { return CONNECT }

// Append implements [Packet].
func (p *Connect) Append(b []byte, v Version) ([]byte, error) {
	e := encoder{b: b}
	return e.packet(head(CONNECT), func() {
		e.string("MQTT")
		e.byte(byte(v))
		e.byte(p.flags())
		e.uint16(p.KeepAlive)
		if v == V5 {
			e.properties(&p.Props)
		}
		e.string(p.ClientID)
		if w := p.Will; w != nil {
			if v == V5 {
				e.properties(&w.Props)
			}
			e.string(w.Topic)
			e.binary(w.Payload)
		}
		if p.Username != nil {
			e.string(*p.Username)
		}
		if p.Password != nil {
			e.binary(p.Password)
		}
	})
}

func (p *Connect) flags() (f byte) {
	if p.CleanStart {
		f |= flagCleanStart
	}
	if p.Will != nil {
		f |= flagWill | p.Will.QoS<<3&0b11000
		if p.Will.Retain {
			f |= flagWillRetain
		}
	}
	if p.Password != nil {
		f |= flagPassword
	}
	if p.Username != nil {
		f |= flagUsername
	}
	return f
}

// decode takes the version from the packet itself.
func (p *Connect) decode(d *decoder, _ Version, _ byte) {
	if name := d.string(); name != "MQTT" {
		d.fail("the protocol name is %.20q", name) // [MQTT-3.1.2-1]
	}
	p.Version = Version(d.byte())
	if p.Version != V311 && p.Version != V5 {
		d.fail("protocol level %d", p.Version) // [MQTT-3.1.2-2]
	}
	f := d.byte()
	if f&1 != 0 {
		d.fail("the reserved connect flag is set") // [MQTT-3.1.2-3]
	}
	p.CleanStart = f&flagCleanStart != 0
	p.KeepAlive = d.uint16()
	if p.Version == V5 {
		d.properties(&p.Props)
	}
	p.ClientID = d.string()
	if f&flagWill != 0 {
		p.Will = &Will{QoS: f >> 3 & 0b11, Retain: f&flagWillRetain != 0}
		if p.Version == V5 {
			d.properties(&p.Will.Props)
		}
		p.Will.Topic = d.string()
		p.Will.Payload = d.binary()
	}
	if f&flagUsername != 0 {
		p.Username = new(d.string())
	}
	if f&flagPassword != 0 {
		p.Password = d.binary()
	}
}

// Connack is a CONNACK packet (MQTT 5, section 3.2).
type Connack struct {
	SessionPresent bool
	Reason         Reason // in MQTT 3.1.1 the return code 0 to 5
	Props          Properties
}

// Type is CONNACK.
func (p *Connack) Type() Type { return CONNACK }

// Append implements [Packet].
func (p *Connack) Append(b []byte, v Version) ([]byte, error) {
	e := encoder{b: b}
	return e.packet(head(CONNACK), func() {
		var f byte
		if p.SessionPresent {
			f = 1
		}
		e.byte(f)
		e.byte(byte(p.Reason))
		if v == V5 {
			e.properties(&p.Props)
		}
	})
}

func (p *Connack) decode(d *decoder, v Version, _ byte) {
	p.SessionPresent = d.byte()&1 != 0
	p.Reason = Reason(d.byte())
	if v == V5 && len(d.b) > 0 { // a server that knows no MQTT 5 answers in the older form
		d.properties(&p.Props)
	}
}
