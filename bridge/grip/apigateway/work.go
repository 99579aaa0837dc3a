package apigateway

import (
	"net/http"
	"time"
	"unicode/utf8"

	"github.com/topicwire/topicwire/bridge/grip/socket"
)

// job is a message and the route it takes.
type job struct {
	route *apiRoute
	body  []byte
}

// dispatch finds the route of a message and has it worked off: one message after the
// other, unless the api allows more at once. When too many wait, it waits too, and with
// it the client.
func (c *connection) dispatch(body []byte) {
	route := c.api.routeFor(body)
	if route == nil {
		c.complain(textForbidden, newID())
		return
	}
	j := job{route, body}
	c.mu.Lock()
	defer c.mu.Unlock()
	for len(c.pending) >= maxPending || c.waiting > 0 && c.waiting+len(body) > maxPendingBytes {
		c.cond.Wait()
	}
	if c.running >= c.api.inFlight {
		c.pending = append(c.pending, j)
		c.waiting += len(body)
		return
	}
	c.running++
	go c.work(j) // run waits for it
}

// work works a message off, and then those that wait.
func (c *connection) work(j job) {
	for {
		c.handle(j)
		c.mu.Lock()
		if len(c.pending) == 0 {
			c.running--
			c.pending = nil
			c.cond.Broadcast()
			c.mu.Unlock()
			return
		}
		j = c.pending[0]
		c.pending = c.pending[1:]
		c.waiting -= len(j.body)
		c.cond.Broadcast()
		c.mu.Unlock()
	}
}

// handle does what the route of a message says: the function first, and if that has
// succeeded the subscriptions and the publish.
func (c *connection) handle(j job) {
	requestID := newID()
	if topic := c.api.route.Publish; topic != "" { // every message, before anybody has judged it
		if err := c.publishTo(topic, j.body); err != nil {
			c.g.log.Info().Err(err).Str("connection", c.id).Msg("the message is not published")
		}
	}
	if j.route.function != "" && !c.askRoute(j, requestID) {
		return
	}
	if err := c.applyTopics(j); err != nil {
		c.g.log.Info().Err(err).Str("connection", c.id).Str("route", j.route.key).Msg("the message is refused")
		c.complain(textForbidden, requestID)
	}
}

// askRoute invokes the route's function and reports whether it has succeeded.
func (c *connection) askRoute(j job, requestID string) bool {
	fail := func(text string, err error) bool {
		c.g.log.Warn().Err(err).Str("connection", c.id).Str("route", j.route.key).Str("function", j.route.function).Msg("the function failed")
		c.complain(text, requestID)
		return false
	}
	out, err := c.g.invoke(c.api, j.route.function, eventMessage, c.messageEvent(j.route.key, string(j.body), requestID, time.Now()))
	if err != nil {
		return fail(textOf(err), err)
	}
	a, err := parseAnswer(out)
	if err != nil {
		return fail(textInternal, err)
	}
	if a.ok() {
		if err := c.applyHeaders(a); err != nil {
			return fail(textForbidden, err)
		}
	}
	if j.route.response && len(a.body) > 0 {
		_ = c.send(a.body) // a client that has gone, or is closed for its slowness, has no answer
	}
	return a.ok()
}

// send sends the client a message: as text, if it is text.
func (c *connection) send(body []byte) error {
	c.touch()
	return c.sock.Load().Send(frameOf(body))
}

func frameOf(body []byte) socket.Frame {
	if utf8.Valid(body) {
		return socket.NewFrame(socket.Text, body)
	}
	return socket.NewFrame(socket.Binary, body)
}

// complain tells the client that its message was not worked off.
func (c *connection) complain(text, requestID string) {
	_ = c.send(errorFrame(text, c.id, requestID))
	c.g.metrics.complaints.WithLabelValues(text).Inc()
}

// textUnauthorized is AWS's word for a client that could not say who it is.
var textUnauthorized = http.StatusText(http.StatusUnauthorized)
