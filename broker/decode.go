package broker

import (
	"encoding/binary"
	"unicode/utf8"

	"github.com/topicwire/topicwire/message"
)

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

// reader reads MQTT's data types from a packet. The first error stays.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) skip(n int) {
	if n > len(r.b) {
		r.fail(errTruncated)
		return
	}
	r.b = r.b[n:]
}

func (r *reader) byte() byte {
	if len(r.b) < 1 {
		r.fail(errTruncated)
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uint16() uint16 {
	if len(r.b) < 2 {
		r.fail(errTruncated)
		return 0
	}
	v := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return v
}

func (r *reader) uint32() uint32 {
	if len(r.b) < 4 {
		r.fail(errTruncated)
		return 0
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

// varint reads a Variable Byte Integer (MQTT 5, section 1.5.5).
func (r *reader) varint() int {
	n := 0
	for shift := 0; shift < 28; shift += 7 {
		d := r.byte()
		n |= int(d&0x7f) << shift
		if d&0x80 == 0 {
			return n
		}
	}
	r.fail(fault(reasonMalformed, "a variable byte integer is too long"))
	return 0
}

// bytes reads binary data, without copying it.
func (r *reader) bytes() []byte {
	n := int(r.uint16())
	if n > len(r.b) {
		r.fail(errTruncated)
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// text reads a UTF-8 string, without copying it.
func (r *reader) text() []byte {
	v := r.bytes()
	if !validText(v) {
		r.fail(errText)
		return nil
	}
	return v
}

func (r *reader) string() string { return string(r.text()) }

func validText(b []byte) bool {
	ascii := true
	for _, c := range b {
		if c == 0 {
			return false
		}
		if c >= utf8.RuneSelf {
			ascii = false
		}
	}
	return ascii || utf8.Valid(b)
}
