// Package broker is the MQTT side of topicwire: listeners, sessions, subscriptions,
// retained messages, wills. It hands every published message to a func, Accept,
// before it delivers it, and publishes messages for others; it knows no rules.
//
// mochi-mqtt is the codec and runs the connections; the message plane is ours:
// DESIGN.md says what is whose and why.
package broker

import (
	"context"
	"crypto/tls"
	"errors"
	"hash/maphash"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/broker/topics"
	"github.com/topicwire/topicwire/message"
)

// ErrNotServing says that the broker takes no messages: Serve has not begun, or has ended.
var ErrNotServing = errors.New("broker: not serving")

// Options are what a Broker needs beside its configuration. The zero value works.
type Options struct {
	// Log gets what operators should know.
	Log zerolog.Logger
	// Metrics is where the broker's metrics are registered; nil = nowhere.
	Metrics prometheus.Registerer
	// Auth are the methods that authenticate clients, in order. Without any, everybody
	// may do everything, provided that only this machine can connect.
	Auth []auth.Method
	// Policies gives those whom Auth lets in the policies that are attached to them. nil =
	// they may do what their methods say.
	Policies *auth.Authority
	// Listens reports whether Accept has a use for messages of a topic: a lifecycle event
	// that nobody wants is not made. nil = it has none for events.
	Listens func(topic string) bool
	// Store keeps sessions and retained messages; nil = memory. Whoever gives one closes
	// it after Serve has returned.
	Store store.Store
	// TLS is what the MQTTS listeners speak. nil = with the certificate of the
	// configuration's listen.tls, which the broker then reloads when it changes.
	TLS *tls.Config
	// Version is what $SYS/broker/version says.
	Version string
}

// Broker is an MQTT broker. Make one with New, run it with Serve.
type Broker struct {
	limits  Limits
	log     zerolog.Logger
	metrics *metrics
	auth    auth.Chain
	grants  *auth.Authority // nil = methods say what their principals may do
	listens func(topic string) bool
	store   store.Store
	version string

	mochi     *mqtt.Server
	listeners []*listen.TCP
	certs     *listen.Certificates
	ws        *listen.WebSocket
	handed    *listen.Handed // MQTT at HTTPS listeners
	limiter   *listen.Limiter
	rates     rates
	flusher   *listen.Flusher
	listening *listen.Metrics

	index     *topics.Index[*subscriber]
	retained  *topics.Retained
	sessions  *session.Env
	clients   clients
	fan       session.Fanout
	seed      maphash.Seed
	retaining [64]sync.Mutex // by topic: see retain
	buffers   buffers
	schedule  *schedule
	departed  departed
	denials   denials

	connections    connections
	background     sync.WaitGroup                                // what asks for principals again
	mayStay        atomic.Pointer[func(p *auth.Principal) error] // of the last Recheck
	rechecks       atomic.Uint64                                 // how many there were
	accept         atomic.Pointer[Accept]
	keep           atomic.Pointer[Keep]
	watch          atomic.Pointer[func(*message.Message)]
	running        atomic.Pointer[context.Context]
	serving        chan struct{} // closed when running is set
	closed         chan struct{} // closed by Close
	closeOnce      sync.Once
	stopped        atomic.Bool
	serial         atomic.Uint64 // of connections; higher after every start of the server
	runID          string        // begins the identifiers of connections
	turn           atomic.Uint64
	qos0Limit      int
	refuseWhenFull bool
}

