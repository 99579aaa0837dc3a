package broker

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/broker/topics"
)

// client is what the broker knows of one client identifier, across connections and
// sessions. It exists while there is a connection, a session or a will.
type client struct {
	id string

	mu      sync.Mutex
	gone    bool        // taken out of the registry; look again
	conn    *connection // nil while offline
	sub     *subscriber // the session; nil if there is none
	owner   string      // name of the principal whose session it is
	expiry  uint32      // Session Expiry Interval of sub, in seconds
	expires *entry      // when the offline session ends
	will    *will       // waits for its delay
	left    departure   // of the last connection, while there is none
}

// subscriber is one session in the index of subscriptions. A session that takes the
// place of another is another subscriber: nothing meant for the old one reaches it.
type subscriber struct {
	session *session.Session
	client  *client
	local   *local // in their place for a subscriber in this process: see NewLocal

	// principal is whose session it is; nil after a restart, until the client is back.
	principal atomic.Pointer[auth.Principal]
	// receive is the same if it has to be asked before a delivery; nil = everything is
	// allowed.
	receive atomic.Pointer[auth.Principal]

	// sharesLater says that what it holds of shared subscriptions will be shared out.
	sharesLater atomic.Bool

	mu    sync.Mutex
	subs  map[string]topics.Option
	ended bool // takes no more subscriptions

	replaying []string // filters whose retained messages a restart has cut short; while restoring
}

// mayReceive reports whether the session may be sent messages of a topic.
func (s *subscriber) mayReceive(topic string) bool {
	p := s.receive.Load()
	return p == nil || p.May(auth.Receive, topic)
}

// forever is the Session Expiry Interval of a session that never expires.
const forever = 0xFFFFFFFF

// clients are all clients by identifier.
type clients struct {
	mu  sync.RWMutex
	all map[string]*client
}

// find returns a client, or nil.
func (r *clients) find(id string) *client {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.all[id]
}

// acquire finds or makes a client and locks it.
func (r *clients) acquire(id string) *client {
	for {
		c := r.find(id)
		if c == nil {
			r.mu.Lock()
			if c = r.all[id]; c == nil {
				c = &client{id: id}
				r.all[id] = c
			}
			r.mu.Unlock()
		}
		c.mu.Lock()
		if !c.gone {
			return c
		}
		c.mu.Unlock()
	}
}

// release unlocks a client and forgets it if nothing is left of it.
func (r *clients) release(c *client) {
	if c.conn == nil && c.sub == nil && c.will == nil {
		c.gone = true
		r.mu.Lock()
		delete(r.all, c.id)
		r.mu.Unlock()
	}
	c.mu.Unlock()
}

// list returns the clients of this moment.
func (r *clients) list() []*client {
	r.mu.RLock()
	defer r.mu.RUnlock()
	l := make([]*client, 0, len(r.all))
	for _, c := range r.all {
		l = append(l, c)
	}
	return l
}

// len is how many clients are known.
func (r *clients) len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.all)
}

// takeOver makes c the connection of its client: it ends a connection that is still
// there, and resumes the session or starts one. It returns whether the session was
// there before [MQTT-3.2.2-2], and the wills that have become due.
func (b *Broker) takeOver(c *connection) (present bool, due []*will) {
	info := c.connect
	cl := b.clients.acquire(info.clientID)
	defer b.clients.release(cl)
	// A clean start [MQTT-3.1.2-4], or somebody else: a session and what waits in it belong to
	// the principal that began it.
	anew := info.clean || cl.sub != nil && cl.owner != c.principal.Name
	if old := cl.conn; old != nil { // [MQTT-3.1.4-3]
		due = append(due, b.part(cl, old, willTakeOver(anew))...)
		old.disconnect(reasonTakenOver)
		b.metrics.takeovers.Inc()
	}
	if cl.expires != nil {
		b.schedule.cancel(cl.expires)
		cl.expires = nil
	}
	info.stored = info.expiry > 0 || c.will != nil || cl.will != nil || cl.sub != nil && cl.sub.session.Durable()
	if cl.sub != nil && anew {
		due = append(due, b.endSession(cl)...)
	}
	if cl.will != nil { // [MQTT-3.1.3-9] a new connection before the delay has passed
		b.dropWill(cl)
	}
	present = cl.sub != nil
	if !present {
		cl.sub = &subscriber{
			client: cl, subs: map[string]topics.Option{},
			session: session.New(cl.id, b.sessions, false),
		}
	}
	cl.conn, cl.expiry, cl.owner, c.sub = c, info.expiry, c.principal.Name, cl.sub
	b.metrics.online.Add(1)
	cl.sub.belongsTo(c.principal)
	if present {
		b.review(cl.sub) // policies may have changed while it was away
	}
	b.keepSession(cl, time.Time{})
	b.keepWill(c)
	return present, due
}

