// Package wire is GRIP as it goes over the wire: the events of WebSocket-over-HTTP, the
// control messages inside them, the instructions in an answer's headers or body, and
// the items that are published. It turns bytes into values and back, says what is wrong
// with them, and knows nobody who sends or gets them.
package wire

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"unicode/utf8"
)

// ContentType is the type of a body of WebSocket events.
const ContentType = "application/websocket-events"

// The types of events. Others may come and are to be ignored.
const (
	EventOpen       = "OPEN"
	EventText       = "TEXT"
	EventBinary     = "BINARY"
	EventPing       = "PING"
	EventPong       = "PONG"
	EventClose      = "CLOSE"
	EventDisconnect = "DISCONNECT"
)

// Event is one event of WebSocket-over-HTTP.
type Event struct {
	Type string
	// Content is nil if the event has none, and empty if it has one of no bytes. What
	// ParseEvents returns is a piece of its argument.
	Content []byte
}

// ErrEvents says that a body is no sequence of events.
var ErrEvents = errors.New("malformed WebSocket events")

// AppendEvent writes an event: TYPE CRLF, or TYPE SP length CRLF content CRLF with the
// length in hexadecimal.
func AppendEvent(b []byte, e Event) []byte {
	b = append(b, e.Type...)
	if e.Content == nil {
		return append(b, '\r', '\n')
	}
	b = append(b, ' ')
	b = strconv.AppendUint(b, uint64(len(e.Content)), 16)
	b = append(b, '\r', '\n')
	b = append(b, e.Content...)
	return append(b, '\r', '\n')
}

// ParseEvents takes a body apart. Its errors wrap ErrEvents.
func ParseEvents(b []byte) ([]Event, error) {
	var events []Event
	for at := 0; at < len(b); {
		end := bytes.Index(b[at:], crlf())
		if end < 0 {
			return nil, fmt.Errorf("%w: the line at byte %d has no end", ErrEvents, at)
		}
		line := b[at : at+end]
		at += end + 2
		kind, length, sized := bytes.Cut(line, []byte{' '})
		if len(kind) == 0 {
			return nil, fmt.Errorf("%w: an event without a type at byte %d", ErrEvents, at-end-2)
		}
		e := Event{Type: string(kind)}
		if sized {
			n, err := strconv.ParseUint(string(length), 16, 31)
			if err != nil {
				return nil, fmt.Errorf("%w: %.20q is no length", ErrEvents, length)
			}
			if int(n) > len(b)-at-2 || !bytes.Equal(b[at+int(n):at+int(n)+2], crlf()) {
				return nil, fmt.Errorf("%w: the content of %s does not end after %d bytes", ErrEvents, kind, n)
			}
			e.Content = b[at : at+int(n) : at+int(n)]
			at += int(n) + 2
		}
		events = append(events, e)
	}
	return events, nil
}

func crlf() []byte { return []byte{'\r', '\n'} }

// CloseContent is the content of a CLOSE event; code 0 stands for none.
func CloseContent(code int, reason string) []byte {
	if code == 0 {
		return nil
	}
	return append(binary.BigEndian.AppendUint16(nil, uint16(code)), reason...)
}

// ParseClose takes the content of a CLOSE event apart; code 0 stands for none, or for a
// zero, which handlers send that close without a code.
func ParseClose(content []byte) (code int, reason string) {
	if len(content) < 2 {
		return 0, ""
	}
	reason = string(content[2:])
	if !utf8.ValidString(reason) {
		reason = ""
	}
	return int(binary.BigEndian.Uint16(content)), reason
}
