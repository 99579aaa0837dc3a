package store

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/topicwire/topicwire/internal/journal"
)

// The records of the journal, by their first byte. They are on disks: a number keeps
// its meaning for ever.
const (
	recSession            = 1
	recSessionDelete      = 2
	recSubscription       = 3
	recSubscriptionDelete = 4
	recDelivery           = 5
	recSent               = 6
	recReceived           = 7
	recComplete           = 8
	recInbound            = 9
	recInboundDelete      = 10
	recRetained           = 11
	recRetainedDelete     = 12
	recWill               = 13
	recWillDelete         = 14
)

// stateRecords are the records of a delivery's states.
var stateRecords = [...]byte{Sent: recSent, Received: recReceived} //nolint:gochecknoglobals // a table

// note begins a record about a client.
func (c *client) note(kind byte) []byte {
	return binary.AppendUvarint(append(c.d.j.Begin(journal.Store), kind), c.num)
}

func appendNumbers(b []byte, n ...uint64) []byte {
	for _, v := range n {
		b = binary.AppendUvarint(b, v)
	}
	return b
}

// The flags of subscriptions and deliveries; the lower two bits are a QoS.
const (
	flagNoLocal   = 1 << 2
	flagPublished = 1 << 3
	flagReplay    = 1 << 4
	flagRetain    = 1 << 2
)

// AppendTo is the record of the session's own data.
func (s *sessionRecord) AppendTo(b []byte) []byte {
	b = appendNumbers(append(b, recSession), s.c.num, uint64(s.Expiry))
	b = journal.AppendTime(b, s.Left)
	return journal.AppendString(journal.AppendString(b, s.c.id), s.Principal)
}

// AppendTo is the record of the subscription.
func (s *subscription) AppendTo(b []byte) []byte {
	flags := s.QoS
	if s.NoLocal {
		flags |= flagNoLocal
	}
	if s.RetainAsPublished {
		flags |= flagPublished
	}
	if s.Replaying {
		flags |= flagReplay
	}
	b = appendNumbers(append(b, recSubscription), s.c.num)
	b = appendNumbers(append(b, flags, s.RetainHandling), uint64(s.ID))
	return journal.AppendString(b, s.filter)
}

// AppendTo is the record of the delivery, as it stands now.
func (d *delivery) AppendTo(b []byte) []byte {
	flags := d.qos
	if d.retain {
		flags |= flagRetain
	}
	b = appendNumbers(append(b, recDelivery), d.c.num, d.seq, d.body.Num())
	b = append(b, flags, recordOf(d.state))
	b = appendNumbers(b, uint64(d.packetID), uint64(len(d.ids)))
	for _, id := range d.ids {
		b = appendNumbers(b, uint64(id))
	}
	return journal.AppendString(b, d.share)
}

// recordOf is what a delivery's record says of its state.
func recordOf(state Kind) byte {
	if state == Enqueue {
		return 0
	}
	return stateRecords[state]
}

// AppendTo is the record of the identifier.
func (i *inbound) AppendTo(b []byte) []byte {
	return appendNumbers(append(b, recInbound), i.c.num, uint64(i.id))
}

// AppendTo is the record of the will.
func (w *will) AppendTo(b []byte) []byte {
	b = appendNumbers(append(b, recWill), w.c.num, w.body.Num(), uint64(w.Delay))
	return journal.AppendString(journal.AppendTime(b, w.At), w.c.id)
}

// AppendTo is the record of the retained message.
func (r *retained) AppendTo(b []byte) []byte {
	b = appendNumbers(append(b, recRetained), r.body.Num())
	return journal.AppendString(b, r.body.Key().Topic) // the message may come later in the journal
}

// Replay takes a record back. What it refers to may come later, and may have been
// there before: see internal/journal.
func (d *Durable) Replay(b []byte) error {
	r := &fields{Reader: journal.NewReader(b)}
	kind := r.byte()
	switch kind {
	case recRetained:
		d.replayRetained(r.number(), r.text())
	case recRetainedDelete:
		topic := r.text()
		if old := d.retained[topic]; old != nil {
			delete(d.retained, topic)
			d.drop(old)
		}
	default:
		num := r.number()
		if r.err != nil {
			return r.err
		}
		c := d.replayed[num]
		if c == nil {
			c = d.client(num)
			d.replayed[num] = c
			d.num = max(d.num, num)
		}
		if !c.replay(kind, r) {
			return fmt.Errorf("%w: a record of kind %d of the broker's store", journal.ErrVersion, kind)
		}
	}
	return r.err
}

