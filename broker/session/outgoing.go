package session

import (
	"sync"
	"time"

	"github.com/topicwire/topicwire/message"
)

// Outgoing is one message on its way to many sessions. It encodes the packet once
// for each form in which some receiver wants it (version, QoS, RETAIN flag) and
// lends the bytes to one session after the other. It belongs to one goroutine.
type Outgoing struct {
	// Message is what goes out.
	Message *message.Message
	// Durable is set when a delivery was handed to the store, so that the publisher's
	// acknowledgement has to wait for it.
	Durable bool
	// Shared is for receivers that are no sessions: what one of them has made of the
	// message, for the others. It is empty at first.
	Shared any

	now    time.Time
	frames [12]frame
	buf    []byte // scratch for what only one receiver gets
}

// frame is an encoded PUBLISH and the place of its packet identifier.
type frame struct {
	b    []byte
	idAt int
	ok   bool
}

// Fanout lends Outgoings, so that a fan-out allocates nothing once it is warm.
type Fanout struct{ pool sync.Pool }

// largestKept bounds the buffers that wait in the pool for their next use.
const largestKept = 64 << 10

// Begin lends an Outgoing for m. Give it back with End.
func (f *Fanout) Begin(m *message.Message, now time.Time) *Outgoing {
	o, ok := f.pool.Get().(*Outgoing)
	if !ok {
		o = new(Outgoing)
	}
	o.Message, o.now = m, now
	return o
}

// End takes o back; nothing of it may be used afterwards.
func (f *Fanout) End(o *Outgoing) {
	o.Message, o.Durable, o.Shared = nil, false, nil
	for i := range o.frames {
		o.frames[i].ok = false
		if cap(o.frames[i].b) > largestKept {
			o.frames[i].b = nil
		}
	}
	if cap(o.buf) > largestKept {
		o.buf = nil
	}
	f.pool.Put(o)
}

// frame is the packet for every receiver of this version, QoS and RETAIN flag that
// wants no alias and no subscription identifier. The packet identifier is the
// caller's to fill in.
func (o *Outgoing) frame(version, qos byte, retain bool) *frame {
	i := int(qos) * 4
	if version >= 5 {
		i++
	}
	if retain {
		i += 2
	}
	f := &o.frames[i]
	if !f.ok {
		h := Header{Version: version, QoS: qos, Retain: retain, Now: o.now}
		f.b, f.idAt = AppendPublish(f.b[:0], o.Message, &h)
		f.ok = true
	}
	return f
}
