package store

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"github.com/topicwire/topicwire/internal/journal"
	"github.com/topicwire/topicwire/message"
)

// Durable is the store that survives the process. It holds the state as [Memory] does,
// and beside it a journal of its changes. A message that waits for many sessions is in
// the journal once, as it is in memory. The journal's lock guards all of it.
type Durable struct {
	j        *journal.Journal
	clients  map[string]*client
	retained map[string]*retained
	num      uint64             // of the client that came last
	replayed map[uint64]*client // while the journal is read
}

// client is all that is kept of one client.
type client struct {
	d   *Durable
	num uint64 // what records call it
	id  string

	exists  bool
	session sessionRecord
	subs    map[string]*subscription
	queue   map[uint64]*delivery
	inbound map[uint16]*inbound
	will    *will
}

type sessionRecord struct {
	journal.Record
	Session
	c *client
}

type subscription struct {
	journal.Record
	Subscription
	c      *client
	filter string
}

type delivery struct {
	journal.Record
	c        *client
	seq      uint64
	body     *journal.Body
	qos      byte
	retain   bool
	state    Kind // Enqueue, Sent or Received
	packetID uint16
	ids      []uint32
	share    string
}

type inbound struct {
	journal.Record
	c  *client
	id uint16
}

type will struct {
	journal.Record
	Will
	c    *client
	body *journal.Body
}

type retained struct {
	journal.Record
	body *journal.Body
}

// NewDurable makes a store that keeps its changes in j, and joins j, which is to be
// replayed before Load.
func NewDurable(j *journal.Journal) *Durable {
	d := &Durable{j: j, clients: map[string]*client{}, retained: map[string]*retained{}, replayed: map[uint64]*client{}}
	j.Join(journal.Store, d)
	return d
}

// Append takes the change over.
func (d *Durable) Append(c Change) {
	d.j.Lock()
	defer d.j.Unlock()
	switch c.Kind {
	case RetainedPut:
		d.retain(c.Delivery.Message)
	case RetainedDelete:
		if r := d.retained[c.Topic]; r != nil {
			delete(d.retained, c.Topic)
			d.drop(r)
			d.j.End(journal.AppendString(append(d.j.Begin(journal.Store), recRetainedDelete), c.Topic))
		}
	default:
		cl := d.clients[c.Client]
		if cl == nil {
			if c.Kind != SessionPut && c.Kind != WillPut {
				return // the session has ended; what was still under way for it goes with it
			}
			d.num++
			cl = d.client(d.num)
			cl.id = c.Client
			d.clients[c.Client] = cl
		}
		cl.apply(&c)
		if !cl.exists && cl.will == nil {
			delete(d.clients, c.Client)
		}
	}
}

func (d *Durable) client(num uint64) *client {
	c := &client{d: d, num: num, subs: map[string]*subscription{}, queue: map[uint64]*delivery{}, inbound: map[uint16]*inbound{}}
	c.session.c = c
	c.session.Init(journal.Store, &c.session)
	return c
}

func (d *Durable) retain(m *message.Message) {
	body := d.j.Hold(m) // before the old one goes: it may be the same
	r := d.retained[m.Topic]
	if r == nil {
		r = &retained{}
		r.Init(journal.Store, r)
		d.retained[m.Topic] = r
	} else {
		r.body.Release()
	}
	r.body = body
	d.j.Put(&r.Record)
}

func (d *Durable) drop(r *retained) {
	r.body.Release()
	d.j.Drop(&r.Record)
}

func (c *client) apply(ch *Change) {
	j := c.d.j
	switch ch.Kind {
	case SessionPut:
		c.exists, c.session.Session = true, ch.Session
		j.Put(&c.session.Record)
	case SessionDelete:
		if c.exists {
			c.end()
			j.End(c.note(recSessionDelete))
		}
	case SubscriptionPut:
		s := c.subs[ch.Filter]
		if s == nil {
			s = &subscription{c: c, filter: ch.Filter}
			s.Init(journal.Store, s)
			c.subs[ch.Filter] = s
		}
		s.Subscription = ch.Subscription
		j.Put(&s.Record)
	case SubscriptionDelete:
		if s := c.subs[ch.Filter]; s != nil {
			delete(c.subs, ch.Filter)
			j.Drop(&s.Record)
			j.End(journal.AppendString(c.note(recSubscriptionDelete), ch.Filter))
		}
	case SubscriptionReplayed:
		if s := c.subs[ch.Filter]; s != nil && s.Replaying {
			s.Replaying = false
			j.Put(&s.Record)
		}
	case WillPut:
		w := &will{c: c, Will: *ch.Will, body: j.Hold(ch.Will.Message)}
		w.Init(journal.Store, w)
		c.dropWill()
		c.will = w
		j.Put(&w.Record)
	case WillDelete:
		if c.will != nil && (ch.Will == nil || ch.Will.Message == c.will.Message) {
			c.dropWill()
			j.End(c.note(recWillDelete))
		}
	default:
		c.applyDelivery(ch)
	}
}

