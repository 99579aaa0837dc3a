// Package apigateway serves functions that were written for an Amazon API Gateway WebSocket
// API, unchanged: they get its events ($connect, messages by route, $disconnect) and post to
// its @connections. Beyond that a connection may take part in the space of topics, so that a
// chat room needs no table of connections. DESIGN.md says how and where it differs.
package apigateway

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/message"
)

// Options are what a Gateway needs.
type Options struct {
	// Space is the broker, Functions invokes functions, Sockets bounds the connections
	// of a route: the door's. They are needed.
	Space     grip.Space
	Functions grip.Invoker
	Sockets   func(*grip.Route) socket.Options
	// Hold counts a client in, ends it when its route goes, and refuses it when there are
	// too many: the door's. It is needed.
	Hold func(route *grip.Route, end func(code int, reason string)) (release func(), err error)
	// Authorize says who the client of a route with auth is and what it may do, or refuses
	// it. nil leaves that to the functions.
	Authorize func(r *http.Request) (grip.Grant, error)
	// Follow ends a client whose grant ends: the door's. nil = none does.
	Follow func(g grip.Grant, filters func() []string, end func(code int, reason string)) (stop func())
	// AuthorizeManagement decides whether a request to @connections is let through; its
	// error is told to whoever sent it. nil lets everything through.
	AuthorizeManagement func(r *http.Request) error
	// Domain is the domainName of a route's events; nil or an empty answer stands for
	// the host that the client asked for.
	Domain func(*grip.Route) string
	// MaxSubscriptions bounds the topics of one connection; 100 if 0.
	MaxSubscriptions int
	// Log and Metrics; the zero values discard.
	Log     zerolog.Logger
	Metrics prometheus.Registerer
	// Linger is how long connections and their last events may take when the server
	// stops; 5 s if 0.
	Linger time.Duration
}

// Gateway holds the connections of all routes of mode apigateway. Make one with New and run
// it with Run.
type Gateway struct {
	o       Options
	log     zerolog.Logger
	metrics *metrics
	life    context.Context // of invocations
	end     context.CancelFunc
	direct  grip.Subscriber // to @connections/{id}

	mu          sync.RWMutex
	connections map[string]*connection
	closing     bool
	wg          sync.WaitGroup
}

// TopicPrefix begins the topic of each connection: what is published to
// @connections/{connectionId} is sent to its client.
const TopicPrefix = "@connections/"

// New makes a Gateway without connections.
func New(o Options) (*Gateway, error) {
	if o.Linger <= 0 {
		o.Linger = 5 * time.Second
	}
	if o.MaxSubscriptions <= 0 {
		o.MaxSubscriptions = 100
	}
	g := &Gateway{o: o, connections: make(map[string]*connection)}
	g.log = o.Log.Sample(&zerolog.BurstSampler{Burst: 20, Period: time.Second}) // a function that fails may fail for everybody
	g.metrics = newMetrics(o.Metrics, g.count)
	g.life, g.end = context.WithCancel(context.Background())
	g.direct = o.Space.Subscriber(nil, g.deliver)
	if err := g.direct.Subscribe(TopicPrefix+"+", false); err != nil {
		g.end()
		return nil, err
	}
	return g, nil
}

// Run holds connections until ctx ends. Then it closes them with code 1001, tells the
// functions, and returns when all that has ended, or Linger after.
func (g *Gateway) Run(ctx context.Context) error {
	<-ctx.Done()
	g.mu.Lock()
	g.closing = true
	g.mu.Unlock()
	g.direct.Close()
	g.closeAll()
	limit := time.AfterFunc(g.o.Linger, g.end)
	defer limit.Stop()
	g.wg.Wait()
	g.end()
	return nil
}

func (g *Gateway) closeAll() {
	g.mu.RLock()
	defer g.mu.RUnlock()
	for _, c := range g.connections {
		c.close(socket.CloseGoingAway, reasonGoingAway)
	}
}

// errStopping refuses what comes too late.
var errStopping = errors.New("the server is stopping")

// add registers a connection and counts it in for Run to wait for; it is then the caller
// that runs it.
func (g *Gateway) add(c *connection) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return errStopping
	}
	g.connections[c.id] = c
	return nil
}

func (g *Gateway) remove(c *connection) {
	g.mu.Lock()
	defer g.mu.Unlock()
	delete(g.connections, c.id)
}

// begin counts something in for Run to wait for; false when the gateway is closing.
func (g *Gateway) begin() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closing {
		return false
	}
	g.wg.Add(1)
	return true
}

func (g *Gateway) find(id string) *connection {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return g.connections[id]
}

func (g *Gateway) count() int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return len(g.connections)
}

// deliver sends what was published to the topic of a connection to its client.
func (g *Gateway) deliver(m *message.Message, shared *any) {
	if c := g.find(m.Topic[len(TopicPrefix):]); c != nil {
		c.receive(m, shared)
		return
	}
	g.metrics.gone.Inc()
}

// apiOf is the api of a route; it is made once.
func apiOf(route *grip.Route) (*api, error) {
	type made struct {
		api *api
		err error
	}
	m, _ := route.Compiled(func() any {
		a, err := compileAPI(route)
		return made{a, err}
	}).(made)
	return m.api, m.err
}

// invoke calls a function with an event.
func (g *Gateway) invoke(a *api, name, kind string, event []byte) ([]byte, error) {
	ctx, cancel := context.WithTimeout(g.life, a.limits.timeout)
	defer cancel()
	out, err := g.o.Functions.Invoke(ctx, name, event)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("%w after %s", function.ErrTimeout, a.limits.timeout) // it may still be running
	}
	g.metrics.invoked(kind, err)
	return out, err
}
