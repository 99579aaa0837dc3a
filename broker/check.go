package broker

import "github.com/topicwire/topicwire/message"

// What mochi's decoder does not look at in the packets that are left to it.

// properties is a set of property identifiers: those that a packet may have.
type properties uint64

func propertySet(ids ...byte) properties {
	var set properties
	for _, id := range ids {
		set |= 1 << id
	}
	return set
}

// has reports whether an identifier, which may be any byte, is in the set.
func (p properties) has(id byte) bool { return id < 64 && p&(1<<id) != 0 }

// The properties that have no other use here.
const (
	propSessionExpiry       = 0x11
	propAuthMethod          = 0x15
	propAuthData            = 0x16
	propRequestProblemInfo  = 0x17
	propWillDelay           = 0x18
	propRequestResponseInfo = 0x19
	propReceiveMaximum      = 0x21
	propTopicAliasMaximum   = 0x22
	propMaximumPacketSize   = 0x27
)

// checkProperties reads over a packet's properties and finds those that it may not have,
// that occur twice or have a value that is an error, and a list that is longer than its
// length (MQTT 5, section 2.2.2).
func checkProperties(r *reader, may properties) error {
	p := r.properties()
	var seen properties
	for len(p.b) > 0 && p.err == nil {
		id := p.byte()
		switch {
		case !may.has(id):
			return errProperty
		case seen.has(id) && id != propUser:
			return errPropertyRep
		}
		seen |= 1 << id
		if !checkProperty(&p, id) && p.err == nil {
			return errPropertyVal
		}
	}
	if p.err != nil {
		return p.err
	}
	return r.err
}

// checkProperty reads over one property and reports whether its value is legal.
func checkProperty(r *reader, id byte) bool {
	switch id {
	case propSessionExpiry:
		r.uint32()
	case propReceiveMaximum:
		return r.uint16() > 0
	case propMaximumPacketSize:
		return r.uint32() > 0
	case propTopicAliasMaximum:
		r.uint16()
	case propRequestProblemInfo, propRequestResponseInfo:
		return r.byte() <= 1
	case propSubscriptionID:
		return r.varint() > 0
	case propAuthMethod, propReasonString:
		r.text()
	case propAuthData:
		r.bytes()
	case propUser:
		r.text()
		r.text()
	}
	return true
}

// checkConnectPayload reads over what follows the keep alive of a CONNECT: everything has
// to be there, text to be text, and nothing to be left. It returns the will's properties.
// [MQTT-3.1.3-4] [MQTT-3.1.3-11] [MQTT-3.1.3-12]
func checkConnectPayload(r *reader, flags, version byte) (w willProperties, err error) {
	if version >= 5 {
		if err := checkProperties(r, propertySet(propSessionExpiry, propAuthMethod, propAuthData, propRequestProblemInfo,
			propRequestResponseInfo, propReceiveMaximum, propTopicAliasMaximum, propUser, propMaximumPacketSize)); err != nil {
			return w, err
		}
	}
	r.text() // client identifier
	if flags&flagWill != 0 {
		if version >= 5 {
			if w, err = decodeWillProperties(r); err != nil {
				return w, err
			}
		}
		r.text()  // topic
		r.bytes() // payload
	}
	if flags&flagUserName != 0 {
		r.text()
	}
	if flags&flagPassword != 0 {
		r.bytes()
	}
	return w, r.end()
}

// The flags of a CONNECT that say what its payload consists of (MQTT 5, section 3.1.2.3).
const (
	flagWill     = 1 << 2
	flagPassword = 1 << 6
	flagUserName = 1 << 7
)

// willProperties are those of a will.
type willProperties struct {
	message.Properties
	delay uint32 // in seconds
}

// decodeWillProperties reads the properties of a will (MQTT 5, section 3.1.3.2).
func decodeWillProperties(r *reader) (w willProperties, err error) {
	p := r.properties()
	var seen properties
	for len(p.b) > 0 && p.err == nil {
		id := p.byte()
		if seen.has(id) && id != propUser {
			return w, errPropertyRep
		}
		seen |= 1 << id
		if id == propWillDelay {
			w.delay = p.uint32()
		} else if !decodeMessageProp(&w.Properties, id, &p) {
			return w, errProperty
		}
	}
	return w, p.err
}

// checkSubscribe looks over a SUBSCRIBE before mochi decodes it: mochi panics on a filter
// without its options byte and ignores reserved bits.
func checkSubscribe(b []byte, version byte) error {
	r := reader{b: b}
	r.uint16()
	if version >= 5 {
		if err := checkProperties(&r, propertySet(propSubscriptionID, propUser)); err != nil {
			return err
		}
	}
	for len(r.b) > 0 && r.err == nil {
		r.bytes()
		o := r.byte()
		if r.err != nil {
			return r.err
		}
		if version < 5 && o&0xFC != 0 || version >= 5 && o&0xC0 != 0 { // [MQTT-3.8.3-5], 3.1.1: [MQTT-3-8.3-4]
			return errReservedBits
		}
		if o&3 == 3 {
			return fault(reasonMalformed, "SUBSCRIBE with QoS 3")
		}
		if version >= 5 && o&0x30 == 0x30 {
			return fault(reasonProtocolError, "SUBSCRIBE with Retain Handling 3")
		}
	}
	return r.err
}

// checkUnsubscribe looks over the properties of an UNSUBSCRIBE.
func checkUnsubscribe(b []byte, version byte) error {
	r := reader{b: b}
	r.uint16()
	if version >= 5 {
		return checkProperties(&r, propertySet(propUser))
	}
	return r.err
}

// checkDisconnect looks over a DISCONNECT. Before MQTT 5 it is empty.
func checkDisconnect(b []byte, version byte) error {
	r := reader{b: b}
	if version >= 5 && len(b) > 0 {
		r.byte()
		if len(b) > 1 {
			if err := checkProperties(&r, propertySet(propSessionExpiry, propReasonString, propUser)); err != nil {
				return err
			}
		}
	}
	return r.end()
}
