package grip

import (
	"unicode/utf8"

	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/message"
)

// delivery is what holders make of one message for each other: every form of it is
// made once, however many get it. It lives as long as one fan-out and is in no two
// goroutines at once.
type delivery struct {
	frame    socket.Frame
	hasFrame bool
}

// deliveryOf finds or makes the delivery of a message.
func deliveryOf(shared *any) *delivery {
	d, ok := (*shared).(*delivery)
	if !ok {
		d = &delivery{}
		*shared = d
	}
	return d
}

// FrameOf is a message as a WebSocket client gets it, encoded once for all holders:
// text if the Payload Format Indicator says so or, without one, if it is UTF-8; else
// binary. shared is what [Receive] was given.
func FrameOf(m *message.Message, shared *any) socket.Frame {
	d := deliveryOf(shared)
	if !d.hasFrame {
		d.frame, d.hasFrame = socket.NewFrame(opcodeOf(m), m.Payload), true
	}
	return d.frame
}

func opcodeOf(m *message.Message) socket.Opcode {
	if m.Props.Format == message.FormatUTF8 && utf8.Valid(m.Payload) || m.Props.Format == message.FormatUnset && utf8.Valid(m.Payload) {
		return socket.Text
	}
	return socket.Binary
}
