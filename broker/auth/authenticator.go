package auth

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"reflect"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Invoke calls a function of the configuration by its name and returns its answer.
type Invoke func(ctx context.Context, function string, event []byte) ([]byte, error)

// Options are what an Authenticator needs from outside. The zero value works.
type Options struct {
	// Log gets what operators should know: refusals, a few at a time, and files that
	// cannot be read. Secrets never appear in it.
	Log zerolog.Logger
	// Metrics is where the counters are registered; nil = nowhere.
	Metrics prometheus.Registerer
	// Keys is the table of access keys that sigv4 looks in, besides those of its
	// configuration; nil = an empty one.
	Keys *Keys
	// CheckCertificates reports whether a client's certificates, its own first, are good
	// now; nil = those of the handshake are good for ever.
	CheckCertificates func(certs []*x509.Certificate) error
	// Invoke calls the functions of authorizers.
	Invoke Invoke
	// Authorize gives a principal that a method has named its Policy: it returns it, or a
	// copy, or an error that wraps ErrRefused. nil = everybody may do everything.
	Authorize func(ctx context.Context, p *Principal, c *Credentials) (*Principal, error)
	// OriginAllowed reports whether the web page that sent r may act here; nil = every page.
	OriginAllowed func(r *http.Request) bool
}

// Authenticator asks the configured methods, holds up whoever tries too often, and
// changes to another configuration while it runs. It is the one Method that the broker
// and the HTTP doors ask.
type Authenticator struct {
	options  Options
	metrics  *metrics
	failures *failureLog
	checks   *hashGate
	used     *usedSignatures
	now      func() time.Time
	current  atomic.Pointer[Set]

	mu      sync.Mutex
	life    context.Context // of Run; nil before
	stops   map[Method]context.CancelFunc
	running sync.WaitGroup
}

// Set is the methods of one configuration. Prepare makes one, Load puts it in force.
type Set struct {
	cfg       Config
	methods   []entry
	chain     Chain
	addresses *attempts[netip.Addr]
}

type entry struct {
	name string
	cfg  MethodConfig
	Method
}

// What a method may be able to do besides.
type (
	// reloader reads files, anew when reload is called. After an error what it knew holds.
	reloader interface {
		files() []string
		reload() error
	}
	// runner does something in the background until ctx ends.
	runner interface{ run(ctx context.Context) }
	// rechecker reports, with an error that wraps ErrRefused, that a principal of its
	// own that it named before would not be let in now.
	rechecker interface{ recheck(p *Principal) error }
)

// New makes an Authenticator that knows nobody until Load.
func New(o Options) *Authenticator {
	if o.Keys == nil {
		o.Keys = new(Keys)
	}
	a := &Authenticator{options: o, metrics: newMetrics(o.Metrics), now: time.Now, stops: make(map[Method]context.CancelFunc)}
	a.checks, a.used = newHashGate(a.metrics), newUsedSignatures(a.metrics)
	a.failures = &failureLog{log: o.Log, now: a.now}
	a.current.Store(&Set{})
	return a
}

