package broker

import (
	"strings"
	"sync"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/message"
)

// authorize gives the client that has just been authenticated its policies and asks them
// whether it may connect the way it does.
func (c *connection) authorize(will bool) (r reason, why string) {
	c.persistent, c.leavesWill = c.connect.persistent, will
	p, err := c.bind(c.principal)
	if err != nil {
		c.b.log.Error().Err(err).Str("client", c.origin.ClientID).Msg("the policies that came with a client are wrong")
		return reasonNotAuthorized, "the policies that came with the credentials are wrong"
	}
	c.principal = p
	c.who.Store(p)
	if !p.May(auth.Connect, c.origin.ClientID) {
		return reasonNotAuthorized, c.denied(p.Decide(auth.Connect, c.origin.ClientID))
	}
	return reasonSuccess, ""
}

// bind gives a principal its policies for this connection.
func (c *connection) bind(p *auth.Principal) (*auth.Principal, error) {
	if c.b.grants == nil {
		return p, nil
	}
	return c.b.grants.Bind(p, auth.Peer{
		ClientID: c.origin.ClientID, Addr: c.origin.Addr.Addr(), Persistent: c.persistent, Will: c.leavesWill,
	})
}

// mayNotPublish is why the client may not publish to a topic, as the alias has resolved
// it, and with RETAIN.
func (c *connection) mayNotPublish(topic string, retain bool) (r reason, why string) {
	r, why = c.b.mayNotPublish(c.principal, topic, retain)
	if id, state := bridgeState(topic); state && id != c.origin.ClientID {
		r, why = reasonNotAuthorized, "the topic is another client's"
	}
	if r != reasonSuccess {
		c.b.denials.note(c.b, c.origin, why)
	}
	return r, why
}

func (b *Broker) mayNotPublish(p *auth.Principal, topic string, retain bool) (r reason, why string) {
	switch never := MayNever(auth.Publish, topic); {
	case never != "":
		return reasonNotAuthorized, never
	case !p.May(auth.Publish, topic):
		return reasonNotAuthorized, p.Decide(auth.Publish, topic).String()
	case retain && !p.May(auth.RetainPublish, topic):
		return reasonNotAuthorized, p.Decide(auth.RetainPublish, topic).String()
	}
	return reasonSuccess, ""
}

// MayNever is why nobody may do a to name, whatever policies say; empty if it is for them
// to decide.
func MayNever(a auth.Action, name string) string {
	_, filter, _ := message.SplitShare(name)
	switch {
	case a == auth.Publish && reservedTopic(name):
		return "the topic is the server's own"
	case a == auth.Subscribe && strings.HasPrefix(filter, basicIngest):
		return "nobody may subscribe to " + basicIngest + "...: it is for rules"
	}
	return ""
}

// denied takes note of a refusal and gives its explanation.
func (c *connection) denied(d auth.Decision) (why string) {
	why = d.String()
	c.b.denials.note(c.b, c.origin, why)
	return why
}

// closesDenied reports whether a client that does what it may not is disconnected.
func (b *Broker) closesDenied() bool { return b.grants != nil && b.grants.ClosesDenied() }

// denials writes a line about what clients may not do, if there have not been many
// lately: ten at once, and one more a second. A line says how many others there were.
type denials struct {
	mu    sync.Mutex
	room  float64
	since time.Time // room is of this time
	quiet int       // not written
}

// maxDenials is how many lines may be written at once.
const maxDenials = 10

func (d *denials) note(b *Broker, o message.Origin, why string) {
	b.metrics.denied.Inc()
	others, written := d.take(time.Now())
	if !written {
		return
	}
	e := b.log.Warn().Str("client", o.ClientID).Str("principal", o.Principal).Stringer("remote", o.Addr)
	if others > 0 {
		e = e.Int("others", others)
	}
	e.Msg(why)
}

// take reports whether a line may be written, and how many were not.
func (d *denials) take(now time.Time) (others int, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.room = min(maxDenials, d.room+now.Sub(d.since).Seconds())
	d.since = now
	if d.room < 1 {
		d.quiet++
		return 0, false
	}
	d.room--
	others, d.quiet = d.quiet, 0
	return others, true
}

// maxReason bounds the reason strings that clients are sent.
const maxReason = 1024

// reasonLength is how long reason strings for a client may be: not at all unless it wants
// problem information [MQTT-3.1.2-29], and within its Maximum Packet Size
// [MQTT-3.2.2-19] [MQTT-3.4.2-2] [MQTT-3.9.2-1] [MQTT-3.14.2-3].
func reasonLength(p *packets.Properties) int {
	if p.RequestProblemInfoFlag && p.RequestProblemInfo == 0 {
		return 0
	}
	const around = 64 // of the packet; a SUBACK has a code for each filter besides, see reasonString
	if m := p.MaximumPacketSize; m > 0 {
		return max(0, min(maxReason, int(min(m, 1<<20))/2-around))
	}
	return maxReason
}