func (c *client) applyDelivery(ch *Change) {
	j := c.d.j
	switch ch.Kind {
	case Enqueue:
		d := &delivery{
			c: c, seq: ch.Seq, body: j.Hold(ch.Delivery.Message), state: Enqueue, qos: ch.Delivery.QoS, retain: ch.Delivery.Retain,
			ids: ch.Delivery.IDs, share: ch.Delivery.Share,
		}
		d.Init(journal.Store, d)
		c.take(ch.Seq)
		c.queue[ch.Seq] = d
		j.Put(&d.Record)
	case Sent, Received:
		if d := c.queue[ch.Seq]; d != nil {
			d.state, d.packetID = ch.Kind, ch.PacketID
			j.End(appendNumbers(c.note(stateRecords[ch.Kind]), ch.Seq, uint64(ch.PacketID)))
		}
	case Complete:
		if c.take(ch.Seq) {
			j.End(appendNumbers(c.note(recComplete), ch.Seq))
		}
	case InboundPut:
		i := c.inbound[ch.PacketID]
		if i == nil {
			i = &inbound{c: c, id: ch.PacketID}
			i.Init(journal.Store, i)
			c.inbound[ch.PacketID] = i
		}
		j.Put(&i.Record)
	case InboundDelete:
		if i := c.inbound[ch.PacketID]; i != nil {
			delete(c.inbound, ch.PacketID)
			j.Drop(&i.Record)
			j.End(appendNumbers(c.note(recInboundDelete), uint64(ch.PacketID)))
		}
	default:
	}
}

// take takes a delivery out.
func (c *client) take(seq uint64) bool {
	d := c.queue[seq]
	if d == nil {
		return false
	}
	delete(c.queue, seq)
	c.d.j.Drop(&d.Record)
	d.body.Release()
	return true
}

func (c *client) dropWill() {
	if w := c.will; w != nil {
		c.will = nil
		c.d.j.Drop(&w.Record)
		w.body.Release()
	}
}

// end drops the session and all that belongs to it.
func (c *client) end() {
	j := c.d.j
	c.exists, c.session.Session = false, Session{}
	j.Drop(&c.session.Record)
	for _, s := range c.subs {
		j.Drop(&s.Record)
	}
	for seq := range c.queue {
		c.take(seq)
	}
	for _, i := range c.inbound {
		j.Drop(&i.Record)
	}
	clear(c.subs)
	clear(c.inbound)
}

// Group keeps together what is appended during f.
func (d *Durable) Group(f func()) { d.j.Group(f) }

// Sync calls back when everything appended is durable.
func (d *Durable) Sync(done func(error)) { d.j.Sync(done) }

// Err is why the store takes nothing now.
func (d *Durable) Err() error { return d.j.Err() }

// Close waits until everything appended is durable. The journal is the caller's.
func (d *Durable) Close() error {
	done := make(chan error, 1)
	d.j.Sync(func(err error) { done <- err })
	return <-done
}

// Load visits what was kept.
func (d *Durable) Load(ctx context.Context, visit func(Change) error) error {
	d.j.Lock()
	clients := slices.Collect(maps.Values(d.clients))
	messages := make([]*message.Message, 0, len(d.retained))
	for _, r := range d.retained {
		messages = append(messages, r.body.Key())
	}
	d.j.Unlock()
	for _, c := range clients {
		if err := ctx.Err(); err != nil {
			return err
		}
		for _, change := range c.load() {
			if err := visit(change); err != nil {
				return err
			}
		}
	}
	for _, m := range messages {
		if err := visit(Change{Kind: RetainedPut, Delivery: Delivery{Message: m}}); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// load gives one client's state as changes.
func (c *client) load() []Change {
	c.d.j.Lock()
	defer c.d.j.Unlock()
	var changes []Change
	if c.exists {
		changes = append(changes, Change{Kind: SessionPut, Client: c.id, Session: c.session.Session})
		for filter, s := range c.subs {
			changes = append(changes, Change{Kind: SubscriptionPut, Client: c.id, Filter: filter, Subscription: s.Subscription})
		}
		for id := range c.inbound {
			changes = append(changes, Change{Kind: InboundPut, Client: c.id, PacketID: id})
		}
		for _, seq := range slices.SortedFunc(maps.Keys(c.queue), cmp.Compare) {
			d := c.queue[seq]
			changes = append(changes, Change{Kind: Enqueue, Client: c.id, Seq: seq, Delivery: Delivery{
				Message: d.body.Key(), QoS: d.qos, Retain: d.retain, IDs: d.ids, Share: d.share,
			}})
			if d.state != Enqueue {
				changes = append(changes, Change{Kind: d.state, Client: c.id, Seq: seq, PacketID: d.packetID})
			}
		}
	}
	if w := c.will; w != nil {
		kept := w.Will
		changes = append(changes, Change{Kind: WillPut, Client: c.id, Will: &kept})
	}
	return changes
}