// Prepare makes the methods of a configuration and reads their files; nothing changes
// yet. What is the same as in the configuration in force goes on with what it knows.
func (a *Authenticator) Prepare(cfg Config) (*Set, error) {
	old := a.current.Load()
	s := &Set{cfg: cfg}
	limits := cfg.BruteForce.withDefaults()
	if s.addresses = old.addresses; s.addresses == nil || old.cfg.BruteForce.withDefaults() != limits {
		s.addresses = newAttempts[netip.Addr](limits.PerAddress, limits, a.now)
	}
	var errs []error
	for i := range cfg.Methods {
		e, err := a.entry(old, cfg.Methods[i], limits)
		if err != nil {
			errs = append(errs, &MethodError{Index: i, Method: cfg.Methods[i].names()[0], Err: err})
			continue
		}
		s.methods = append(s.methods, e)
		s.chain = append(s.chain, e.Method)
	}
	if len(cfg.Methods) == 0 {
		s.chain = Chain{Anonymous{}}
		s.methods = []entry{{name: nameAnonymous, Method: Anonymous{}}}
	}
	if !slices.ContainsFunc(cfg.Methods, func(m MethodConfig) bool { return m.SigV4 != nil }) {
		// Keys that this server has given out itself, to functions' processes, are good
		// whatever is configured for others.
		own := newSigV4(SigV4Config{}, a.options.Keys, a.used, a.now)
		own.only = true
		s.chain = append(Chain{own}, s.chain...)
		s.methods = append(s.methods, entry{name: nameSigV4, Method: own})
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return s, nil
}

// MethodError is why a method of a configuration cannot be used.
type MethodError struct {
	// Index is the method's in Config.Methods, Method its name.
	Index  int
	Method string
	// Err is the cause.
	Err error
}

// Error says which method it is.
func (e *MethodError) Error() string { return fmt.Sprintf("auth.methods[%d]: %v", e.Index, e.Err) }

// Unwrap is the cause.
func (e *MethodError) Unwrap() error { return e.Err }

// entry makes one method, or takes it over from before.
func (a *Authenticator) entry(old *Set, cfg MethodConfig, limits BruteForceConfig) (entry, error) {
	for _, e := range old.methods {
		if reflect.DeepEqual(e.cfg, cfg) && old.cfg.BruteForce.withDefaults() == limits {
			if r, ok := e.Method.(reloader); ok {
				if err := r.reload(); err != nil {
					return entry{}, err
				}
			}
			return e, nil
		}
	}
	e := entry{cfg: cfg}
	var err error
	switch {
	case cfg.Anonymous != nil:
		e.name, e.Method = nameAnonymous, Anonymous{}
	case cfg.Password != nil:
		e.name = namePassword
		e.Method, err = newPassword(*cfg.Password, limits, a.checks, a.metrics, a.now)
	case cfg.JWT != nil:
		e.name = nameJWT
		e.Method, err = newJWT(*cfg.JWT, a.options.Log, a.metrics, a.now)
	case cfg.X509 != nil:
		e.name, e.Method = nameX509, newX509(*cfg.X509, a.options.CheckCertificates)
	case cfg.SigV4 != nil:
		e.name, e.Method = nameSigV4, newSigV4(*cfg.SigV4, a.options.Keys, a.used, a.now)
	case cfg.Authorizer != nil:
		e.name = nameAuthorizer
		e.Method, err = newAuthorizers(*cfg.Authorizer, a.options.Invoke, a.metrics, a.now)
	default:
		err = errors.New("the method is empty")
	}
	return e, err
}

// Load puts a set in force for everybody who connects from now on. Connections that
// are open are asked about with Recheck.
func (a *Authenticator) Load(s *Set) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.current.Store(s)
	kept := make(map[Method]bool)
	for _, e := range s.methods {
		if _, ok := e.Method.(runner); ok {
			kept[e.Method] = true
		}
	}
	for m, stop := range a.stops {
		if !kept[m] {
			stop()
			delete(a.stops, m)
		}
	}
	for m := range kept {
		a.begin(m)
	}
}

// begin runs what a method does in the background; a.mu is held.
func (a *Authenticator) begin(m Method) {
	if r, ok := m.(runner); ok && a.life != nil && a.stops[m] == nil {
		ctx, stop := context.WithCancel(a.life)
		a.stops[m] = stop
		a.running.Go(func() { r.run(ctx) })
	}
}

// Run does what the methods need in the background until ctx ends, and waits for it.
func (a *Authenticator) Run(ctx context.Context) error {
	a.mu.Lock()
	a.life = ctx
	for _, e := range a.current.Load().methods {
		a.begin(e.Method) //nolint:contextcheck // its context is a.life
	}
	a.mu.Unlock()
	tick := time.NewTicker(logInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.failures.flush()
		case <-ctx.Done():
			a.mu.Lock() // what a Load that comes now begins ends at once, and is waited for
			defer a.mu.Unlock()
			a.running.Wait()
			a.failures.flush()
			return nil
		}
	}
}

