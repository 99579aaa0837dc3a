package broker

import (
	"errors"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/topicwire/topicwire/broker/session"
)

// ackLine sends a client's acknowledgements in the order of its PUBLISH packets
// [MQTT-4.6.0-2] [MQTT-4.6.0-3], each when its message is durable, without making
// the reader wait.
type ackLine struct {
	c    *connection
	most int

	mu     sync.Mutex
	room   sync.Cond
	line   []*receipt // from head on, in order
	head   int
	out    []byte
	closed atomic.Bool
}

// receipt is one acknowledgement that waits.
type receipt struct {
	line *ackLine
	ack  session.Ack
	id   uint16
	why  reason
	text string // says why in words; empty if the client does not want to know
	left int    // outcomes still missing
	ok   bool   // may go out
}

func (l *ackLine) init(c *connection, most int) {
	l.c, l.most = c, most
	l.room.L = &l.mu
}

// now acknowledges a message that is durable already.
func (l *ackLine) now(ack session.Ack, id uint16, why reason) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head == len(l.line) {
		var b [5]byte
		l.write(session.AppendAck(b[:0], ack, l.c.version, id, byte(why)))
		return
	}
	l.line = append(l.line, &receipt{line: l, ack: ack, id: id, why: why, ok: true})
}

// later takes a place in the line for an acknowledgement that waits for so many
// outcomes. Before MQTT 5 a client knows no Receive Maximum: it has to wait here
// while too many are outstanding.
func (l *ackLine) later(ack session.Ack, id uint16, outcomes int) *receipt {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.line)-l.head >= l.most && !l.closed.Load() {
		l.room.Wait()
	}
	r := &receipt{line: l, ack: ack, id: id, left: outcomes}
	if l.head > 0 && len(l.line) == cap(l.line) {
		n := copy(l.line, l.line[l.head:])
		clear(l.line[n:])
		l.line, l.head = l.line[:n], 0
	}
	l.line = append(l.line, r)
	return r
}

// waiting is how many acknowledgements are outstanding.
func (l *ackLine) waiting() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.line) - l.head
}

// done adds one outcome; with the last one the acknowledgement goes out, as soon as
// those in front of it have.
func (r *receipt) done(err error) {
	l := r.line
	l.mu.Lock()
	r.left--
	if err != nil && !r.why.failed() {
		r.why, r.text = refusalReason(err), l.c.reasonText(err)
		if _, told := err.(interface{ ReasonString() string }); !told { // who words it has logged it
			l.c.b.log.Error().Err(err).Str("client", l.c.origin.ClientID).Msg("a published message could not be kept")
		}
	}
	last, why := r.left == 0, r.why
	l.mu.Unlock()
	if !last {
		return
	}
	if r.ack == session.Pubrec {
		l.c.sub.session.Arrived(r.id, byte(why)) // may acknowledge a repetition in another line, or in this one
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	r.ok = true
	l.flush()
}

// maxReasonText is the longest Reason String that is sent, in bytes.
const maxReasonText = 1024

// reasonText is what a failed acknowledgement says in words: what err has for
// publishers, if the client has not declined it [MQTT-3.1.2-29] and takes packets of
// that size [MQTT-3.4.2-2].
func (c *connection) reasonText(err error) string {
	var worded interface{ ReasonString() string }
	if c.version < 5 || c.noProblemInfo || !errors.As(err, &worded) {
		return ""
	}
	text := worded.ReasonString()
	if len(text) > maxReasonText {
		text = text[:maxReasonText]
	}
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "")
	const around = 16 // everything else in the packet
	if c.maxPacket > 0 && len(text)+around > int(c.maxPacket) {
		return ""
	}
	return text
}

// flush sends what is complete, from the head on.
func (l *ackLine) flush() {
	l.out = l.out[:0]
	for l.head < len(l.line) && l.line[l.head].ok {
		r := l.line[l.head]
		l.line[l.head] = nil
		l.head++
		if r.why.failed() && l.c.version < 5 && r.ack != session.Pubcomp {
			// There is no negative acknowledgement before MQTT 5, and a positive one
			// would be a lie: the client is to send the message again. [MQTT-3.3.5-2]
			l.fail()
			return
		}
		if r.text != "" {
			l.out = session.AppendAckReason(l.out, r.ack, r.id, byte(r.why), r.text)
			continue
		}
		l.out = session.AppendAck(l.out, r.ack, l.c.version, r.id, byte(r.why))
	}
	if l.head == len(l.line) {
		l.line, l.head = l.line[:0], 0
	}
	l.room.Signal()
	if len(l.out) > 0 {
		l.write(l.out)
	}
}

func (l *ackLine) write(b []byte) {
	if _, err := l.c.Conn.Write(b); err != nil {
		l.closed.Store(true)
		l.room.Broadcast()
		l.c.disconnect(reasonQuotaExceeded)
	}
}

// fail ends the connection without acknowledging what waits.
func (l *ackLine) fail() {
	l.closed.Store(true)
	l.room.Broadcast()
	l.c.disconnect(reasonImplementation)
}

// close lets a reader that waits for room go. It does nothing when the line has
// closed itself, which then holds the lock.
func (l *ackLine) close() {
	if l.closed.Load() {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed.Store(true)
	l.room.Broadcast()
}
