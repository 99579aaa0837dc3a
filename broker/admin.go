package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/message"
)

// What those who look after clients may run into.
var (
	// ErrNoClient: the broker knows no client of that identifier, neither a connection
	// nor a session.
	ErrNoClient = errors.New("broker: no such client")
	// ErrNotConnected: the client has a session and no connection.
	ErrNotConnected = errors.New("broker: the client is not connected")
	// ErrMayNotReceive: the client's policy does not let it receive from that topic.
	ErrMayNotReceive = errors.New("broker: the client may not receive from that topic")
	// ErrNotConfirmed: the client did not acknowledge the message in time, or refused it.
	ErrNotConfirmed = errors.New("broker: the client has not acknowledged the message")
)

// ClientInfo is what the broker knows of one client.
type ClientInfo struct {
	// ID is the client identifier.
	ID string
	// Connected tells whether there is a connection now.
	Connected bool
	// Since is when it was established.
	Since time.Time
	// Left and Why say when and why the last connection ended, if there is none now: Why
	// is one of the words of AWS IoT's lifecycle events. Both are empty for a session
	// that has had no connection since the server started.
	Left time.Time
	Why  string
	// Clean tells that the session ends with the connection.
	Clean bool
	// Expiry is the session expiry interval.
	Expiry time.Duration
	// KeepAlive is that of the connection.
	KeepAlive time.Duration
	// Remote and Local are the ends of the connection's socket.
	Remote, Local netip.AddrPort
	// Principal is whose session it is; empty for anonymous clients.
	Principal string
}

// departure is the end of a connection.
type departure struct {
	at  time.Time
	why string
}

// Client looks a client up; false if it has neither a connection nor a session.
func (b *Broker) Client(id string) (ClientInfo, bool) {
	cl := b.clients.find(id)
	if cl == nil {
		return ClientInfo{}, false
	}
	cl.mu.Lock()
	defer cl.mu.Unlock()
	if cl.gone || cl.conn == nil && cl.sub == nil {
		return ClientInfo{}, false
	}
	info := ClientInfo{
		ID: id, Clean: cl.expiry == 0, Expiry: time.Duration(cl.expiry) * time.Second, Principal: cl.owner,
		Left: cl.left.at, Why: cl.left.why,
	}
	if c := cl.conn; c != nil {
		info.Connected, info.Left, info.Why = true, time.Time{}, ""
		info.Since = time.UnixMilli(c.since)
		info.KeepAlive = time.Duration(c.keepAlive) * time.Second
		info.Remote, info.Local = c.Info().Remote, c.Info().Local
	}
	return info, true
}

// Kick ends a client's connection, with the reason code of an administrative action.
// endSession ends its session too, also that of a client that is away; noWill keeps its
// will from being published. The error is [ErrNoClient] or [ErrNotConnected].
func (b *Broker) Kick(id string, endSession, noWill bool) error {
	cl := b.clients.acquire(id)
	c := cl.conn
	if c == nil && (cl.sub == nil || !endSession) {
		err := ErrNotConnected
		if cl.sub == nil {
			err = ErrNoClient
		}
		b.clients.release(cl)
		return err
	}
	var due []*will
	if noWill && cl.will != nil {
		b.dropWill(cl)
	}
	sub := cl.sub
	if c != nil {
		cause := willLost
		if noWill {
			cause = willNone
		}
		c.disconnect(reasonAdministrative)
		due = b.part(cl, c, cause)
	}
	if endSession && cl.sub != nil {
		due = append(due, b.endSession(cl)...)
	}
	b.clients.release(cl)
	b.shareOut(sub)
	b.publishWills(due)
	return nil
}

// SubscriptionInfo is one subscription of a client.
type SubscriptionInfo struct {
	Filter string
	QoS    byte
}

