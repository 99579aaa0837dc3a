package broker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/topicwire/topicwire/broker/auth"
)

// term is how long a connection's principal holds: until it expires, or until it has to
// be asked for again.
type term struct {
	mu      sync.Mutex
	over    bool // the connection has ended
	expires *entry
	renew   *entry
}

// watchPrincipal ends the connection when its principal's time is over, and asks for
// the principal again when that is due.
func (c *connection) watchPrincipal() {
	c.watch(c.who.Load())
	if c.b.rechecks.Load() != c.checked { // what let the client in may be gone meanwhile
		if may := c.b.mayStay.Load(); may != nil {
			c.recheck(*may)
		}
	}
}

func (c *connection) watch(p *auth.Principal) {
	t := &c.term
	t.mu.Lock()
	defer t.mu.Unlock()
	c.cancelTerm()
	if t.over {
		return
	}
	if !p.Expires.IsZero() {
		t.expires = c.b.schedule.at(p.Expires, c.expired)
	}
	if !p.Renew.IsZero() && (p.Expires.IsZero() || p.Renew.Before(p.Expires)) {
		t.renew = c.b.schedule.at(p.Renew, func() { c.b.background.Go(func() { c.askAgain(p) }) })
	}
}

// forgetPrincipal is for the end of the connection.
func (c *connection) forgetPrincipal() {
	c.term.mu.Lock()
	defer c.term.mu.Unlock()
	c.term.over = true
	c.cancelTerm()
}

// cancelTerm takes both times back; the term is locked.
func (c *connection) cancelTerm() {
	for _, e := range []**entry{&c.term.expires, &c.term.renew} {
		if *e != nil {
			c.b.schedule.cancel(*e)
			*e = nil
		}
	}
}

// expired ends a connection whose token, or what else let it in, is not valid any more:
// reason code 0xA0, Maximum connect time.
func (c *connection) expired() {
	c.b.metrics.credentialsExpired.Inc()
	c.b.log.Info().Str("client", c.origin.ClientID).Str("method", c.who.Load().Method).Msg("client disconnected: what it authenticated with is not valid any more")
	c.disconnect(reasonConnectTime)
}

// renewAgain is how long to wait with the next try when nobody could decide.
const renewAgain = 30 * time.Second

// askAgain asks for the principal anew. Until there is an answer the old one holds: at
// the latest it expires.
func (c *connection) askAgain(p *auth.Principal) {
	ctx, cancel := context.WithTimeout(c.b.life(), authenticateTimeout)
	defer cancel()
	next, err := p.Renewed(ctx)
	switch {
	case err == nil && next.Name == p.Name:
		if next, err = c.bind(next); err != nil {
			c.b.log.Error().Err(err).Str("client", c.origin.ClientID).Msg("client disconnected: the policies that came with it are wrong")
			c.disconnect(reasonNotAuthorized)
			return
		}
		c.who.Store(next)
		c.replaceReceiver(next)
		c.watch(next)
	case err == nil, errors.Is(err, auth.ErrRefused), errors.Is(err, auth.ErrNotMine):
		c.b.log.Info().Err(err).Str("client", c.origin.ClientID).Msg("client disconnected: it was not let in again when it was due")
		c.disconnect(reasonNotAuthorized)
	default:
		if c.b.life().Err() != nil {
			return
		}
		c.b.log.Warn().Err(err).Str("client", c.origin.ClientID).Dur("retry_in", renewAgain).Msg("a client's policies could not be asked for again")
		again := *p
		again.Renew = time.Now().Add(renewAgain)
		c.watch(&again)
	}
}

// takePrincipal puts a renewed principal in the place of the one before, on the reading
// goroutine: a packet is judged by one or the other.
func (c *connection) takePrincipal(p *auth.Principal) {
	c.principal = p
}

// replaceReceiver puts the new principal in the place of the one before in the session:
// what it may not have any more ends.
func (c *connection) replaceReceiver(p *auth.Principal) {
	cl := c.sub.client
	cl.mu.Lock()
	mine := cl.conn == c
	cl.mu.Unlock()
	if mine {
		c.b.reauthorize(cl.id, c.sub, c, p)
	}
}

// Recheck asks of every connected client whether it may stay, and disconnects those
// for whom may gives an error: reason code 0x87. It is for changes of users, certificates
// and keys; see [auth.Authenticator.Recheck].
func (b *Broker) Recheck(may func(p *auth.Principal) error) {
	b.mayStay.Store(&may)
	b.rechecks.Add(1)
	for _, c := range b.connections.list() {
		if c.established.Load() {
			c.recheck(may)
		}
	}
}

func (c *connection) recheck(may func(p *auth.Principal) error) {
	if c.ended.Load() {
		return
	}
	if err := may(c.who.Load()); err != nil {
		c.b.log.Info().Err(err).Str("client", c.origin.ClientID).Msg("client disconnected: it would not be let in any more")
		c.disconnect(reasonNotAuthorized)
	}
}
