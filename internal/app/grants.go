package app

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/broker/auth"
)

// grants are what the clients of routes with auth may do. A client that is held by one
// leaves when it ends: as of an MQTT client, when what it authenticated with expires,
// when the methods would not let it in any more, and when it is not let in again where
// its authorizer wants to be asked again.
type grants struct {
	log     zerolog.Logger
	ask     func(r *http.Request) (*auth.Principal, error)
	recheck func(p *auth.Principal) error
	renew   func(ctx context.Context, p *auth.Principal) (*auth.Principal, error)

	mu      sync.Mutex
	watched map[*watch]struct{}
}

// newGrants makes grants of the methods of an authenticator.
func newGrants(a *auth.Authenticator, log zerolog.Logger) *grants {
	return &grants{log: log, ask: a.AuthenticateHTTP, recheck: a.Recheck, renew: renewed, watched: make(map[*watch]struct{})}
}

func renewed(ctx context.Context, p *auth.Principal) (*auth.Principal, error) { return p.Renewed(ctx) }

// authorize says who sent a request and what it may do.
func (g *grants) authorize(r *http.Request) (grip.Grant, error) {
	p, err := g.ask(r)
	if err != nil {
		return nil, refusedRequest{err}
	}
	grant := &principalGrant{from: g}
	grant.principal.Store(p)
	return grant, nil
}

// refusedRequest is an error of authorize with its HTTP status.
type refusedRequest struct{ error }

// HTTPStatus is the status of the answer.
func (e refusedRequest) HTTPStatus() int { return auth.HTTPStatus(e.error) }

// Unwrap is what was wrong.
func (e refusedRequest) Unwrap() error { return e.error }

// Recheck ends the clients who would not be let in any more.
func (g *grants) Recheck() {
	for _, w := range g.list() {
		w.recheck()
	}
}

// Reauthorize ends the clients that have what the policies of now do not allow.
func (g *grants) Reauthorize() {
	for _, w := range g.list() {
		w.review()
	}
}

func (g *grants) list() []*watch {
	g.mu.Lock()
	defer g.mu.Unlock()
	list := make([]*watch, 0, len(g.watched))
	for w := range g.watched {
		list = append(list, w)
	}
	return list
}

// principalGrant is what a principal's policies allow. It implements [grip.Lasting].
type principalGrant struct {
	from      *grants
	principal atomic.Pointer[auth.Principal] // another one after a renewal
}

func (g *principalGrant) Name() string { return g.principal.Load().Name }

func (g *principalGrant) MayPublish(topic string) bool { return g.may(auth.Publish, topic) }

func (g *principalGrant) MaySubscribe(filter string) bool { return g.may(auth.Subscribe, filter) }

func (g *principalGrant) MayReceive(topic string) bool { return g.may(auth.Receive, topic) }

func (g *principalGrant) may(action auth.Action, name string) bool {
	return g.principal.Load().May(action, name)
}

// Watch tells of the grant's end until stop is called.
func (g *principalGrant) Watch(end func(code int, reason string), changed func()) (stop func()) {
	w := &watch{grant: g, end: end, changed: changed}
	w.life, w.cancel = context.WithCancel(context.Background())
	g.from.mu.Lock()
	g.from.watched[w] = struct{}{}
	g.from.mu.Unlock()
	w.arm(g.principal.Load())
	w.recheck() // what let the client in may be gone meanwhile
	w.review()
	return w.stop
}

// watch is one client that is held by a grant.
type watch struct {
	grant   *principalGrant
	end     func(code int, reason string)
	changed func()
	life    context.Context
	cancel  context.CancelFunc

	mu      sync.Mutex
	over    bool
	expires *time.Timer
	renew   *time.Timer
	under   sync.WaitGroup // what is under way
}

// How long methods may take to renew a principal, and when they are asked again if
// nobody could decide. They are the broker's for MQTT clients.
const (
	renewWithin = 10 * time.Second
	renewAgain  = 30 * time.Second
)

// arm waits for the times of a principal.
func (w *watch) arm(p *auth.Principal) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.disarm()
	if w.over {
		return
	}
	if !p.Expires.IsZero() {
		w.expires = time.AfterFunc(time.Until(p.Expires), func() {
			w.during(func() { w.finish(socket.CloseUnauthorized, "the credentials have expired", nil) })
		})
	}
	if !p.Renew.IsZero() && (p.Expires.IsZero() || p.Renew.Before(p.Expires)) {
		w.renew = time.AfterFunc(time.Until(p.Renew), func() { w.during(func() { w.askAgain(p) }) })
	}
}

// disarm takes the times back. Call it with the lock held.
func (w *watch) disarm() {
	for _, t := range [...]*time.Timer{w.expires, w.renew} {
		if t != nil {
			t.Stop()
		}
	}
}

// during does something unless the watch is over, which waits for it.
func (w *watch) during(do func()) {
	w.mu.Lock()
	if w.over {
		w.mu.Unlock()
		return
	}
	w.under.Add(1)
	w.mu.Unlock()
	defer w.under.Done()
	do()
}

// finish ends the client.
func (w *watch) finish(code int, reason string, why error) {
	p := w.grant.principal.Load()
	w.grant.from.log.Info().Err(why).Str("principal", p.Name).Str("method", p.Method).Msg("client of a route disconnected: " + reason)
	w.end(code, reason)
}

func (w *watch) recheck() {
	w.during(func() {
		if err := w.grant.from.recheck(w.grant.principal.Load()); err != nil {
			w.finish(socket.CloseUnauthorized, notAccepted, err)
		}
	})
}

func (w *watch) review() { w.during(w.changed) }

const notAccepted = "the credentials are not accepted any more"

// askAgain asks for the principal anew. Until there is an answer the old one holds: at
// the latest it expires.
func (w *watch) askAgain(p *auth.Principal) {
	ctx, cancel := context.WithTimeout(w.life, renewWithin)
	defer cancel()
	next, err := w.grant.from.renew(ctx, p)
	switch {
	case w.life.Err() != nil:
	case err == nil && next.Name == p.Name:
		w.grant.principal.Store(next)
		w.arm(next)
		w.changed()
	case err == nil, errors.Is(err, auth.ErrRefused), errors.Is(err, auth.ErrNotMine):
		w.finish(socket.CloseUnauthorized, notAccepted, err)
	default:
		w.grant.from.log.Warn().Err(err).Str("principal", p.Name).Dur("retry_in", renewAgain).Msg("the policies of a client of a route could not be asked for again")
		again := *p
		again.Renew = time.Now().Add(renewAgain)
		w.arm(&again)
	}
}

// stop ends the watch and waits for what is under way.
func (w *watch) stop() {
	g := w.grant.from
	g.mu.Lock()
	delete(g.watched, w)
	g.mu.Unlock()
	w.mu.Lock()
	w.over = true
	w.disarm()
	w.mu.Unlock()
	w.cancel()
	w.under.Wait()
}
