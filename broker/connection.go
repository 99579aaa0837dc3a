package broker

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/message"
)

// connection is one client's connection as mochi sees it: a net.Conn. mochi gets the
// CONNECT from it and writes the CONNACK to it; everything after that is handled
// here (see stream.go). For the session it is the link. mochi may close it as it
// likes; the socket is closed here.
type connection struct {
	*listen.Conn
	b *Broker

	// Known from CONNECT on.
	version                byte
	bridge                 bool            // it says that it is another broker
	serial                 uint64          // names it to mochi
	connect                *connectInfo    // what CONNECT said; nil after CONNACK
	willProps              *willProperties // likewise
	sub                    *subscriber     // the session; nil before CONNECT was accepted
	principal              *auth.Principal // who it is
	origin                 message.Origin  // of everything it publishes
	persistent, leavesWill bool            // what it asked for when it connected; policies may ask
	tells                  int             // how long a reason string may be; 0 = the client wants none
	since                  int64           // when it was established, in Unix milliseconds; under the client's lock
	keepAlive              uint16          // granted, in seconds; under the client's lock

	// For the reading goroutine.
	buf       buffer
	now       time.Time // of the last read; the time of receipt of all that came with it
	packets   int       // handled and not yet counted
	publish   publish
	will      *will    // what is to be published for it when it is lost
	aliases   []string // topic by inbound alias - 1; "" = not set
	recent    topicCache
	saidBye   bool // the client has sent DISCONNECT
	announced bool // a lifecycle event has told of the connection
	keepsWill bool // it asked for its will to be published nevertheless

	acks  ackLine
	quota *quota // nil = no limits

	checked uint64                         // Broker.rechecks before the client was let in
	term    term                           // of the principal
	who     atomic.Pointer[auth.Principal] // for other goroutines; the reader follows it, see takePrincipal

	hello       sync.Mutex    // held while CONNACK is sent: a DISCONNECT comes after it or not at all
	greeted     bool          // it was sent, and the client let in; under hello
	established atomic.Bool   // the connection is mochi's no longer
	ended       atomic.Bool   // a DISCONNECT was sent, or nothing more is to be said
	mochiClosed atomic.Bool   // mochi has closed its side
	why         atomic.Uint32 // the reason code it was disconnected with
	handed      int           // bytes of the CONNECT that mochi has yet to read

	stall struct { // how long the client has been lagging
		sync.Mutex
		timer  *entry
		resume *entry // when it may be sent more: see exhausted
	}
}

func newConnection(b *Broker, lc *listen.Conn) *connection {
	c := &connection{Conn: lc, b: b, quota: newQuota(&b.limits.RateLimits)}
	c.acks.init(c, b.limits.MaxInflight)
	return c
}

// Close is mochi's: it ends reading. What is queued still leaves, and a DISCONNECT
// may still be added; the socket is closed when the connection's handler is done.
func (c *connection) Close() error {
	c.mochiClosed.Store(true)
	return nil
}

// Write sends one packet; mochi's is the CONNACK. A client that is told something must not miss it because
// its buffer is full: it is cut off then.
func (c *connection) Write(p []byte) (int, error) {
	if c.quota != nil {
		c.quota.sent(p, time.Now())
	}
	c.hello.Lock()
	n, err := c.Conn.Write(p)
	c.greeted = c.greeted || err == nil && accepts(p)
	c.hello.Unlock()
	if err != nil {
		c.disconnect(reasonQuotaExceeded)
		return n, io.ErrClosedPipe
	}
	return n, nil
}

// accepts reports whether a packet is a CONNACK that lets the client in.
func accepts(packet []byte) bool {
	if packet[0] != packetConnack {
		return false
	}
	i := 1
	for packet[i]&0x80 != 0 { // the length
		i++
	}
	return packet[i+2] == byte(reasonSuccess) // behind the flags
}

