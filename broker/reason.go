package broker

import (
	"errors"

	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker/listen"
)

// reason is an MQTT 5 reason code (MQTT 5, section 2.4).
type reason byte

// The reason codes that the broker uses.
const (
	reasonSuccess            reason = 0x00
	reasonDisconnectWithWill reason = 0x04
	reasonNoSubscription     reason = 0x11
	reasonUnspecified        reason = 0x80
	reasonMalformed          reason = 0x81
	reasonProtocolError      reason = 0x82
	reasonImplementation     reason = 0x83
	reasonUnsupportedVersion reason = 0x84
	reasonClientID           reason = 0x85
	reasonBadCredentials     reason = 0x86
	reasonNotAuthorized      reason = 0x87
	reasonServerUnavailable  reason = 0x88
	reasonShuttingDown       reason = 0x8B
	reasonBadAuthMethod      reason = 0x8C
	reasonKeepAlive          reason = 0x8D
	reasonTakenOver          reason = 0x8E
	reasonFilterInvalid      reason = 0x8F
	reasonTopicInvalid       reason = 0x90
	reasonIDNotFound         reason = 0x92
	reasonReceiveMaximum     reason = 0x93
	reasonTopicAlias         reason = 0x94
	reasonPacketTooLarge     reason = 0x95
	reasonQuotaExceeded      reason = 0x97
	reasonAdministrative     reason = 0x98
	reasonPayloadFormat      reason = 0x99
	reasonQoSNotSupported    reason = 0x9B
	reasonConnectRate        reason = 0x9F
	reasonConnectTime        reason = 0xA0
)

// failed reports whether the code is an error.
func (r reason) failed() bool { return r >= 0x80 }

// A packetError is a fault in a packet, or of a client, that ends its connection.
type packetError struct {
	reason reason
	text   string // for the log; says what was wrong
	tell   string // for the client; may be empty
}

func (e *packetError) Error() string { return e.text }

func fault(r reason, text string) *packetError { return &packetError{reason: r, text: text} }

// refusal is what a func that accepts messages may give as the reason why not.
type refusal interface{ ReasonCode() byte }

// refusalReason is the reason code of an error of Accept: its own, or 0x80.
func refusalReason(err error) reason {
	var r refusal
	if errors.As(err, &r) && reason(r.ReasonCode()).failed() {
		return reason(r.ReasonCode())
	}
	return reasonUnspecified
}

// endReason is the reason code for a DISCONNECT that tells a client why reading from
// it has ended; ok is false when nothing is to be told.
func endReason(err error) (r reason, ok bool) {
	var pe *packetError
	var code packets.Code // of mochi's codec
	switch {
	case errors.As(err, &pe):
		return pe.reason, true
	case errors.As(err, &code) && reason(code.Code).failed():
		return reason(code.Code), true
	case errors.Is(err, listen.ErrPacketTooLarge):
		return reasonPacketTooLarge, true
	case errors.Is(err, listen.ErrMalformedLength):
		return reasonMalformed, true
	case errors.Is(err, listen.ErrKeepAlive):
		return reasonKeepAlive, true
	case errors.Is(err, listen.ErrLifetime):
		return reasonConnectTime, true
	case errors.Is(err, listen.ErrStuck), errors.Is(err, listen.ErrSlow):
		return reasonQuotaExceeded, true
	default:
		return 0, false
	}
}

// closeCode is the code of the close frame with which a WebSocket connection ends for a
// reason (RFC 6455, section 7.4.1).
func (r reason) closeCode() int {
	switch r {
	case reasonShuttingDown:
		return websocket.CloseGoingAway
	case reasonMalformed, reasonProtocolError, reasonReceiveMaximum, reasonTopicInvalid, reasonTopicAlias:
		return websocket.CloseProtocolError
	case reasonPacketTooLarge:
		return websocket.CloseMessageTooBig
	case reasonBadCredentials, reasonNotAuthorized, reasonKeepAlive, reasonQuotaExceeded, reasonAdministrative:
		return websocket.ClosePolicyViolation
	case reasonImplementation:
		return websocket.CloseInternalServerErr
	default:
		return websocket.CloseNormalClosure
	}
}