// New makes a broker and opens its MQTT and MQTTS listeners; clients that connect
// wait until Serve. The HTTP listeners of cfg.Listen are the caller's: it mounts
// WebSocket on them.
func New(cfg Config, opts Options) (*Broker, error) {
	l := cfg.Limits.Effective()
	chain := auth.Chain(opts.Auth)
	if len(chain) == 0 {
		if err := cfg.CheckExposed(&cfg.Auth); err != nil {
			return nil, err
		}
		chain = auth.Chain{auth.Anonymous{}}
	}
	if opts.Metrics == nil {
		opts.Metrics = prometheus.NewRegistry()
	}
	b := &Broker{
		limits: l, log: opts.Log, auth: chain, grants: opts.Policies, listens: opts.Listens,
		store: opts.Store, version: opts.Version,
		index: topics.NewIndex[*subscriber](), retained: topics.NewRetained(),
		serving: make(chan struct{}), closed: make(chan struct{}),
		seed: maphash.MakeSeed(), clients: clients{all: map[string]*client{}}, schedule: newSchedule(),
		connections: connections{all: map[*connection]struct{}{}},
		rates:       newRates(&l.RateLimits),
		limiter:     listen.NewLimiter(l.Limits), flusher: listen.NewFlusher(),
		qos0Limit: l.WriteBuffer / 4, refuseWhenFull: l.Queue.Policy == session.Refuse,
	}
	b.serial.Store(uint64(time.Now().UnixMilli()))
	b.runID = message.NewID()[:len("12345678-1234-1234")]
	if b.store == nil {
		b.store = store.NewMemory()
	}
	b.sessions = &session.Env{
		Config: session.Config{
			MaxQueued: l.Queue.MaxMessages, MaxQueuedBytes: int64(l.Queue.MaxBytes), Policy: l.Queue.Policy,
			MaxShareQueued: l.MaxSharedQueued,
		},
		Store:    b.store,
		Hold:     !volatile(b.store),
		Counters: &session.Counters{},
		Now:      time.Now,
	}
	if b.rates.queued != nil {
		b.sessions.Keeps = b.rates.queued.take
	}
	b.metrics, b.listening = newMetrics(opts.Metrics, b), listen.NewMetrics(opts.Metrics)
	b.mochi = newMochi(b)
	if err := b.open(&cfg.Listen, opts.TLS); err != nil {
		b.Close()
		return nil, err
	}
	return b, nil
}

// volatile reports whether a store forgets with the process, so that nothing has to
// wait for it.
func volatile(s store.Store) bool {
	_, is := s.(*store.Memory)
	return is
}

// newMochi makes the mochi server. Its Serve is never called: that would start a loop
// that copies all clients twice a second for expiries that are ours, and listeners
// that are ours too.
func newMochi(b *Broker) *mqtt.Server {
	caps := mqtt.NewDefaultServerCapabilities()
	caps.MaximumClientWritesPending = 1
	caps.MaximumMessageExpiryInterval = 0
	caps.MaximumSessionExpiryInterval = 0
	caps.MaximumPacketSize = 0 // the connection checks it, with an answer
	caps.ReceiveMaximum = uint16(b.limits.MaxInflight)
	caps.MaximumInflight = 1
	caps.TopicAliasMaximum = 0
	caps.Compatibilities.NoInheritedPropertiesOnAck = true
	s := mqtt.New(&mqtt.Options{
		Capabilities: caps, Logger: slog.New(slog.DiscardHandler),
		ClientNetReadBufferSize: 128, ClientNetWriteBufferSize: 128, SysTopicResendInterval: 3600,
	})
	_ = s.AddHook(&gate{b: b}, nil) // the hook's Init does nothing that could fail
	return s
}

