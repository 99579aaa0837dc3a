// Package emulator runs AWS Lambda functions on this machine, without Docker: as
// processes that speak Lambda's Runtime API
// (https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html) with us.
//
// A [Function] owns the processes of one function, its execution environments: it
// starts them when they are needed, keeps them warm, gives each one invocation at a
// time, ends them when they take too long or have nothing to do, and replaces them
// when the code changes. It promises that an invocation ends in the document that
// AWS would answer, whatever the process does. It refuses to know where events come
// from, and it isolates nothing: functions run as ordinary processes of this user.
package emulator

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Options are what a [Function] takes from its surroundings. The zero value works.
type Options struct {
	// Log receives what the function writes and what happens to it.
	Log zerolog.Logger
	// Metrics is where the package's collectors are registered; nil leaves them out.
	Metrics prometheus.Registerer
	// Env are additional environment variables for every process; the function's own win.
	Env map[string]string
	// EnvFor gives further ones for a process that is about to start; it is called for
	// each, from several goroutines. token names the process: a request that carries it
	// can be told to come from there, see [Function.Hops]. The function's own variables
	// win. nil means none.
	EnvFor func(function, token string) map[string]string
	// CacheDir holds unpacked archives, built programs and runtime clients. Empty
	// means topicwire's folder in the user's cache directory, or /var/cache/topicwire
	// for functions that root runs as another user, who cannot read root's.
	CacheDir string
	// BaseDir is where a relative path starts. Empty means the working directory.
	BaseDir string
	// Region and AccountID appear in the function's ARN and environment; empty means
	// us-east-1 and 123456789012.
	Region, AccountID string
	// Drain is how long Run waits for invocations in progress when its context has
	// ended; 0 means 5 s.
	Drain time.Duration
	// Renewed is called when code begins to serve: the first, and whatever replaces it.
	// nil: nobody wants to know.
	Renewed func()
	// RootWarning, shared by functions, makes the warning about running as root
	// appear once; nil warns for each.
	RootWarning *sync.Once
}

// What stands in ARNs and in the functions' environment unless Options say otherwise.
const (
	DefaultRegion  = "us-east-1"
	DefaultAccount = "123456789012"
)

const defaultDrain = 5 * time.Second

// Function is one emulated Lambda function. Its methods may be called concurrently.
type Function struct {
	name    string
	cfg     Config
	kind    kind
	opts    Options
	log     zerolog.Logger
	arn     string
	metrics *functionMetrics
	calls   sync.Pool // of *call

	interpreter string // found for a script; belongs to reloadLoop

	wake chan struct{}  // tells the spawner that pending is not empty
	envs sync.WaitGroup // environments not yet gone

	mu          sync.Mutex
	running     bool
	closed      bool
	gen         *generation       // what new environments run; nil until there is one
	unavailable *UnavailableError // why gen is nil; nil while it is being prepared
	all         map[*environment]struct{}
	idle        []*conn // connections waiting for an event; last in, first out
	queue       callQueue
	allowed     int            // invocations that may run at once: see SetConcurrency
	pending     []*environment // to be started
	starting    int            // environments of gen that have not asked for an event yet
	scaleTimer  *time.Timer
	scaleArmed  bool
	crash       crashLoop
}

// New makes the function called name. It fails only for a Config that its Check
// refuses; a missing runtime or missing code is reported by Invoke, and may be
// remedied while the function lives. Nothing starts before Run.
func New(name string, cfg Config, opts Options) (*Function, error) {
	var problems []error
	cfg.Check(func(path, problem, remedy string) {
		problems = append(problems, fmt.Errorf("%s: %s; %s", path, problem, remedy))
	})
	if len(problems) > 0 {
		return nil, fmt.Errorf("emulator: function %q: %w", name, errors.Join(problems...))
	}
	setDefault(&opts.Region, DefaultRegion)
	setDefault(&opts.AccountID, DefaultAccount)
	setDefault(&opts.Drain, defaultDrain)
	if opts.CacheDir == "" {
		opts.CacheDir = defaultCacheDir(cfg.User)
	}
	// Processes run in the code's folder: what they are told must not depend on ours.
	for _, dir := range []*string{&opts.CacheDir, &opts.BaseDir} {
		abs, err := filepath.Abs(*dir)
		if err != nil {
			return nil, fmt.Errorf("emulator: function %q: %w", name, err)
		}
		*dir = abs
	}
	cfg = cfg.withDefaults()
	cfg.Environment = maps.Clone(cfg.Environment)
	m, err := registerMetrics(opts.Metrics)
	if err != nil {
		return nil, fmt.Errorf("emulator: function %q: %w", name, err)
	}
	f := &Function{
		name: name, cfg: cfg, kind: parseRuntime(cfg.Runtime), opts: opts,
		log:  opts.Log.With().Str("function", name).Logger(),
		arn:  "arn:aws:lambda:" + opts.Region + ":" + opts.AccountID + ":function:" + name,
		wake: make(chan struct{}, 1),
		all:  make(map[*environment]struct{}), allowed: cfg.Concurrency,
	}
	f.metrics = m.function(f)
	f.calls.New = func() any { return &call{done: make(chan outcome, 1)} }
	return f, nil
}

