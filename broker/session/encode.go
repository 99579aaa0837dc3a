package session

import (
	"encoding/binary"
	"time"

	"github.com/topicwire/topicwire/message"
)

// The first byte of the packets that this package writes.
const (
	typePublish = 0x30
	typePuback  = 0x40
	typePubrec  = 0x50
	typePubrel  = 0x62
	typePubcomp = 0x70
)

// Header is what a PUBLISH carries beside the message.
type Header struct {
	// Version is the MQTT version of the receiver: 3, 4 or 5.
	Version byte
	// QoS is what it is delivered with.
	QoS byte
	// Dup marks a redelivery. [MQTT-3.3.1-1]
	Dup bool
	// Retain is the RETAIN flag of this delivery.
	Retain bool
	// PacketID identifies the delivery; it counts only if QoS > 0.
	PacketID uint16
	// IDs are the subscription identifiers. [MQTT-3.3.4-3]
	IDs []uint32
	// Alias is the topic alias; 0 = none.
	Alias uint16
	// OmitTopic leaves the topic out: the receiver knows the alias.
	OmitTopic bool
	// Now is when it is sent; the message expiry is counted down to it. [MQTT-3.3.2-6]
	Now time.Time
}

// AppendPublish appends a PUBLISH packet to dst and returns the result and where in
// it the packet identifier stands (0 for QoS 0).
func AppendPublish(dst []byte, m *message.Message, h *Header) (packet []byte, idAt int) {
	topic := m.Topic
	if h.OmitTopic {
		topic = ""
	}
	remaining := 2 + len(topic) + len(m.Payload)
	if h.QoS > 0 {
		remaining += 2
	}
	props := 0
	if h.Version >= 5 {
		props = publishPropsLen(m, h)
		remaining += props + varintLen(props)
	}
	first := byte(typePublish) | h.QoS<<1
	if h.Dup {
		first |= 0x08
	}
	if h.Retain {
		first |= 0x01
	}
	dst = append(dst, first)
	dst = appendVarint(dst, remaining)
	dst = appendString(dst, topic)
	if h.QoS > 0 {
		idAt = len(dst)
		dst = binary.BigEndian.AppendUint16(dst, h.PacketID)
	}
	if h.Version >= 5 {
		dst = appendVarint(dst, props)
		dst = appendPublishProps(dst, m, h)
	}
	return append(dst, m.Payload...), idAt
}

// The identifiers of the PUBLISH properties (MQTT 5, section 2.2.2.2).
const (
	propPayloadFormat   = 0x01
	propMessageExpiry   = 0x02
	propContentType     = 0x03
	propResponseTopic   = 0x08
	propCorrelationData = 0x09
	propSubscriptionID  = 0x0B
	propTopicAlias      = 0x23
	propUser            = 0x26
)

func publishPropsLen(m *message.Message, h *Header) int {
	p, n := &m.Props, 0
	if p.Format != message.FormatUnset {
		n += 2
	}
	if p.HasExpiry {
		n += 5
	}
	if p.ContentType != "" {
		n += 3 + len(p.ContentType)
	}
	if p.ResponseTopic != "" {
		n += 3 + len(p.ResponseTopic)
	}
	if p.Correlation != nil {
		n += 3 + len(p.Correlation)
	}
	for i := range p.User {
		n += 5 + len(p.User[i].Key) + len(p.User[i].Value)
	}
	for _, id := range h.IDs {
		n += 1 + varintLen(int(id))
	}
	if h.Alias != 0 {
		n += 3
	}
	return n
}

// appendPublishProps hands on what the publisher said, unaltered and in its order.
// [MQTT-3.3.2-4] [MQTT-3.3.2-15] [MQTT-3.3.2-16] [MQTT-3.3.2-17] [MQTT-3.3.2-18] [MQTT-3.3.2-20]
func appendPublishProps(dst []byte, m *message.Message, h *Header) []byte {
	p := &m.Props
	if p.Format != message.FormatUnset {
		dst = append(dst, propPayloadFormat, byte(p.Format-message.FormatBytes))
	}
	if p.HasExpiry {
		dst = append(dst, propMessageExpiry)
		dst = binary.BigEndian.AppendUint32(dst, remainingExpiry(m, h.Now))
	}
	if p.ContentType != "" {
		dst = appendString(append(dst, propContentType), p.ContentType)
	}
	if p.ResponseTopic != "" {
		dst = appendString(append(dst, propResponseTopic), p.ResponseTopic)
	}
	if p.Correlation != nil {
		dst = append(dst, propCorrelationData)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(p.Correlation)))
		dst = append(dst, p.Correlation...)
	}
	for i := range p.User {
		dst = appendString(append(dst, propUser), p.User[i].Key)
		dst = appendString(dst, p.User[i].Value)
	}
	for _, id := range h.IDs {
		dst = appendVarint(append(dst, propSubscriptionID), int(id))
	}
	if h.Alias != 0 {
		dst = append(dst, propTopicAlias)
		dst = binary.BigEndian.AppendUint16(dst, h.Alias)
	}
	return dst
}

// remainingExpiry is the message's expiry interval less the whole seconds it has
// waited here. [MQTT-3.3.2-6]
func remainingExpiry(m *message.Message, now time.Time) uint32 {
	waited := now.Sub(m.Received)
	if waited <= 0 {
		return m.Props.Expiry
	}
	s := uint64(waited / time.Second)
	if s >= uint64(m.Props.Expiry) {
		return 0
	}
	return m.Props.Expiry - uint32(s)
}

// Ack is one of the four acknowledgements.
type Ack byte

// The acknowledgements.
const (
	Puback  Ack = typePuback
	Pubrec  Ack = typePubrec
	Pubrel  Ack = typePubrel
	Pubcomp Ack = typePubcomp
)

// AppendAck appends an acknowledgement. Before MQTT 5 it has no reason code.
func AppendAck(dst []byte, a Ack, version byte, id uint16, reason byte) []byte {
	if version < 5 || reason == 0 {
		return append(dst, byte(a), 2, byte(id>>8), byte(id))
	}
	return append(dst, byte(a), 3, byte(id>>8), byte(id), reason)
}

func varintLen(n int) int {
	switch {
	case n < 1<<7:
		return 1
	case n < 1<<14:
		return 2
	case n < 1<<21:
		return 3
	default:
		return 4
	}
}

func appendVarint(dst []byte, n int) []byte {
	for n >= 0x80 {
		dst = append(dst, byte(n)|0x80)
		n >>= 7
	}
	return append(dst, byte(n))
}

func appendString(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}
