package grip

import (
	"bytes"
	"strings"

	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/message"
)

// framingOf is how plain messages are written to a stream.
func framingOf(f StreamFraming, head *wire.Response) StreamFraming {
	if f != StreamAuto && f != "" {
		return f
	}
	t, _, _ := strings.Cut(head.Header.Get("Content-Type"), ";")
	if strings.EqualFold(strings.TrimSpace(t), "text/event-stream") {
		return StreamSSE
	}
	return StreamRaw
}

// streamForm is a message as a stream's client gets it, made once for all.
func (d *delivery) streamForm(f StreamFraming, m *message.Message) []byte {
	c := &d.streams[framingIndex(f)]
	if !c.done {
		content := m.Payload
		if d.pub != nil {
			content = d.pub.item.Stream.Content
		}
		c.b, c.done = frameContent(f, content, d), true
	}
	return c.b
}

func framingIndex(f StreamFraming) int {
	switch f {
	case StreamLine:
		return 1
	case StreamSSE:
		return 2
	default:
		return 0
	}
}

// frameContent frames content for a stream. What was published for streams is framed
// already; to a server-sent event of that kind only its place in the history is added.
func frameContent(f StreamFraming, b []byte, d *delivery) []byte {
	switch {
	case d.pub != nil && f == StreamSSE && d.seq != 0 && !hasEventID(b):
		return append([]byte("id: "+seqID(d.seq)+"\n"), b...)
	case d.pub != nil:
		return b
	case f == StreamLine:
		return append(append(make([]byte, 0, len(b)+1), b...), '\n')
	case f == StreamSSE:
		return serverSentEvent(b, d.seq)
	default:
		return b
	}
}

func hasEventID(b []byte) bool {
	return bytes.HasPrefix(b, []byte("id:")) || bytes.Contains(b, []byte("\nid:"))
}

// serverSentEvent is a message as text/event-stream has it: a field data for each line
// (https://html.spec.whatwg.org/multipage/server-sent-events.html).
func serverSentEvent(b []byte, seq uint64) []byte {
	out := make([]byte, 0, len(b)+40)
	if seq != 0 {
		out = append(out, "id: "+seqID(seq)+"\n"...)
	}
	text := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(string(b))
	for line := range strings.SplitSeq(text, "\n") {
		out = append(out, "data: "...)
		out = append(out, line...)
		out = append(out, '\n')
	}
	return append(out, '\n')
}