// Files are the files that the methods in force have read: Reload reads them anew.
func (a *Authenticator) Files() []string {
	var files []string
	for _, e := range a.current.Load().methods {
		if r, ok := e.Method.(reloader); ok {
			files = append(files, r.files()...)
		}
	}
	return files
}

// Reload reads the methods' files anew. A file that is wrong is in the error; what was
// known of it before stays in force.
func (a *Authenticator) Reload() error {
	var errs []error
	for _, e := range a.current.Load().methods {
		if r, ok := e.Method.(reloader); ok {
			errs = append(errs, r.reload())
		}
	}
	return errors.Join(errs...)
}

// Authenticate asks the methods in their order: see [Chain].
func (a *Authenticator) Authenticate(ctx context.Context, c *Credentials) (*Principal, error) {
	p, err := a.authenticate(ctx, c)
	a.metrics.count(p, err)
	switch {
	case err == nil:
		return p, nil
	case errors.Is(err, ErrRefused), errors.Is(err, ErrNotMine):
		a.failures.refused(c, err)
	}
	return nil, err
}

func (a *Authenticator) authenticate(ctx context.Context, c *Credentials) (*Principal, error) {
	s := a.current.Load()
	addr, limited := network(c.Remote.Addr())
	limited = limited && s.addresses != nil
	if limited && !onlyCertificate(c) && s.addresses.blocked(addr) > 0 {
		return nil, ErrTooMany
	}
	p, err := s.chain.Authenticate(ctx, c)
	if err == nil {
		return a.authorize(ctx, p, c)
	}
	if limited && errors.Is(err, ErrRefused) && !errors.Is(err, ErrTooMany) && !genuine(err) {
		s.addresses.failed(addr)
	}
	return nil, err
}

// onlyCertificate reports a client that shows a certificate and nothing that could be a
// guess: the handshake has proved that it is its own. Somebody else who guesses behind the
// same router must not keep it out.
func onlyCertificate(c *Credentials) bool {
	return c.TLS != nil && len(c.TLS.PeerCertificates) > 0 && c.Password == nil && c.Request == nil
}

// authorize gives a principal its policy, and every principal that is renewed from it.
func (a *Authenticator) authorize(ctx context.Context, p *Principal, c *Credentials) (*Principal, error) {
	if renew := p.renew; renew != nil {
		kept := *c
		kept.Request, kept.Body, kept.Password = nil, nil, nil // they are the call's
		p.renew = func(ctx context.Context) (*Principal, error) {
			p, err := renew(ctx)
			if err != nil {
				return nil, err
			}
			return a.authorize(ctx, p, &kept)
		}
	}
	switch {
	case a.options.Authorize != nil:
		return a.options.Authorize(ctx, p, c)
	case p.Policy == nil:
		p.Policy = AllowAll{}
	}
	return p, nil
}

// Recheck reports whether a principal that was named before would still be named by
// the methods in force: nil, or an error that wraps [ErrRefused] and says why not. A user
// who was deleted or got another password, a certificate that was revoked, a key that is
// gone, a method that is no longer configured: their connections have to end. Expires is
// the connection's to watch.
func (a *Authenticator) Recheck(p *Principal) error {
	err, method := refuse(p.Method, p.Name, "the method is no longer configured"), p.Method
	if _, signed := p.proof.(Key); signed {
		method = nameSigV4 // whatever the key's principal says of itself
	}
	for _, e := range a.current.Load().methods {
		if e.name != method {
			continue
		}
		r, ok := e.Method.(rechecker)
		if !ok {
			return nil
		}
		if err = r.recheck(p); err == nil {
			return nil
		}
	}
	return err
}
