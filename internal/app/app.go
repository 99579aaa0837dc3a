// Package app puts the rooms together: it reads the configuration, makes the broker,
// the rules, the functions and the bridge, joins them, and runs them to an orderly
// end. It is the only place that knows them all.
package app

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/apigateway"
	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/message"
)

// Options are what the command line says.
type Options struct {
	// Config is the path of the configuration file.
	Config string
	// LogFormat and LogLevel override the configuration's log section if they are not
	// empty.
	LogFormat, LogLevel string
	// Out takes the words for people: the addresses, what to try, the live lines.
	// Log takes the log.
	Out, Log io.Writer
	// Version is the program's, for $SYS; Command is how its user calls it.
	Version, Command string
	// Live prints a line for what becomes of every message; Color paints it.
	Live, Color bool

	metrics *prometheus.Registry // a test's; nil for one of its own
}

// app is the running program.
type app struct {
	options Options
	log     zerolog.Logger
	text    bool // people read the log
	metrics *prometheus.Registry
	program *programMetrics

	authority *auth.Authority
	broker    *broker.Broker
	mqtt      []mqttAddress
	bridge    *bridge.Bridge
	functions *functions
	doors     *doors
	web       *webServer
	door      *grip.Door
	grants    *grants // of the clients of routes
	gateway   *apigateway.Gateway
	inner     *functionDoor // for functions that run here
	live      *Live
	keys      *auth.Keys          // the access keys that this server knows
	auth      *auth.Authenticator // of the broker and the HTTP doors
	authFiles *config.Watcher
	certs     *listen.Certificates // nil without TLS listeners
	tls       *tls.Config          // the same
	durable   durable
	protobuf  Descriptors
	stopping  atomic.Bool
	reloads   int
}

// mqttAddress is where an MQTT listener is bound: its scheme and its address.
type mqttAddress struct{ scheme, address string }

// Run serves until ctx ends or something that cannot be mended fails. Everything that
// is wrong with the configuration is reported before anything starts.
func Run(ctx context.Context, o Options) error {
	cfg, err := config.Load(o.Config)
	if err != nil {
		return err
	}
	a := &app{options: o, metrics: o.metrics}
	a.log, a.text = newLogger(o, cfg.Log)
	if a.metrics == nil {
		a.metrics = newMetrics()
	}
	a.program = newProgramMetrics(a.metrics, o.Version, a.ready)
	reloader, err := a.newReloader(cfg)
	if err != nil {
		return err
	}
	for i := range cfg.Warnings {
		a.warn(&cfg.Warnings[i])
	}

	// What was kept comes before those who keep something, and is closed after them.
	defer a.closeStore()
	if err := a.openStore(ctx, cfg); err != nil {
		return err
	}

	// Functions first: the rules are compiled against them. They learn of the doors that
	// they talk back through when their processes start.
	a.keys, a.authority = new(auth.Keys), newAuthority(cfg)
	a.doors = newDoors(a, cfg)
	if a.functions, err = newFunctions(cfg, a.log, a.metrics, a.doors.env); err != nil {
		return err
	}
	defer a.functions.close()
	program, err := bridge.Compile(cfg.Rules, a.functions.current())
	if err != nil {
		return cfg.Explain(err)
	}

	// Who may connect: an authorizer is one of the functions.
	if a.auth, err = newAuth(cfg, a.authOptions(cfg)); err != nil {
		return err
	}
	if a.authFiles, err = config.NewWatcher(a.auth.Files()); err != nil {
		return err
	}

	// The bridge publishes into the broker and the broker hands its messages to the
	// bridge: the broker comes first and learns of the bridge when it serves.
	if err := a.newBroker(cfg); err != nil {
		return err
	}
	if err := a.newBridge(ctx, cfg); err != nil {
		a.broker.Close()
		return err
	}
	a.bridge.Load(program)
	if err := a.newDoor(cfg); err != nil {
		a.broker.Close()
		return err
	}
	defer a.inner.close(ctx)

	// Every address is bound before anything runs, so that one in use ends the start.
	if a.web, err = a.newWeb(ctx, cfg); err != nil {
		a.broker.Close()
		return errors.Join(err, a.bridge.Close())
	}
	return a.run(ctx, cfg, program, reloader)
}