// reasonString encodes the properties of a packet that has at most a reason string.
func (c *connection) reasonString(text string) []byte {
	text = strings.ToValidUTF8(strings.ReplaceAll(text, "\x00", ""), "") // a function's own words are among them
	if len(text) > c.tells {
		text = text[:c.tells]
		for text != "" && text[len(text)-1]&0xC0 == 0x80 { // not within a character
			text = text[:len(text)-1]
		}
		if text != "" && text[len(text)-1] >= 0xC0 {
			text = text[:len(text)-1]
		}
	}
	if text == "" {
		return []byte{0}
	}
	b := appendLength(make([]byte, 0, len(text)+6), 3+len(text))
	b = append(b, propReasonString, byte(len(text)>>8), byte(len(text)))
	return append(b, text...)
}

// appendLength appends a Variable Byte Integer (MQTT 5, 1.5.5).
func appendLength(b []byte, n int) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

// belongsTo says whose session it is.
func (s *subscriber) belongsTo(p *auth.Principal) {
	s.principal.Store(p)
	if p.MayAll(auth.Receive) {
		s.receive.Store(nil)
		return
	}
	s.receive.Store(p)
}

// Reauthorize applies policies that have changed to everybody who is connected and to
// sessions that wait for their client: what is no longer allowed ends. Call it after
// [auth.Authority.Load]; what is asked from then on is answered by the new policies.
func (b *Broker) Reauthorize() {
	for _, cl := range b.clients.list() {
		cl.mu.Lock()
		sub, conn := cl.sub, cl.conn
		cl.mu.Unlock()
		if sub == nil {
			continue
		}
		if p := sub.principal.Load(); p != nil {
			b.reauthorize(cl.id, sub, conn, p)
		}
	}
}

// reauthorize applies what a principal may do now to its session, and to its connection
// if there is one.
func (b *Broker) reauthorize(id string, sub *subscriber, conn *connection, p *auth.Principal) {
	if conn != nil {
		if !p.May(auth.Connect, id) {
			why := p.Decide(auth.Connect, id).String()
			b.denials.note(b, conn.origin, why)
			conn.disconnectSaying(reasonNotAuthorized, why)
		}
	}
	sub.belongsTo(p)
	b.review(sub)
}

// review takes from a session what its principal may not have any more: subscriptions,
// and messages that wait. What has been sent is completed.
func (b *Broker) review(sub *subscriber) {
	p := sub.principal.Load()
	var gone []string
	sub.mu.Lock()
	for filter := range sub.subs {
		if !p.MayAll(auth.Subscribe) && !p.DecideSubscribe(filter).Allowed {
			gone = append(gone, filter)
		}
	}
	sub.mu.Unlock()
	for _, filter := range gone {
		sub.unsubscribe(b, filter)
	}
	if sub.receive.Load() != nil {
		sub.session.Withhold(sub.mayReceive)
	}
}

// MayReceive reports whether the client that sent o may receive messages from topic:
// nobody may, on its behalf, have an answer sent to a topic that it could not read. A
// client that has gone is remembered for some time; one of another principal that has
// taken its name is not asked.
func (b *Broker) MayReceive(o message.Origin, topic string) bool {
	if o.ClientID == "" {
		return false
	}
	if cl := b.clients.find(o.ClientID); cl != nil {
		cl.mu.Lock()
		sub := cl.sub
		same := sub != nil && cl.owner == o.Principal
		cl.mu.Unlock()
		if p := sub.whose(); same && p != nil {
			return p.May(auth.Receive, topic)
		}
	}
	return b.departed.find(o.ClientID, o.Principal).May(auth.Receive, topic)
}

func (s *subscriber) whose() *auth.Principal {
	if s == nil {
		return nil
	}
	return s.principal.Load()
}

// maxDeparted is how many clients that have gone are remembered.
const maxDeparted = 4096

// departed are the principals of clients that have gone lately, for answers to what they
// have sent. The oldest are forgotten.
type departed struct {
	mu   sync.Mutex
	all  map[string]*auth.Principal
	ring []string // client identifiers, oldest at next once it is full
	next int
}

func (d *departed) add(clientID string, p *auth.Principal) {
	if p == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.all == nil {
		d.all = make(map[string]*auth.Principal)
	}
	_, known := d.all[clientID]
	d.all[clientID] = p
	switch {
	case known:
	case len(d.ring) < maxDeparted:
		d.ring = append(d.ring, clientID)
	default:
		delete(d.all, d.ring[d.next])
		d.ring[d.next] = clientID
		d.next = (d.next + 1) % maxDeparted
	}
}

// find is the principal of a client that has gone; nil, who may do nothing, if it is not
// remembered.
func (d *departed) find(clientID, principal string) *auth.Principal {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p := d.all[clientID]; p != nil && p.Name == principal {
		return p
	}
	return nil
}
