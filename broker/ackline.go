package broker

import (
	"errors"
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
	waits  atomic.Int32        // length of the line; written under mu
	owed   atomic.Int32        // messages of an MQTT 5 client that count against Receive Maximum
	open   map[uint16]struct{} // those of QoS 2: not completed, and begun on this connection
	out    []byte
	closed atomic.Bool
}

// receipt is one acknowledgement that waits.
type receipt struct {
	line *ackLine
	ack  session.Ack
	id   uint16
	why  reason
	left int  // outcomes still missing
	ok   bool // may go out

	props []byte // properties of a refusal; nil = none
}

func (l *ackLine) init(c *connection, most int) {
	l.c, l.most = c, most
	l.room.L = &l.mu
}

// begin takes note of a PUBLISH at QoS 1 or 2. It reports false if that is one more than
// the server's Receive Maximum allows [MQTT-3.3.4-9]; what was begun on an earlier
// connection does not count (MQTT 5, section 4.9).
func (l *ackLine) begin(p *publish) bool {
	switch {
	case l.c.version < 5:
	case p.qos == 2:
		if !l.opens(p.id) {
			return false
		}
	case l.owed.Add(1) > int32(l.most):
		return false
	}
	l.makeRoom()
	return true
}

// opens is begin for a message of QoS 2, which may have been begun before.
func (l *ackLine) opens(id uint16) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, again := l.open[id]; again {
		return true
	}
	if l.owed.Add(1) > int32(l.most) {
		return false
	}
	if l.open == nil {
		l.open = map[uint16]struct{}{}
	}
	l.open[id] = struct{}{}
	return true
}

// makeRoom lets the reader wait while too many acknowledgements are outstanding: before
// MQTT 5 a client knows no Receive Maximum, and repetitions do not count against it.
func (l *ackLine) makeRoom() {
	if int(l.waits.Load()) < l.most { // without the lock: one more or less does not matter
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.line)-l.head >= l.most && !l.closed.Load() {
		l.room.Wait()
	}
}

// settle takes note that an acknowledgement goes out. Call it with the lock held.
func (l *ackLine) settle(ack session.Ack, id uint16, why reason) {
	switch {
	case l.c.version < 5:
	case ack == session.Puback:
		l.owed.Add(-1)
	case ack == session.Pubcomp, why.failed(): // a PUBREC that refuses is the end too
		if _, open := l.open[id]; open {
			delete(l.open, id)
			l.owed.Add(-1)
		}
	}
}

// now acknowledges a message that is durable already.
func (l *ackLine) now(ack session.Ack, id uint16, why reason) { l.refuse(ack, id, why, nil) }

// refuse is now for a refusal with encoded properties.
func (l *ackLine) refuse(ack session.Ack, id uint16, why reason, props []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.head == len(l.line) {
		l.settle(ack, id, why)
		var b [5]byte
		l.write(appendAck(b[:0], ack, l.c.version, id, why, props), 1)
		return
	}
	l.line = append(l.line, &receipt{line: l, ack: ack, id: id, why: why, ok: true, props: props})
	l.waits.Add(1)
}

// appendAck appends an acknowledgement, with properties if there are any.
func appendAck(dst []byte, ack session.Ack, version byte, id uint16, why reason, props []byte) []byte {
	if len(props) <= 1 || version < 5 {
		return session.AppendAck(dst, ack, version, id, byte(why))
	}
	dst = appendLength(append(dst, byte(ack)), 3+len(props))
	return append(append(dst, byte(id>>8), byte(id), byte(why)), props...)
}

// later takes a place in the line for an acknowledgement that waits for so many
// outcomes.
func (l *ackLine) later(ack session.Ack, id uint16, outcomes int) *receipt {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := &receipt{line: l, ack: ack, id: id, left: outcomes}
	if l.head > 0 && len(l.line) == cap(l.line) {
		n := copy(l.line, l.line[l.head:])
		clear(l.line[n:])
		l.line, l.head = l.line[:n], 0
	}
	l.line = append(l.line, r)
	l.waits.Add(1)
	return r
}

// done adds one outcome; with the last one the acknowledgement goes out, as soon as
// those in front of it have.
func (r *receipt) done(err error) {
	l := r.line
	l.mu.Lock()
	r.left--
	if err != nil && !r.why.failed() {
		r.why = ackReason(refusalReason(err))
		worded, told := errors.AsType[interface {
			error
			ReasonString() string
		}](err)
		if told {
			r.props = l.c.reasonString(worded.ReasonString())
		} else { // whoever words it has logged it
			l.c.b.metrics.notKept.Inc()
			l.c.b.log.Debug().Err(err).Str("client", l.c.origin.ClientID).Msg("a published message could not be kept")
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

// flush sends what is complete, from the head on.
func (l *ackLine) flush() {
	l.out = l.out[:0]
	n := 0
	for l.head < len(l.line) && l.line[l.head].ok {
		r := l.line[l.head]
		l.line[l.head] = nil
		l.head++
		l.waits.Add(-1)
		if r.why.failed() && (r.ack == session.Pubcomp && r.why != reasonIDNotFound || r.ack != session.Pubcomp && l.c.version < 5) {
			// There is no negative acknowledgement before MQTT 5, and none for the second
			// half of QoS 2; a positive one would be a lie: the client is to send the
			// message, or its PUBREL, again. [MQTT-3.3.5-2]
			l.fail()
			return
		}
		l.settle(r.ack, r.id, r.why)
		l.out = appendAck(l.out, r.ack, l.c.version, r.id, r.why, r.props)
		n++
	}
	if l.head == len(l.line) {
		l.line, l.head = l.line[:0], 0
	}
	l.room.Signal()
	if len(l.out) > 0 {
		l.write(l.out, n)
	}
}

func (l *ackLine) write(b []byte, packets int) {
	if _, err := l.c.Conn.WritePackets(b, packets); err != nil {
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
