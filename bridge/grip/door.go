// Package grip is the other road to realtime push: a client speaks plain WebSocket or
// HTTP, the server holds its connection, and a function is invoked only when something
// happens. It speaks GRIP, as Pushpin and Fanout do, and its channels are topics: what
// is held here and what has subscribed over MQTT get the same messages. DESIGN.md says
// how. It knows no broker: it publishes and subscribes through a [Space].
package grip

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/bridge/limitedlog"
	"github.com/topicwire/topicwire/message"
)

// Space is where messages go and come from: the broker.
type Space interface {
	Bus
	// Subscriber makes a subscriber in this process. receive gets each message that
	// matches one of its subscriptions once; it is called by whoever publishes and must
	// not wait. shared is empty when the first subscriber gets a message and then holds
	// what that one left there for the others. may, unless nil, is asked before a
	// delivery.
	Subscriber(may func(topic string) bool, receive Receive) Subscriber
	// Holder is Subscriber for who takes the messages of PublishLocal too: they have no
	// payload and ask for something to be done.
	Holder(may func(topic string) bool, receive Receive) Subscriber
}

// Bus is what is published in a Space.
type Bus interface {
	// Publish publishes a message as if a client had.
	Publish(ctx context.Context, m *message.Message) error
	// PublishLocal hands a message to the subscribers made by Holder only, and to no MQTT
	// client and no rule.
	PublishLocal(m *message.Message) error
	// Watch makes f see every message before it is delivered; nil ends that. f is called
	// by whoever publishes and must not wait.
	Watch(f func(m *message.Message))
	// Subscribers is how many subscriptions a message to topic would find at the moment,
	// those of MQTT clients and those made by Subscriber.
	Subscribers(topic string) int
}

// Receive takes a message of the space.
type Receive = func(m *message.Message, shared *any)

// Subscriber is one holder's part in the space. Its methods may be called at any time.
type Subscriber interface {
	// Subscribe adds a topic filter; with retained, the retained messages that match
	// are received at once.
	Subscribe(filter string, retained bool) error
	// Unsubscribe takes a filter away and reports whether it was there.
	Unsubscribe(filter string) bool
	// Close takes all of them away. Nothing is received after it has returned, but for
	// what is being received at the moment.
	Close()
}

// Invoker invokes a function by its name or ARN.
type Invoker interface {
	Invoke(ctx context.Context, function string, payload []byte) ([]byte, error)
}

// Grant is what somebody may do. A nil Grant allows everything.
type Grant interface {
	// Name is the identity; empty for an anonymous one.
	Name() string
	MayPublish(topic string) bool
	MaySubscribe(filter string) bool
	MayReceive(topic string) bool
}

// Handler serves the requests of the routes of one mode.
type Handler interface {
	ServeRoute(w http.ResponseWriter, r *http.Request, route *Route)
}

// Defaults are the limits of routes that set none of their own; 0 = a default of
// this package.
type Defaults struct {
	// MaxMessage bounds a message of a WebSocket client in bytes.
	MaxMessage int
	// MaxQueued bounds what waits for one client in bytes.
	MaxQueued int
}

// Options are what a Door needs.
type Options struct {
	// Config is the section grip.
	Config Config
	// Space is the broker. It is needed.
	Space Space
	// Functions invokes functions. It is needed.
	Functions Invoker
	// Authorize says who sent a request and what it may do, or refuses it: clients of
	// routes with auth, and publishers that show none of the keys of Config. An error may
	// say with a method HTTPStatus how the request is answered; see RefusalStatus. nil
	// lets clients in, and as publishers only those with a key or, if no key is configured,
	// those on this machine.
	Authorize func(r *http.Request) (Grant, error)
	// Asks reports whether there is anybody whom Authorize knows, or something that it
	// forbids; it may change. While it is false publishers are let in as if Authorize were nil.
	// nil = always, if there is an Authorize.
	Asks func() bool
	// Defaults are the limits of routes that set none.
	Defaults Defaults
	// History keeps the messages of Config.History's topics; nil = in memory.
	History History
	// Log and Metrics; the zero values discard.
	Log     zerolog.Logger
	Metrics prometheus.Registerer
	// Linger is how long the connections may take to end when the server stops; 5 s if 0.
	Linger time.Duration
}

// Door holds the clients of the routes. Make one with New, mount it as the handler of
// whatever no other handler takes, give it routes with Load, run it with Run.
type Door struct {
	options      Options
	routes       atomic.Pointer[table]
	handlers     map[Mode]Handler
	lambda       lambdaHandler
	origin       originHandler
	signer       *signer
	keys         *publisherKeys
	iss, secret  string   // what functions here publish with
	history      *keeper  // nil = no topic has one
	publications sync.Map // *message.Message, while it is published, to *publication
	sequence     *sequencer
	window       *window
	metrics      *metrics
	log          *limitedlog.Log
	holders      holders
	writer       *socket.Writer
	sockets      socket.Stats

	life     context.Context // of everything that is done for clients
	end      context.CancelFunc
	work     sync.WaitGroup // requests to handlers
	stopping chan struct{}
	stop     sync.Once
}

