package mqttclient

import "fmt"

// Reason is a reason code (MQTT 5, section 2.4). Values of 0x80 and more are failures.
type Reason byte

// Failed reports whether the code stands for a failure.
func (r Reason) Failed() bool { return r >= 0x80 }

// String gives the specification's name and the code, such as "Not authorized (0x87)".
func (r Reason) String() string {
	if name := r.name(); name != "" {
		return fmt.Sprintf("%s (0x%02X)", name, byte(r))
	}
	return fmt.Sprintf("reason code 0x%02X", byte(r))
}

func (r Reason) name() string {
	switch r {
	case 0x00:
		return "Success"
	case 0x01:
		return "Granted QoS 1"
	case 0x02:
		return "Granted QoS 2"
	case 0x04:
		return "Disconnect with Will Message"
	case 0x10:
		return "No matching subscribers"
	case 0x11:
		return "No subscription existed"
	case 0x18:
		return "Continue authentication"
	case 0x19:
		return "Re-authenticate"
	case 0x80:
		return "Unspecified error"
	case 0x81:
		return "Malformed Packet"
	case 0x82:
		return "Protocol Error"
	case 0x83:
		return "Implementation specific error"
	case 0x84:
		return "Unsupported Protocol Version"
	case 0x85:
		return "Client Identifier not valid"
	case 0x86:
		return "Bad User Name or Password"
	case 0x87:
		return "Not authorized"
	case 0x88:
		return "Server unavailable"
	case 0x89:
		return "Server busy"
	case 0x8a:
		return "Banned"
	case 0x8b:
		return "Server shutting down"
	case 0x8c:
		return "Bad authentication method"
	case 0x8d:
		return "Keep Alive timeout"
	case 0x8e:
		return "Session taken over"
	case 0x8f:
		return "Topic Filter invalid"
	case 0x90:
		return "Topic Name invalid"
	case 0x91:
		return "Packet Identifier in use"
	case 0x92:
		return "Packet Identifier not found"
	case 0x93:
		return "Receive Maximum exceeded"
	case 0x94:
		return "Topic Alias invalid"
	case 0x95:
		return "Packet too large"
	case 0x96:
		return "Message rate too high"
	case 0x97:
		return "Quota exceeded"
	case 0x98:
		return "Administrative action"
	case 0x99:
		return "Payload format invalid"
	case 0x9a:
		return "Retain not supported"
	case 0x9b:
		return "QoS not supported"
	case 0x9c:
		return "Use another server"
	case 0x9d:
		return "Server moved"
	case 0x9e:
		return "Shared Subscriptions not supported"
	case 0x9f:
		return "Connection rate exceeded"
	case 0xa0:
		return "Maximum connect time"
	case 0xa1:
		return "Subscription Identifiers not supported"
	case 0xa2:
		return "Wildcard Subscriptions not supported"
	default:
		return ""
	}
}

// connackReason names a CONNACK code: MQTT 3.1.1 has return codes of its own
// (MQTT 3.1.1, section 3.2.2.3).
func connackReason(v Version, r Reason) string {
	if v == V5 && r.Failed() {
		return r.String()
	}
	switch r { // a server may answer a version it does not know in the older form
	case 1:
		return "unacceptable protocol version (return code 1)"
	case 2:
		return "client identifier rejected (return code 2)"
	case 3:
		return "server unavailable (return code 3)"
	case 4:
		return "bad user name or password (return code 4)"
	case 5:
		return "not authorized (return code 5)"
	default:
		return r.String()
	}
}

// ReasonError is a server's refusal: of a connection (CONNACK), a message (PUBACK,
// PUBREC, PUBCOMP), a subscription (SUBACK, UNSUBACK), or of going on (DISCONNECT).
type ReasonError struct {
	Packet  Type
	Version Version
	Code    Reason
	Text    string // the server's Reason String, if it sent one
	Filter  string // the topic filter, for SUBACK and UNSUBACK
}

func (e *ReasonError) Error() string {
	var s string
	switch e.Packet {
	case CONNACK:
		s = "the server refused the connection: " + connackReason(e.Version, e.Code)
	case SUBACK:
		s = fmt.Sprintf("the server refused the subscription to %q: %s", e.Filter, e.Code)
	case UNSUBACK:
		s = fmt.Sprintf("the server refused to unsubscribe from %q: %s", e.Filter, e.Code)
	case DISCONNECT:
		s = "the server ended the connection: " + e.Code.String()
	default:
		s = "the server refused the message: " + e.Code.String()
	}
	if e.Text != "" {
		s += ": " + e.Text
	}
	return s
}