// Subscriptions are those of a client, in the order of their filters; false if it has no
// session.
func (b *Broker) Subscriptions(id string) ([]SubscriptionInfo, bool) {
	cl := b.clients.find(id)
	if cl == nil {
		return nil, false
	}
	cl.mu.Lock()
	sub := cl.sub
	cl.mu.Unlock()
	if sub == nil {
		return nil, false
	}
	sub.mu.Lock()
	defer sub.mu.Unlock()
	list := make([]SubscriptionInfo, 0, len(sub.subs))
	for _, filter := range slices.Sorted(maps.Keys(sub.subs)) {
		list = append(list, SubscriptionInfo{filter, sub.subs[filter].QoS})
	}
	return list, true
}

// Retained is the retained message of a topic, nil if there is none. It is read-only.
func (b *Broker) Retained(topic string) *message.Message { return b.retained.Get(topic, time.Now()) }

// RetainedPage is the first n retained messages whose topics come behind after, in the
// order of their bytes, without those of $SYS. They are read-only.
func (b *Broker) RetainedPage(after string, n int) []*message.Message {
	return b.retained.Page(after, n, time.Now(), "$SYS")
}

// Direct sends a message to one client that is connected, whether it has subscribed or
// not. No rule sees it and nobody else gets it. With confirm it goes out with QoS 1 and
// Direct waits for the client's PUBACK, until ctx ends; without, it goes out with QoS 0
// and may be lost. The errors are [ErrNoClient], [ErrNotConnected], [ErrMayNotReceive],
// [ErrNotConfirmed] and those of a message that the broker would not publish.
func (b *Broker) Direct(ctx context.Context, id string, m *message.Message, confirm bool) error {
	if err := b.check(m); err != nil {
		return err
	}
	cl := b.clients.find(id)
	if cl == nil {
		return ErrNoClient
	}
	cl.mu.Lock()
	sub := cl.sub
	cl.mu.Unlock()
	switch {
	case sub == nil:
		return ErrNoClient
	case !sub.session.Online():
		return ErrNotConnected
	case !sub.mayReceive(m.Topic):
		return ErrMayNotReceive
	}
	b.capExpiry(m)
	d := session.Delivery{}
	answer := make(chan byte, 1)
	if confirm {
		d.QoS, d.Confirm = 1, func(reason byte) { answer <- reason }
	}
	o := b.fan.Begin(m, m.Received)
	outcome := sub.session.Deliver(o, d)
	b.fan.End(o)
	switch {
	case outcome == session.Gone:
		return ErrNotConnected
	case outcome != session.Sent && outcome != session.Queued:
		return refuse(reasonQuotaExceeded, "the queue of the client is full, or the message is larger than it takes")
	case !confirm:
		return nil
	}
	select {
	case code := <-answer:
		if reason(code).failed() {
			return fmt.Errorf("%w: it refused it with reason code %#x", ErrNotConfirmed, code)
		}
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", ErrNotConfirmed, ctx.Err())
	}
}

// saidGoodbye stands, among the reason codes that a connection was ended with, for a
// client that ended it itself.
const saidGoodbye = 1 << 8

// didForbidden stands there for a client that was disconnected for what it did, and not
// because it may not be connected.
const didForbidden = 2 << 8

// departureReason says why the connection has ended, in AWS IoT's words.
// (https://docs.aws.amazon.com/iot/latest/developerguide/life-cycle-events.html)
func (c *connection) departureReason() string {
	why := c.why.Load()
	switch why {
	case saidGoodbye:
		return "CLIENT_INITIATED_DISCONNECT"
	case didForbidden:
		return "AUTH_ERROR"
	}
	switch r := reason(why); r {
	case reasonTakenOver:
		return "DUPLICATE_CLIENTID"
	case reasonKeepAlive:
		return "MQTT_KEEP_ALIVE_TIMEOUT"
	case reasonAdministrative:
		return "API_INITIATED_DISCONNECT"
	case reasonShuttingDown:
		return "SERVER_INITIATED_DISCONNECT"
	case reasonNotAuthorized:
		return "FORBIDDEN_ACCESS"
	case reasonQuotaExceeded:
		return "THROTTLED"
	case reasonImplementation:
		return "SERVER_ERROR"
	default:
		if r.failed() {
			return "CLIENT_ERROR"
		}
		return "CONNECTION_LOST"
	}
}
