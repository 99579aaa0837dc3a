// Package message holds the one noun that travels through topicwire: a published
// message with its MQTT properties and where it came from, and the rules of MQTT
// topic names and filters. It knows no transport and imports nothing of ours.
package message

import (
	"net/netip"
	"time"
)

// Message is one published application message. Whoever builds it owns it until it
// is accepted; from then on every holder treats it, its payload and its properties
// as read-only, because subscribers, rules and stores share one copy.
type Message struct {
	// ID identifies the message across rules, retries and logs. It is empty until
	// something needs it: see [Message.EnsureID].
	ID string
	// Topic is the topic name as published, aliases resolved.
	Topic string
	// Payload is the application message, at most what the listener's limits allow.
	Payload []byte
	// QoS is the quality of service it was published with: 0, 1 or 2.
	QoS byte
	// Retain asks the broker to keep it as the topic's retained message.
	Retain bool
	// Props are the MQTT 5 properties that travel with the message.
	Props Properties
	// From says who published it and over what.
	From Origin
	// Received is when it entered, by this server's clock.
	Received time.Time
	// Hops counts how many rules and functions it has passed: 0 for a message from
	// a client, one more than its cause for a reply or a republished message.
	Hops uint8
}

// Properties are the PUBLISH properties that a server must hand on unaltered
// (MQTT 5, section 3.3.2.3). The zero value says that none was given.
type Properties struct {
	// Format is the Payload Format Indicator.
	Format PayloadFormat
	// ContentType is a UTF-8 description of the payload, usually a MIME type.
	ContentType string
	// ResponseTopic is where the publisher expects an answer.
	ResponseTopic string
	// Correlation is the Correlation Data; nil if absent.
	Correlation []byte
	// Expiry is the Message Expiry Interval in seconds; it counts only if HasExpiry.
	Expiry uint32
	// HasExpiry tells an expiry of 0 seconds from none at all.
	HasExpiry bool
	// User are the User Properties in the order of the packet; keys may repeat.
	User []UserProperty
}

// UserProperty is one name and value of a User Property.
type UserProperty struct{ Key, Value string }

// PayloadFormat is the Payload Format Indicator (MQTT 5, section 3.3.2.3.2).
type PayloadFormat byte

// The three things a publisher can say of its payload's form.
const (
	FormatUnset PayloadFormat = iota // the property is absent
	FormatBytes                      // 0x00, unspecified bytes
	FormatUTF8                       // 0x01, UTF-8 encoded character data
)

// Origin is where a message entered.
type Origin struct {
	// ClientID is the MQTT client identifier; empty if it did not come over MQTT.
	ClientID string
	// Principal is the authenticated identity: user name, certificate fingerprint,
	// token subject. Empty for anonymous clients and for rules.
	Principal string
	// Addr is the publisher's network address; invalid for messages made here.
	Addr netip.AddrPort
	// Via is the door: see the Via constants.
	Via Via
	// Rule names the rule that published it, for replies and republished messages.
	Rule string
}

// Via is the door through which a message entered.
type Via byte

// The doors.
const (
	ViaInternal  Via = iota // made by the server itself: a reply, a republish, an event
	ViaMQTT                 // MQTT over TCP or TLS
	ViaWebSocket            // MQTT over WebSocket
	ViaHTTP                 // an HTTP publish
	ViaWill                 // a will, published for a client that has gone
)

// String names the door as logs and metrics do.
func (v Via) String() string {
	switch v {
	case ViaMQTT:
		return "mqtt"
	case ViaWebSocket:
		return "websocket"
	case ViaHTTP:
		return "http"
	case ViaWill:
		return "will"
	default:
		return "internal"
	}
}

// OverMQTT reports whether an MQTT client published it, on whichever transport.
func (v Via) OverMQTT() bool { return v == ViaMQTT || v == ViaWebSocket || v == ViaWill }

// ExpiresAt is the moment the message expires, and whether it ever does.
func (m *Message) ExpiresAt() (time.Time, bool) {
	if !m.Props.HasExpiry {
		return time.Time{}, false
	}
	return m.Received.Add(time.Duration(m.Props.Expiry) * time.Second), true
}

// Expired reports whether the message's expiry interval has passed at now.
func (m *Message) Expired(now time.Time) bool {
	at, ok := m.ExpiresAt()
	return ok && !now.Before(at)
}

// EnsureID gives the message an identifier if it has none and returns it. Only the
// owner may call it, before the message is shared.
func (m *Message) EnsureID() string {
	if m.ID == "" {
		m.ID = NewID()
	}
	return m.ID
}
