package broker

import "github.com/topicwire/topicwire/message"

// publish is a PUBLISH packet as it stands in the read buffer: topic and payload
// are only valid until the next read, the properties are copies.
type publish struct {
	qos     byte
	dup     bool
	retain  bool
	id      uint16
	topic   []byte
	payload []byte
	alias   uint16
	props   message.Properties
}

// The faults of decoding.
var (
	errTruncated    = fault(reasonMalformed, "the packet ends too early")
	errTooLong      = fault(reasonMalformed, "the packet is longer than its content")
	errQoS3         = fault(reasonMalformed, "PUBLISH with QoS 3")                              // [MQTT-3.3.1-4]
	errDupQoS0      = fault(reasonMalformed, "PUBLISH with DUP at QoS 0")                       // [MQTT-3.3.1-2]
	errZeroID       = fault(reasonProtocolError, "packet identifier 0")                         // [MQTT-2.2.1-3]
	errProperty     = fault(reasonMalformed, "a property that the packet may not have")         // MQTT 5, 2.2.2.2
	errPropertyRep  = fault(reasonProtocolError, "a property that may occur once occurs twice") // MQTT 5, 3.3.2.3
	errPropertyVal  = fault(reasonProtocolError, "a property has a value that it may not have")
	errText         = fault(reasonMalformed, "a string is not UTF-8 text")                               // [MQTT-1.5.4-1] [MQTT-1.5.4-2]
	errSubID        = fault(reasonProtocolError, "PUBLISH from a client with a subscription identifier") // [MQTT-3.3.4-6]
	errReservedBits = fault(reasonMalformed, "reserved bits are set")
)

// decodePublish takes a PUBLISH apart: first is the packet's first byte, b its body.
func decodePublish(p *publish, first byte, b []byte, version byte) error {
	*p = publish{qos: first >> 1 & 3, dup: first&8 != 0, retain: first&1 != 0}
	if p.qos == 3 {
		return errQoS3
	}
	if p.dup && p.qos == 0 {
		return errDupQoS0
	}
	r := reader{b: b}
	p.topic = r.bytes()
	if p.qos > 0 {
		p.id = r.uint16()
		if r.err == nil && p.id == 0 {
			return errZeroID
		}
	}
	if version >= 5 {
		props := r.properties()
		if len(props.b) > 0 {
			if err := decodePublishProps(p, &props); err != nil {
				return err
			}
		}
	}
	if r.err != nil {
		return r.err
	}
	p.payload = r.b
	return nil
}

// decodePublishProps reads the properties of a PUBLISH (MQTT 5, section 3.3.2.3).
func decodePublishProps(p *publish, r *reader) error {
	var seen [propUser + 1]bool
	for len(r.b) > 0 && r.err == nil {
		id := r.byte()
		if id < propUser {
			if seen[id] {
				return errPropertyRep
			}
			seen[id] = true
		}
		switch id {
		case propTopicAlias:
			p.alias = r.uint16()
			if r.err == nil && p.alias == 0 { // [MQTT-3.3.2-8]
				return fault(reasonTopicAlias, "topic alias 0")
			}
		case propSubscriptionID:
			return errSubID
		default:
			if !decodeMessageProp(&p.props, id, r) {
				return errProperty
			}
		}
	}
	return r.err
}

// decodeMessageProp reads one of the properties that a message brings along, in a PUBLISH
// or as a will, and reports whether id is one of them.
func decodeMessageProp(p *message.Properties, id byte, r *reader) bool {
	switch id {
	case propPayloadFormat:
		v := r.byte()
		if v > 1 {
			r.fail(errPropertyVal)
		}
		p.Format = message.FormatBytes + message.PayloadFormat(v)
	case propMessageExpiry:
		p.Expiry, p.HasExpiry = r.uint32(), true
	case propContentType:
		p.ContentType = r.string()
	case propResponseTopic:
		p.ResponseTopic = r.string()
		if r.err == nil && message.ValidateTopic(p.ResponseTopic) != nil { // [MQTT-3.3.2-14]
			r.fail(errPropertyVal)
		}
	case propCorrelation:
		p.Correlation = append([]byte{}, r.bytes()...)
	case propUser:
		k := r.string()
		p.User = append(p.User, message.UserProperty{Key: k, Value: r.string()})
	default:
		return false
	}
	return true
}

// The properties of a PUBLISH, and those of an acknowledgement.
const (
	propPayloadFormat  = 0x01
	propMessageExpiry  = 0x02
	propContentType    = 0x03
	propResponseTopic  = 0x08
	propCorrelation    = 0x09
	propSubscriptionID = 0x0B
	propTopicAlias     = 0x23
	propUser           = 0x26
	propReasonString   = 0x1F
)

// decodeAck takes a PUBACK, PUBREC, PUBREL or PUBCOMP apart.
func decodeAck(b []byte, version byte) (id uint16, why reason, err error) {
	r := reader{b: b}
	id = r.uint16()
	if r.err != nil {
		return 0, 0, r.err
	}
	if id == 0 {
		return 0, 0, errZeroID
	}
	if version < 5 {
		if len(r.b) > 0 {
			return 0, 0, fault(reasonMalformed, "an acknowledgement is too long")
		}
		return id, 0, nil
	}
	if len(r.b) > 0 {
		why = reason(r.byte())
	}
	if len(r.b) > 0 {
		if n := r.varint(); r.err == nil && n != len(r.b) {
			return 0, 0, errTruncated
		}
		if err := skipAckProps(&r); err != nil {
			return 0, 0, err
		}
	}
	return id, why, r.err
}

// skipAckProps reads over reason string and user properties: nothing is done with them.
func skipAckProps(r *reader) error {
	for len(r.b) > 0 && r.err == nil {
		switch r.byte() {
		case propReasonString:
			r.text()
		case propUser:
			r.text()
			r.text()
		default:
			return errProperty
		}
	}
	return r.err
}