// open opens the listeners.
func (b *Broker) open(cfg *listen.Config, tlsConfig *tls.Config) error {
	opts := listen.Options{
		Limiter: b.limiter, Metrics: b.listening, Flusher: b.flusher, Log: b.log,
		ConnectTimeout: b.limits.ConnectTimeout,
		WriteTimeout:   2 * b.limits.SlowTimeout, // after our own, which knows whether it matters
		Drain:          b.limits.ShutdownTimeout,
		WriteLimit:     b.limits.WriteBuffer, HighWater: b.limits.WriteBuffer / 16, LowWater: b.limits.WriteBuffer / 64,
		MaxPacketSize: b.limits.MaxConnectSize,
	}
	ctx := context.Background() // opening does not wait for anything
	var errs []error
	for _, addr := range cfg.MQTT {
		opts.Name = "mqtt"
		t, err := listen.ListenTCP(ctx, addr, opts)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		b.listeners = append(b.listeners, t)
	}
	if len(cfg.MQTTS) > 0 {
		if tlsConfig == nil {
			certs, err := listen.NewCertificates(cfg.TLS, b.log)
			if err != nil {
				return errors.Join(append(errs, err)...)
			}
			b.certs, tlsConfig = certs, certs.TLSConfig()
		}
		opts.Name, opts.TLS = "mqtts", tlsConfig
		for _, addr := range cfg.MQTTS {
			t, err := listen.ListenTCP(ctx, addr, opts)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			b.listeners = append(b.listeners, t)
		}
		opts.TLS = nil
	}
	opts.Name = "https"
	b.handed = listen.NewHanded(b.serveConn, opts)
	opts.Name, opts.MaxLifetime = "websocket", b.limits.MaxWebSocketLifetime
	b.ws = listen.NewWebSocket(cfg.WebSocket, b.serveConn, opts)
	return errors.Join(errs...)
}

// Close gives up the addresses of a broker that is not going to be served, and the
// clients that wait for it.
func (b *Broker) Close() {
	b.closeOnce.Do(func() { close(b.closed) })
	for _, l := range b.listeners {
		_ = l.Close()
	}
}

// Addrs are the addresses of the MQTT and MQTTS listeners, in the order of the
// configuration; useful when the port was 0.
func (b *Broker) Addrs() []net.Addr {
	addrs := make([]net.Addr, len(b.listeners))
	for i, l := range b.listeners {
		addrs[i] = l.Addr()
	}
	return addrs
}

// WebSocket is MQTT over WebSocket, to be mounted on an HTTP server.
func (b *Broker) WebSocket() http.Handler { return b.ws }

// TakeTLS serves MQTT on a connection that came to an HTTPS listener and has chosen MQTT
// in its TLS handshake: see [listen.Shared].
func (b *Broker) TakeTLS(c *tls.Conn) { b.handed.Take(c) }

// awaitServe waits until Serve takes clients; false if it is not going to.
func (b *Broker) awaitServe() bool {
	select {
	case <-b.serving:
		return true
	case <-b.closed:
		return false
	}
}

// life is the context of everything the broker does; nil before Serve.
func (b *Broker) life() context.Context {
	if ctx := b.running.Load(); ctx != nil {
		return *ctx
	}
	return nil
}

// Publish takes a message that did not come over MQTT: a reply, a republished
// message, one from an HTTP door. It goes the way of every message. At QoS 1 and 2 a
// nil error means that it is durable.
func (b *Broker) Publish(ctx context.Context, m *message.Message) error {
	if err := b.check(m); err != nil {
		return err
	}
	b.metrics.published.Inc()
	return b.publish(ctx, m, nil)
}

// check says why a message that did not come over MQTT cannot be taken.
func (b *Broker) check(m *message.Message) error {
	if b.life() == nil || b.stopped.Load() {
		return ErrNotServing
	}
	if err := message.ValidateTopic(m.Topic); err != nil {
		return refuse(reasonTopicInvalid, "%v", err)
	}
	switch {
	case m.QoS > 2:
		return refuse(reasonQoSNotSupported, "there is no QoS %d", m.QoS)
	case ownTopic(m.Topic), m.From.Via == message.ViaHTTP && reservedTopic(m.Topic):
		return refuse(reasonNotAuthorized, "topic %.200q is the server's own", m.Topic)
	case !fits(m.Topic, &b.limits):
		return refuse(reasonTopicInvalid, "topic %.200q is longer or has more levels than the limits allow", m.Topic)
	case b.limits.MaxPayloadSize > 0 && len(m.Payload) > b.limits.MaxPayloadSize:
		return refuse(reasonPacketTooLarge, "a payload of %d bytes is more than the limit of %d", len(m.Payload), b.limits.MaxPayloadSize)
	}
	if m.Received.IsZero() {
		m.Received = time.Now()
	}
	return nil
}