// run starts what lives, in the order in which one leans on the other: see runStages.
func (a *app) run(ctx context.Context, cfg *config.Config, program *bridge.Program, reload *reloader) error {
	stages := []stage{
		{"functions", a.functions.Run},
		{"auth", a.runAuth},
		{"broker", func(ctx context.Context) error { return a.broker.Serve(ctx, a.accept) }},
		{"doors", a.doors.Run}, // of the functions: those that the bridge waits for may use them
		{"bridge", a.bridge.Run},
		{"web", a.web.Run},
		{"function door", a.inner.Run},
		{"routes", a.door.Run},
		{"api gateway", a.gateway.Run},
		{"reload", reload.Run},
	}
	if a.certs != nil {
		stages = append(stages, stage{"certificates", a.certs.Run})
	}
	if a.live != nil {
		stages = append(stages, stage{"live", a.live.Run})
	}
	a.announce(cfg, program)
	tellSupervisor("READY=1")
	err := runStages(ctx, append(stages, stage{"goodbye", a.goodbye})...)
	if err != nil {
		return err
	}
	a.log.Info().Msg("stopped")
	return nil
}

// goodbye is the first stage to end: from here on the server is not ready.
func (a *app) goodbye(ctx context.Context) error {
	<-ctx.Done()
	a.stopping.Store(true)
	tellSupervisor("STOPPING=1")
	a.log.Info().Msg("stopping: finishing what is under way; a second signal ends the server at once")
	return nil
}

// accept joins the broker to the bridge.
func (a *app) accept(ctx context.Context, m *message.Message) (broker.Pending, error) {
	return a.bridge.Accept(ctx, m)
}

func (a *app) newBroker(cfg *config.Config) error {
	warnings := len(cfg.Warnings)
	certs, err := newCertificates(cfg, a.log)
	if err != nil {
		return err
	}
	for i := warnings; i < len(cfg.Warnings); i++ {
		a.warn(&cfg.Warnings[i])
	}
	if certs != nil {
		a.certs, a.tls = certs, certs.TLSConfig()
		certs.OnClientsChanged(a.recheck)
		measureCertificate(a.metrics, certs)
	}
	b, err := broker.New(cfg.Config, broker.Options{
		Log: a.log, Metrics: a.metrics, Auth: []auth.Method{a.auth}, Store: a.brokerStore(), TLS: a.tls, Version: a.options.Version, Policies: a.authority, Listens: a.listens,
	})
	if err != nil {
		return err
	}
	for i, address := range b.Addrs() {
		name := "mqtt"
		if i >= len(cfg.Listen.MQTT) {
			name = "mqtts"
		}
		a.mqtt = append(a.mqtt, mqttAddress{name, address.String()})
		a.log.Info().Str("listener", name).Str("address", address.String()).Msg("listening")
	}
	a.broker = b
	return nil
}

func (a *app) newBridge(ctx context.Context, cfg *config.Config) (err error) {
	a.protobuf.Load(cfg)
	o := bridge.Options{
		Publisher: a.broker, MayReceive: a.broker.MayReceive, MayPublish: a.doors.functionMay, Descriptors: a.protobuf.Find,
		Store: a.bridgeStore(), Outbox: cfg.Outbox, Log: a.log, Metrics: a.metrics,
	}
	if a.options.Live {
		a.live = NewLive(a.options.Out, a.options.Color)
		o.Observe = a.live.Observe
	}
	a.bridge, err = bridge.New(ctx, o)
	return err
}

func (a *app) newWeb(ctx context.Context, cfg *config.Config) (*webServer, error) {
	handler := a.doors.open(cfg, a.routes(cfg))
	if err := a.doors.listen(ctx); err != nil {
		return nil, err
	}
	var shared *tls.Config
	if a.certs != nil {
		shared = a.certs.SharedTLSConfig()
	}
	web, err := newWebServer(ctx, a.log, handler, cfg.Listen.HTTP, cfg.Listen.HTTPS, shared, a.broker.TakeTLS)
	if err != nil {
		a.doors.close()
	}
	return web, err
}

// routes are the doors of the HTTP listener.
func (a *app) routes(cfg *config.Config) http.Handler {
	h := health{checks: a.checks}
	mux := http.NewServeMux()
	mux.Handle(webSocketPath(cfg), a.broker.WebSocket())
	mux.HandleFunc("GET /healthz", h.alive)
	mux.HandleFunc("GET /readyz", h.ready)
	a.admin(mux, promhttp.HandlerFor(a.metrics, promhttp.HandlerOpts{Registry: a.metrics}))
	mux.Handle("/", a.withManagement(a.door))
	return mux
}

func webSocketPath(cfg *config.Config) string {
	if p := cfg.Listen.WebSocket.Path; p != "" {
		return p
	}
	return listen.DefaultWebSocketPath
}

// checks are what /readyz asks.
func (a *app) checks() map[string]error {
	var stopping error
	if a.stopping.Load() {
		stopping = errors.New("the server is stopping")
	}
	return map[string]error{"server": stopping, "store": a.storeProblem()}
}

// ready reports whether all checks pass.
func (a *app) ready() bool {
	for _, err := range a.checks() {
		if err != nil {
			return false
		}
	}
	return true
}
