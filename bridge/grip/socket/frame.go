package socket

import (
	"encoding/binary"
	"unicode/utf8"
)

// Opcode is the kind of a WebSocket frame (RFC 6455, section 11.8).
type Opcode byte

// The opcodes.
const (
	Text    Opcode = 0x1
	Binary  Opcode = 0x2
	opClose Opcode = 0x8
	Ping    Opcode = 0x9
	Pong    Opcode = 0xA
)

// Frame is one message as it goes over the wire, encoded once however many
// connections it is sent to. It is read-only.
type Frame struct {
	b       []byte
	payload int
	small   *deflated // nil = it is not worth compressing
}

// NewFrame encodes a message that is not fragmented. A control frame holds 125 bytes
// at most; what is more is cut off (RFC 6455, section 5.5).
func NewFrame(op Opcode, payload []byte) Frame {
	if op >= opClose && len(payload) > maxControl {
		payload = payload[:maxControl]
	}
	f := Frame{b: appendFrame(make([]byte, 0, len(payload)+maxHeader), 0x80|byte(op), payload), payload: len(payload)}
	if len(payload) >= leastDeflated && op < opClose {
		f.small = &deflated{}
	}
	return f
}

// maxHeader is the longest header of a frame that is not masked.
const maxHeader = 10

// appendFrame writes a frame whose first byte is first.
func appendFrame(b []byte, first byte, payload []byte) []byte {
	b = append(b, first)
	switch n := len(payload); {
	case n <= 125:
		b = append(b, byte(n))
	case n <= 0xffff:
		b = binary.BigEndian.AppendUint16(append(b, 126), uint16(n))
	default:
		b = binary.BigEndian.AppendUint64(append(b, 127), uint64(n))
	}
	return append(b, payload...)
}

// maxControl is the longest payload of a control frame.
const maxControl = 125

// closeFrame is a CLOSE with a code and a reason; code 0 stands for none.
func closeFrame(code int, reason string) Frame {
	if code == 0 {
		return NewFrame(opClose, nil)
	}
	for len(reason) > maxControl-2 || !utf8.ValidString(reason) {
		reason = reason[:min(len(reason)-1, maxControl-2)]
	}
	return NewFrame(opClose, append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...))
}

// The close codes that are sent here (RFC 6455, section 7.4.1; from 1012 on from its registry,
// where 3000 and 3003 are what 401 and 403 are in HTTP).
const (
	CloseNormal       = 1000
	CloseGoingAway    = 1001
	CloseProtocol     = 1002
	CloseUnsupported  = 1003
	CloseNoStatus     = 1005
	CloseAbnormal     = 1006
	CloseInvalidData  = 1007
	CloseTooBig       = 1009
	CloseRestart      = 1012
	CloseTryAgain     = 1013
	CloseUnauthorized = 3000
	CloseForbidden    = 3003
	closeFirstPrivate = 3000
)

// AnswerCode is the code that answers a client's close frame: its own, or none if it had
// none.
func AnswerCode(code int) int {
	if code == CloseNoStatus {
		return 0
	}
	return code
}

// ValidCode reports whether a code may be in a close frame (RFC 6455, section 7.4).
func ValidCode(code int) bool {
	switch {
	case code >= closeFirstPrivate && code <= 4999:
		return true
	case code >= CloseNormal && code <= CloseUnsupported, code >= CloseInvalidData && code <= 1014:
		return true
	}
	return false
}