// keepSession hands the session's own data to the store if it outlives its connection.
func (b *Broker) keepSession(cl *client, left time.Time) {
	durable := cl.expiry > 0
	if durable {
		b.store.Append(store.Change{Kind: store.SessionPut, Client: cl.id, Session: store.Session{
			Expiry: cl.expiry, Left: left, Principal: cl.owner,
		}})
	}
	if cl.sub.session.SetDurable(durable) && durable {
		cl.sub.keepSubscriptions(b.store)
	}
}

// leave ends a connection's part in its client, unless another has taken over.
func (b *Broker) leave(c *connection) {
	c.acks.close()
	c.drainedForGood()
	if c.sub == nil {
		return
	}
	cl := b.clients.acquire(c.sub.client.id)
	var due []*will
	if cl.conn == c {
		cause := willLost
		if c.saidBye && !c.keepsWill {
			cause = willNone // [MQTT-3.1.2-10] [MQTT-3.14.4-3]
		}
		due = b.part(cl, c, cause)
	}
	b.clients.release(cl)
	b.shareOut(c.sub)
	b.publishWills(due)
	c.disconnected()
}

// part separates a client from its connection: what becomes of the will, when does
// the session end. Call it with the client locked.
func (b *Broker) part(cl *client, c *connection, cause willCause) (due []*will) {
	cl.conn = nil
	cl.left = departure{time.Now(), c.departureReason()}
	cl.sub.session.Detach(c)
	b.metrics.online.Add(-1)
	due = b.startWill(cl, c, cause)
	if cl.expiry == 0 {
		return append(due, b.endSession(cl)...)
	}
	now := time.Now()
	b.keepSession(cl, now)
	if cl.expiry != forever {
		b.expireAt(cl, now.Add(time.Duration(cl.expiry)*time.Second))
	}
	return due
}

// expireAt ends a client's session at a time, unless the client is back by then; the client
// is locked. One that comes and goes again at that very moment has another time.
func (b *Broker) expireAt(cl *client, at time.Time) {
	var own *entry // set before the client is unlocked
	own = b.schedule.at(at, func() {
		cl.mu.Lock()
		var due []*will
		if cl.expires == own {
			b.metrics.expired.Add(1)
			due = b.endSession(cl)
		}
		b.clients.release(cl)
		b.publishWills(due)
	})
	cl.expires = own
}

// endSession ends a client's session and leaves nothing of it behind: no
// subscription, no message, no timer. A will that waits becomes due. [MQTT-3.1.2-8]
func (b *Broker) endSession(cl *client) (due []*will) {
	sub := cl.sub
	cl.sub = nil
	b.departed.add(cl.id, sub.principal.Load())
	if cl.expires != nil {
		b.schedule.cancel(cl.expires)
		cl.expires = nil
	}
	sub.mu.Lock()
	sub.ended = true // its connection may still be at work
	sub.mu.Unlock()
	b.index.UnsubscribeAll(sub)
	b.shareOutIf(sub, func(string) bool { return true })
	sub.session.End()
	if cl.will != nil {
		due = append(due, b.takeWaitingWill(cl))
	}
	return due
}

// keepSubscriptions hands all subscriptions to the store: the session has just
// become durable.
func (s *subscriber) keepSubscriptions(st store.Store) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for filter, o := range s.subs {
		st.Append(store.Change{Kind: store.SubscriptionPut, Client: s.client.id, Filter: filter, Subscription: subscriptionOf(o)})
	}
}

func subscriptionOf(o topics.Option) store.Subscription {
	return store.Subscription{
		QoS: o.QoS, NoLocal: o.NoLocal, RetainAsPublished: o.RetainAsPublished, RetainHandling: o.RetainHandling, ID: o.ID,
	}
}

func optionOf(s store.Subscription) topics.Option {
	return topics.Option{
		QoS: s.QoS, NoLocal: s.NoLocal, RetainAsPublished: s.RetainAsPublished, RetainHandling: s.RetainHandling, ID: s.ID,
	}
}