// disconnect tells the client why and closes the connection. It does not wait; only
// the first call counts. [MQTT-3.14.0-1]: a server's DISCONNECT exists since MQTT 5.
func (c *connection) disconnect(r reason) { c.disconnectSaying(r, "") }

// disconnectSaying is disconnect with a reason string, for clients that want one.
func (c *connection) disconnectSaying(r reason, text string) {
	if c.ended.Swap(true) {
		return
	}
	c.why.Store(uint32(r))
	c.hello.Lock()
	if c.greeted && c.version >= 5 { // in this order: the version is known once it is greeted
		props := c.reasonString(text)
		packet := appendLength([]byte{packetDisconnect}, 1+len(props))
		_, _ = c.Conn.Write(append(append(packet, byte(r)), props...)) // a full buffer: then it goes without
	}
	c.hello.Unlock()
	c.SetCloseCode(r.closeCode(), "")
	_ = c.Conn.Close()
	c.acks.close()
}

// The first bytes of a CONNACK and a DISCONNECT.
const (
	packetConnack    = 0x20
	packetDisconnect = 0xE0
)

// Fail is the session's way to end the connection.
func (c *connection) Fail(r byte) { c.disconnect(reason(r)) }

// Congested reports that more waits for the socket than should. A client that stays
// so for too long is disconnected.
func (c *connection) Congested() bool {
	if !c.Conn.Congested() {
		return c.exhausted()
	}
	c.lags()
	return true
}

// Full reports that so much waits for the socket that QoS 0 messages are dropped.
func (c *connection) Full() bool {
	if c.Queued() <= c.b.qos0Limit {
		return c.quota != nil && c.quota.messages.wait(1, time.Now()) > 0
	}
	c.lags()
	return true
}

// lags starts the time a client has to catch up.
func (c *connection) lags() {
	c.stall.Lock()
	defer c.stall.Unlock()
	if c.stall.timer != nil {
		return
	}
	own := new(*entry)
	*own = c.b.schedule.after(c.b.limits.SlowTimeout, func() { c.tooSlow(own) })
	c.stall.timer = *own
	if !c.Conn.Congested() { // it has drained just before, and nobody would stop the time
		c.b.schedule.cancel(c.stall.timer)
		c.stall.timer = nil
	}
}

// tooSlow ends the connection, unless it has caught up at the very moment.
func (c *connection) tooSlow(timer **entry) {
	c.stall.Lock()
	late := c.stall.timer == *timer
	c.stall.Unlock()
	if late && !c.ended.Load() {
		c.b.metrics.slowConsumers.Inc()
		c.b.log.Warn().Str("client", c.origin.ClientID).Int("queued_bytes", c.Queued()).
			Msg("client disconnected: it reads too slowly")
		c.disconnect(reasonQuotaExceeded)
	}
}

// drained is called when the client has caught up.
func (c *connection) drained() {
	c.drainedForGood()
	if sub := c.sub; sub != nil {
		sub.session.Drained(c)
	}
}

// drainedForGood stops the time: the connection has ended.
func (c *connection) drainedForGood() {
	c.stall.Lock()
	defer c.stall.Unlock()
	if c.stall.timer != nil {
		c.b.schedule.cancel(c.stall.timer)
		c.stall.timer = nil
	}
}

// problem is told why reading is about to end.
func (c *connection) problem(err error) {
	if errors.Is(err, listen.ErrStuck) {
		c.b.metrics.slowConsumers.Inc()
	}
	if r, ok := endReason(err); ok {
		c.disconnect(r)
	}
}

// topicCache remembers the topics a client has published to last, so that most
// messages need no new string and no new validation.
type topicCache struct {
	topics [4]string
	next   int
}

func (t *topicCache) find(b []byte) (string, bool) {
	for i := range t.topics {
		if t.topics[i] == string(b) {
			return t.topics[i], true
		}
	}
	return "", false
}

func (t *topicCache) add(topic string) {
	t.topics[t.next] = topic
	t.next = (t.next + 1) % len(t.topics)
}

var _ session.Link = (*connection)(nil)