func defaultCacheDir(otherUser string) string {
	if otherUser != "" && isRoot() {
		return "/var/cache/topicwire"
	}
	base, err := os.UserCacheDir()
	if err != nil {
		base = os.TempDir()
	}
	return filepath.Join(base, "topicwire")
}

// Name is the function's name.
func (f *Function) Name() string { return f.name }

// ARN is what a handler sees as its invoked function ARN.
func (f *Function) ARN() string { return f.arn }

// Config is the function's configuration, with defaults filled in.
func (f *Function) Config() Config {
	c := f.cfg
	c.Environment = maps.Clone(c.Environment)
	return c
}

// Run prepares the code, starts and ends processes, and watches for new code, until
// ctx ends. Then it refuses new invocations, gives those in progress Options.Drain
// to finish, and returns when every process is gone. It may be called once.
func (f *Function) Run(ctx context.Context) error {
	f.mu.Lock()
	if f.running || f.closed {
		f.mu.Unlock()
		return fmt.Errorf("emulator: function %q: Run was called before", f.name)
	}
	f.running = true
	f.mu.Unlock()
	f.warnRoot()
	f.metrics.open()
	defer f.metrics.close()

	stopSpawning := make(chan struct{})
	var owned sync.WaitGroup
	owned.Go(func() { f.spawnLoop(stopSpawning) }) //nolint:contextcheck // environments outlive ctx by the drain
	var helpers sync.WaitGroup
	helpers.Go(func() { f.reloadLoop(ctx) })
	helpers.Go(func() { f.reapLoop(ctx) })

	<-ctx.Done()
	f.shutDown()
	drained := make(chan struct{})
	owned.Go(func() { f.envs.Wait(); close(drained) })
	limit := time.NewTimer(f.opts.Drain)
	defer limit.Stop()
	select {
	case <-drained:
	case <-limit.C:
		f.killAll()
		<-drained
	}
	// The thread that started the processes must outlive them: see spawnLoop.
	close(stopSpawning)
	owned.Wait()
	helpers.Wait()
	return nil
}

// shutDown refuses what has not begun and lets go of every idle environment.
func (f *Function) shutDown() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.closed = true
	for c := f.queue.pop(); c != nil; c = f.queue.pop() {
		c.done <- outcome{err: ErrClosed}
	}
	if f.scaleTimer != nil {
		f.scaleTimer.Stop()
	}
	for e := range f.all {
		e.retire()
	}
	if f.gen != nil {
		f.gen.current = false
		f.gen.release()
	}
}

// killAll ends every environment at once, invocations in progress included.
func (f *Function) killAll() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for e := range f.all {
		e.stopNow()
	}
}

// reapLoop ends environments that have had nothing to do for the idle timeout.
func (f *Function) reapLoop(ctx context.Context) {
	tick := time.NewTicker(max(f.cfg.IdleTimeout/4, 10*time.Millisecond))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			f.reapIdle(now)
		}
	}
}

func (f *Function) reapIdle(now time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for e := range f.all {
		if e.state == stateReady && e.busy() == 0 && now.Sub(e.idleSince) >= f.cfg.IdleTimeout && e.gen.live > f.cfg.Prewarm {
			e.retire()
		}
	}
}

// warnRoot says that functions run as root, if they do.
func (f *Function) warnRoot() {
	if f.cfg.User != "" || !isRoot() {
		return
	}
	warn := func() {
		f.log.Warn().Msg("functions run as root, without a sandbox: set user, for instance user: nobody, or start topicwire as another user")
	}
	if f.opts.RootWarning != nil {
		f.opts.RootWarning.Do(warn)
	} else {
		warn()
	}
}
