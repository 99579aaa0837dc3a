package apigateway

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/message"
)

// connection is one client's: from its handshake to the $disconnect event.
type connection struct {
	client
	g     *Gateway
	api   *api
	grant grip.Grant // nil allows everything

	unfollow func() // of the grant; nil = it is not followed

	sock       atomic.Pointer[socket.Conn] // nil until the handshake is answered
	lastActive atomic.Int64                // Unix milliseconds
	idle       *time.Timer
	lifetime   *time.Timer

	mu      sync.Mutex
	cond    sync.Cond // room in pending, or less running
	pending []job
	waiting int // bytes of pending
	running int
	early   []socket.Frame // received before the handshake is answered
	asked   []string       // what $connect wants to be subscribed to
	sub     grip.Subscriber
	topics  map[string]struct{} // what sub is subscribed to
	closing bool
	code    int // why this side closed it
	reason  string
}

// maxPending and maxPendingBytes bound the messages that wait for functions; the client's next
// ones wait in its socket. maxEarly bounds what waits for the handshake.
const (
	maxPending      = 64
	maxPendingBytes = 1 << 20
	maxEarly        = 256
)

// AWS's words for the end of a connection.
const (
	reasonGoingAway = "Going away"
	reasonNormal    = "Connection Closed Normally"
	reasonNoStatus  = "Client-side close frame status not set"
)

// open makes the connection known and sends what has come for it meanwhile.
func (c *connection) open(s *socket.Conn) error {
	if c.api.limits.idle > 0 {
		s.CollectControl() // a client's pings are activity
	}
	c.mu.Lock()
	for _, f := range c.early {
		_ = s.Send(f) // it would be closed, and reading says so
	}
	c.early = nil
	c.sock.Store(s)
	if c.closing { // meanwhile
		s.Close(c.code, c.reason)
	}
	c.mu.Unlock()
	if err := c.g.add(c); err != nil {
		c.close(socket.CloseGoingAway, reasonGoingAway)
		s.Finish()
		return err
	}
	c.mu.Lock() // with it, so that a timer that fires at once finds itself
	if d := c.api.limits.idle; d > 0 {
		c.idle = time.AfterFunc(d, c.idled)
	}
	if d := c.api.limits.lifetime; d > 0 {
		c.lifetime = time.AfterFunc(d, func() { c.close(socket.CloseGoingAway, reasonGoingAway) })
	}
	c.mu.Unlock()
	return nil
}

// run reads the client's messages to the end of the connection, and tells the function.
func (c *connection) run() {
	s := c.sock.Load()
	err := c.read(s)
	c.g.remove(c)
	c.unsubscribeAll()
	code, reason := c.ended(err)
	if closed, ok := errors.AsType[*socket.CloseError](err); ok {
		s.Close(socket.AnswerCode(closed.Code), "")
	}
	s.Finish()
	c.mu.Lock()
	c.closing = true
	for _, t := range [...]*time.Timer{c.idle, c.lifetime} {
		if t != nil {
			t.Stop()
		}
	}
	for c.running > 0 { // its messages come before its end
		c.cond.Wait()
	}
	c.mu.Unlock()
	c.disconnected(code, reason)
}

func (c *connection) read(s *socket.Conn) error {
	for {
		m, err := s.Read()
		if err != nil {
			return err
		}
		c.touch()
		switch {
		case c.isClosing(): // what comes now crossed our close frame
		case m.Op == socket.Binary:
			c.close(socket.CloseUnsupported, "binary messages are not supported")
		case m.Op == socket.Text:
			c.g.metrics.received.Inc()
			c.dispatch(m.Data)
		}
	}
}

// ended is the code and the reason with which the connection has ended.
func (c *connection) ended(err error) (int, string) {
	c.mu.Lock()
	code, reason := c.code, c.reason
	c.mu.Unlock()
	if code != 0 {
		return code, reason
	}
	var closed *socket.CloseError
	switch {
	case errors.As(err, &closed) && closed.Code == socket.CloseNoStatus:
		return closed.Code, reasonNoStatus
	case errors.As(err, &closed):
		return closed.Code, closed.Reason
	case errors.Is(err, socket.ErrFull):
		return socket.CloseTryAgain, "the client reads too slowly"
	case errors.Is(err, socket.ErrTooLarge):
		return socket.CloseTooBig, "the message is too large"
	case errors.Is(err, socket.ErrNotUTF8):
		return socket.CloseInvalidData, "the text is not UTF-8"
	default:
		return socket.CloseAbnormal, ""
	}
}

// close ends the connection from this side; the first call counts.
func (c *connection) close(code int, reason string) {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	c.closing, c.code, c.reason = true, code, reason
	s := c.sock.Load()
	c.mu.Unlock()
	if s != nil { // else open does it
		s.Close(code, reason)
	}
}

func (c *connection) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

func (c *connection) touch() { c.lastActive.Store(time.Now().UnixMilli()) }

// idled closes the connection if nothing has come or gone for the idle timeout, or looks
// again later.
func (c *connection) idled() {
	rest := c.api.limits.idle - time.Since(time.UnixMilli(c.lastActive.Load()))
	if rest <= 0 {
		c.close(socket.CloseGoingAway, reasonGoingAway)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.idle.Reset(rest)
	}
}

// receive takes a message of the space.
func (c *connection) receive(m *message.Message, shared *any) {
	f := grip.FrameOf(m, shared)
	s := c.sock.Load()
	if s == nil {
		c.mu.Lock()
		if s = c.sock.Load(); s == nil && len(c.early) < maxEarly {
			c.early = append(c.early, f)
			c.mu.Unlock()
			return
		}
		c.mu.Unlock()
		if s == nil {
			c.g.metrics.dropped.Inc()
			return
		}
	}
	c.touch()
	_ = s.Send(f) // what does not fit is counted there, and ends the connection
}

// disconnected tells the function that the connection has ended. What it answers does not
// matter, and its failure is nobody's but its own.
func (c *connection) disconnected(code int, reason string) {
	route := c.api.routes[grip.RouteDisconnect]
	if route == nil || route.function == "" || c.api.route.NoDisconnect && code == socket.CloseAbnormal {
		return
	}
	if _, err := c.g.invoke(c.api, route.function, eventDisconnect, c.disconnectEvent(code, reason, newID(), time.Now())); err != nil {
		c.g.log.Warn().Err(err).Str("connection", c.id).Str("function", route.function).Msg("the function failed at $disconnect")
	}
}
