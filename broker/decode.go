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
		n := r.varint()
		if r.err == nil && n > len(r.b) {
			r.err = errTruncated
		}
		if r.err != nil {
			return r.err
		}
		if n > 0 {
			props := reader{b: r.b[:n]}
			if err := decodePublishProps(p, &props); err != nil {
				return err
			}
			r.b = r.b[n:]
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
		case propPayloadFormat:
			v := r.byte()
			if v > 1 {
				return errPropertyVal
			}
			p.props.Format = message.FormatBytes + message.PayloadFormat(v)
		case propMessageExpiry:
			p.props.Expiry, p.props.HasExpiry = r.uint32(), true
		case propContentType:
			p.props.ContentType = r.string()
		case propResponseTopic:
			p.props.ResponseTopic = r.string()
			if r.err == nil && message.ValidateTopic(p.props.ResponseTopic) != nil { // [MQTT-3.3.2-14]
				return errPropertyVal
			}
		case propCorrelation:
			p.props.Correlation = append([]byte{}, r.bytes()...)
		case propTopicAlias:
			p.alias = r.uint16()
			if r.err == nil && p.alias == 0 { // [MQTT-3.3.2-8]
				return fault(reasonTopicAlias, "topic alias 0")
			}
		case propUser:
			k := r.string()
			p.props.User = append(p.props.User, message.UserProperty{Key: k, Value: r.string()})
		case propSubscriptionID:
			return errSubID
		default:
			return errProperty
		}
	}
	return r.err
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

// checkConnectProps finds what mochi's decoder lets pass in the properties of a
// CONNECT: one that occurs twice, and values that are an error (MQTT 5, section 3.1.2.11).
func checkConnectProps(r *reader) *packetError {
	n := r.varint()
	if r.err != nil || n > len(r.b) {
		return errTruncated
	}
	p := reader{b: r.b[:n]}
	var seen [256]bool
	for len(p.b) > 0 {
		id := p.byte()
		if seen[id] && id != propUser {
			return errPropertyRep
		}
		seen[id] = true
		ok := true
		switch id {
		case propSessionExpiry:
			p.uint32()
		case propReceiveMaximum:
			ok = p.uint16() > 0
		case propMaximumPacketSize:
			ok = p.uint32() > 0
		case propTopicAliasMaximum:
			p.uint16()
		case propRequestProblemInfo, propRequestResponseInfo:
			ok = p.byte() <= 1
		case propUser:
			p.text()
			p.text()
		case propAuthMethod:
			p.text()
		case propAuthData:
			p.bytes()
		default:
			return errProperty
		}
		switch {
		case p.err != nil:
			return errTruncated
		case !ok:
			return errPropertyVal
		}
	}
	return nil
}

// The properties of a CONNECT.
const (
	propSessionExpiry       = 0x11
	propAuthMethod          = 0x15
	propAuthData            = 0x16
	propRequestProblemInfo  = 0x17
	propRequestResponseInfo = 0x19
	propReceiveMaximum      = 0x21
	propTopicAliasMaximum   = 0x22
	propMaximumPacketSize   = 0x27
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

// checkSubscribe looks over the structure of a SUBSCRIBE before mochi decodes it:
// mochi panics on a filter without its options byte and ignores reserved bits.
func checkSubscribe(b []byte, version byte) error {
	r := reader{b: b}
	r.uint16()
	if version >= 5 {
		r.skip(r.varint())
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
