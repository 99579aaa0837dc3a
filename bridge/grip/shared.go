package grip

import (
	"strings"
	"unicode/utf8"

	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/message"
)

// delivery is what holders make of one message for each other: every form of it is
// made once, however many get it. It lives as long as one fan-out and is in no two
// goroutines at once.
type delivery struct {
	pub   *publication // how it was published, if over the door for that
	id    string       // of the message within its channel; empty = none
	prev  string
	asked bool   // prev counts
	seq   uint64 // its place in the history; 0 = none
	meta  map[string]string

	plain    socket.Frame // of the payload
	hasPlain bool
	frame    socket.Frame // of the item's form for WebSockets
	hasFrame bool
	streams  [4]chunk // by framing, see streamForm
}

// chunk is content for a stream, made once.
type chunk struct {
	b    []byte
	done bool
}

// publication is an item on its way, and who it has reached.
type publication struct {
	item    *wire.Item
	reached int // holders
	missed  int // holders whose queue was full
}

// deliveryOf finds or makes the delivery of a message.
func (d *Door) deliveryOf(m *message.Message, shared *any) *delivery {
	if known, ok := (*shared).(*delivery); ok {
		return known
	}
	n := newDelivery(m, d.publicationOf(m))
	n.seq = d.history.seqOf(m)
	*shared = n
	return n
}

// newDelivery makes the delivery of a message that was published in that way.
func newDelivery(m *message.Message, pub *publication) *delivery {
	d := &delivery{pub: pub}
	if pub == nil {
		d.properties(m.Props.User)
		return d
	}
	i := pub.item
	d.id, d.prev, d.asked, d.meta = i.ID, i.PrevID, i.HasPrevID, i.Meta
	return d
}

// The user properties in which an MQTT message carries what a GRIP item has.
const (
	propID   = "grip-id"
	propPrev = "grip-prev-id"
	propMeta = "grip-meta-"
)

// properties reads a message's id and meta from its MQTT 5 user properties.
func (d *delivery) properties(user []message.UserProperty) {
	for _, p := range user {
		switch {
		case p.Key == propID:
			d.id = p.Value
		case p.Key == propPrev:
			d.prev, d.asked = p.Value, true
		case strings.HasPrefix(p.Key, propMeta):
			if d.meta == nil {
				d.meta = make(map[string]string)
			}
			d.meta[p.Key[len(propMeta):]] = p.Value
		}
	}
}

// FrameOf is a message as a WebSocket client gets it, encoded once for all holders:
// text if the Payload Format Indicator says so or, without one, if it is UTF-8; else
// binary. shared is what [Receive] was given.
func FrameOf(m *message.Message, shared *any) socket.Frame {
	d, ok := (*shared).(*delivery)
	if !ok {
		d = newDelivery(m, nil)
		*shared = d
	}
	return d.plainFrame(m)
}

func (d *delivery) plainFrame(m *message.Message) socket.Frame {
	if !d.hasPlain {
		d.plain, d.hasPlain = socket.NewFrame(opcodeOf(m), m.Payload), true
	}
	return d.plain
}

// itemFrame is the frame of an item's form for WebSockets.
func (d *delivery) itemFrame() socket.Frame {
	if !d.hasFrame {
		ws := d.pub.item.WS
		d.frame, d.hasFrame = socket.NewFrame(opcode(ws.Kind), ws.Content), true
	}
	return d.frame
}

func opcodeOf(m *message.Message) socket.Opcode {
	if m.Props.Format != message.FormatBytes && utf8.Valid(m.Payload) {
		return socket.Text
	}
	return socket.Binary
}

// opcode is the kind of frame of an event.
func opcode(kind string) socket.Opcode {
	switch kind {
	case wire.EventText:
		return socket.Text
	case wire.EventPing:
		return socket.Ping
	case wire.EventPong:
		return socket.Pong
	default:
		return socket.Binary
	}
}