// New makes a door without routes.
func New(o Options) (*Door, error) {
	if o.Linger <= 0 {
		o.Linger = 5 * time.Second
	}
	if o.Asks == nil {
		o.Asks = func() bool { return o.Authorize != nil }
	}
	keys, main, text, err := newKeys(&o.Config)
	if err != nil {
		return nil, err
	}
	signer, err := newSigner(&o.Config, main.secret)
	if err != nil {
		return nil, err
	}
	d := &Door{
		options: o, lambda: lambdaHandler{o.Functions}, origin: newOriginHandler(), signer: signer, keys: keys,
		iss: main.iss, secret: text, writer: socket.NewWriter(), stopping: make(chan struct{}),
		holders: holders{all: make(map[*held]struct{}), most: o.Config.MaxConnections},
		log:     limitedlog.New(o.Log),
	}
	d.life, d.end = context.WithCancel(context.Background())
	d.sequence = newSequencer(d.deliverItem)
	d.metrics = newMetrics(o.Metrics, d)
	d.window = &window{watch: o.Space.Watch, find: d.publicationOf, lost: func() { d.metrics.windowLost.Add(1) }}
	if topics := o.Config.History.Topics; len(topics) > 0 {
		if o.History == nil {
			o.History = NewMemory(o.Config.History)
		}
		d.history = &keeper{filters: topics, history: o.History, failed: func(err error) {
			d.log.Warn("history", "", err, "a message was not kept in the history")
		}}
	}
	d.handlers = map[Mode]Handler{ModeGrip: gripHandler{d, d.lambda}, ModeProxy: gripHandler{d, d.origin}}
	d.routes.Store(newTable(nil, o.Defaults, nil))
	return d, nil
}

// Handle makes h the handler of the routes of a mode. Call it before anything is
// served.
func (d *Door) Handle(m Mode, h Handler) { d.handlers[m] = h }

// Load puts routes in the place of those before. Clients of a route that has gone, or
// whose function is another, are disconnected.
func (d *Door) Load(routes []RouteConfig) {
	d.routes.Store(newTable(routes, d.options.Defaults, d.routes.Load()))
	d.holders.endRoutes()
}

// GripURL is what a program publishes with that reaches this server at base, for
// instance http://127.0.0.1:8080: the value of its variable GRIP_URL.
func (d *Door) GripURL(base string) string {
	u := base + d.options.Config.Path + "?iss=" + url.QueryEscape(d.iss) + "&key=" + url.QueryEscape(d.secret)
	if jwk := d.signer.jwk(); jwk != nil {
		u += "&verify-iss=" + url.QueryEscape(d.signer.iss) + "&verify-key=" + url.QueryEscape(string(jwk))
	}
	return u
}

// Socket are the options of the WebSocket connections of a route: its bounds, and the
// writer and counters that all connections share.
func (d *Door) Socket(r *Route) socket.Options {
	return socket.Options{
		MaxMessage:    r.MaxMessage,
		MaxQueued:     r.Queue.MaxBytes,
		MaxQueuedMsgs: r.Queue.MaxMessages,
		Policy:        r.Queue.Policy,
		Compress:      r.Compression,
		PingInterval:  r.PingInterval,
		Linger:        d.options.Linger,
		Stats:         &d.sockets,
		Writer:        d.writer,
	}
}

// during is the context of what is done for a request: it ends with the request, or when
// the door has waited long enough for it to end.
func (d *Door) during(r *http.Request) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(r.Context())
	stop := context.AfterFunc(d.life, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// ServeHTTP serves the door for publishing, or hands a request to the handler of its
// route's mode.
func (d *Door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if serve, ok := d.isDoor(r.URL.Path); ok {
		serve(w, r)
		return
	}
	route := d.routes.Load().match(r.URL.Path)
	if route == nil {
		http.NotFound(w, r)
		return
	}
	select {
	case <-d.stopping:
		d.metrics.refused.WithLabelValues("shutdown").Inc()
		http.Error(w, "The server is shutting down.", http.StatusServiceUnavailable)
		return
	default:
	}
	h := d.handlers[route.Mode]
	if h == nil {
		http.Error(w, "This route's mode is not available.", http.StatusNotImplemented)
		return
	}
	h.ServeRoute(w, r, route)
}

// Run holds clients until ctx ends, then ends them: WebSockets with code 1001, polls as
// at their timeout, streams with their last chunk. Handlers are told of it as far as
// that is done in time.
func (d *Door) Run(ctx context.Context) error {
	<-ctx.Done()
	d.stop.Do(func() { close(d.stopping) })
	d.sequence.close()
	d.holders.close()
	limit := time.AfterFunc(d.options.Linger, d.end) // cuts requests to handlers
	d.holders.wg.Wait()
	d.work.Wait()
	limit.Stop()
	d.end()
	d.writer.Wait()
	d.origin.close()
	d.log.Flush()
	return nil
}