func (d *Durable) replayRetained(body uint64, topic string) {
	r := d.retained[topic]
	b := d.j.HeldBody(body)
	if r == nil {
		r = &retained{}
		r.Init(journal.Store, r)
		d.retained[topic] = r
	} else {
		r.body.Release()
	}
	r.body = b
	d.j.Restored(&r.Record)
}

func (c *client) replay(kind byte, r *fields) (known bool) {
	j := c.d.j
	switch kind {
	case recSession:
		c.exists = true
		c.session.Expiry, c.session.Left = uint32(r.number()), r.time()
		c.id, c.session.Principal = r.text(), r.text()
		j.Restored(&c.session.Record)
	case recSessionDelete:
		c.end()
	case recSubscription:
		flags := r.byte()
		s := &subscription{c: c, Subscription: Subscription{
			QoS: flags & 3, NoLocal: flags&flagNoLocal != 0, RetainAsPublished: flags&flagPublished != 0, Replaying: flags&flagReplay != 0,
			RetainHandling: r.byte(), ID: uint32(r.number()),
		}, filter: r.text()}
		s.Init(journal.Store, s)
		if old := c.subs[s.filter]; old != nil {
			j.Drop(&old.Record)
		}
		c.subs[s.filter] = s
		j.Restored(&s.Record)
	case recSubscriptionDelete:
		filter := r.text()
		if s := c.subs[filter]; s != nil {
			delete(c.subs, filter)
			j.Drop(&s.Record)
		}
	case recInbound:
		i := &inbound{c: c, id: uint16(r.number())}
		i.Init(journal.Store, i)
		if old := c.inbound[i.id]; old != nil {
			j.Drop(&old.Record)
		}
		c.inbound[i.id] = i
		j.Restored(&i.Record)
	case recInboundDelete:
		id := uint16(r.number())
		if i := c.inbound[id]; i != nil {
			delete(c.inbound, id)
			j.Drop(&i.Record)
		}
	case recWill:
		w := &will{c: c, body: j.HeldBody(r.number()), Will: Will{Delay: time.Duration(r.number()), At: r.time()}}
		c.id = r.text()
		w.Init(journal.Store, w)
		c.dropWill()
		c.will = w
		j.Restored(&w.Record)
	case recWillDelete:
		c.dropWill()
	default:
		return c.replayDelivery(kind, r)
	}
	return true
}

func (c *client) replayDelivery(kind byte, r *fields) (known bool) {
	j := c.d.j
	seq := r.number()
	switch kind {
	case recDelivery:
		d := &delivery{c: c, seq: seq, body: j.HeldBody(r.number())}
		d.Init(journal.Store, d)
		flags := r.byte()
		d.qos, d.retain = flags&3, flags&flagRetain != 0
		d.state = stateOf(r.byte())
		d.packetID = uint16(r.number())
		for range r.number() {
			if r.err != nil {
				break
			}
			d.ids = append(d.ids, uint32(r.number()))
		}
		d.share = r.text()
		c.take(seq)
		c.queue[seq] = d
		j.Restored(&d.Record)
	case recSent, recReceived:
		id := r.number()
		if d := c.queue[seq]; d != nil {
			d.state, d.packetID = stateOf(kind), uint16(id)
		}
	case recComplete:
		c.take(seq)
	default:
		return false
	}
	return true
}

func stateOf(rec byte) Kind {
	switch rec {
	case recSent:
		return Sent
	case recReceived:
		return Received
	default:
		return Enqueue
	}
}

// Replayed lets go of what belongs to no session.
func (d *Durable) Replayed() error {
	for _, c := range d.replayed {
		if !c.exists {
			c.end()
		}
		if w := c.will; w != nil {
			w.Message = w.body.Key()
		}
		if c.exists || c.will != nil {
			d.clients[c.id] = c
		}
	}
	d.replayed = nil
	return nil
}

// fields reads a record, and remembers the first error.
type fields struct {
	*journal.Reader
	err error
}

func (f *fields) keep(err error) {
	if f.err == nil {
		f.err = err
	}
}

func (f *fields) byte() byte {
	v, err := f.Byte()
	f.keep(err)
	return v
}

func (f *fields) number() uint64 {
	v, err := f.Uvarint()
	f.keep(err)
	return v
}

func (f *fields) time() time.Time {
	v, err := f.Time()
	f.keep(err)
	return v
}

func (f *fields) text() string {
	v, err := f.String()
	f.keep(err)
	return v
}
