package function

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Options are what a Registry needs besides its functions. The zero value works.
type Options struct {
	Log     zerolog.Logger
	Metrics prometheus.Registerer
	// Emulator is handed to the emulated functions.
	Emulator EmulatorOptions
	// Drain is how long a function that is no longer needed may finish the
	// invocations in flight before it is ended; 30 seconds if 0.
	Drain time.Duration
}

// defaultDrain covers the run time of most functions. Longer ones are cut off on
// purpose: a reload or a shutdown must come to an end.
const defaultDrain = 30 * time.Second

// maxUndeclared bounds how many real Lambda functions are remembered that rules
// reach by ARN and the configuration does not name. Further ones still work; they
// share no limit on their concurrency.
const maxUndeclared = 1024

// Registry finds functions by name. It is immutable and safe for concurrent use; a
// reload makes a new one from the old.
type Registry struct {
	options  Options
	declared map[string]*instance // by name
	byLambda map[string]*instance // by what `lambda:` says
	names    []string             // of the declared ones, sorted

	poster  *Poster
	aws     *awsClients
	metrics *metrics

	mu         sync.Mutex
	undeclared map[string]*instance // by ARN
	ended      bool
}

// NewRegistry makes the functions of a configuration, and starts none: see
// [Registry.Run]. Of reuse, which may be nil, it takes over every function whose
// configuration has not changed, with its processes and connections. Errors name the
// function and are joined. A function whose runtime is not installed is no error
// here: invoking it fails with [ErrUnavailable], and the others run.
//
// A Registry that will not be run must be given up with [Registry.Close].
func NewRegistry(configs map[string]Config, options Options, reuse *Registry) (*Registry, error) {
	if options.Drain <= 0 {
		options.Drain = defaultDrain
	}
	r := &Registry{
		options:    options,
		declared:   make(map[string]*instance, len(configs)),
		byLambda:   make(map[string]*instance),
		names:      slices.Sorted(maps.Keys(configs)),
		undeclared: make(map[string]*instance),
	}
	if reuse != nil {
		r.poster, r.aws, r.metrics = reuse.poster, reuse.aws, reuse.metrics
	} else {
		r.poster, r.aws, r.metrics = NewPoster(), &awsClients{}, newMetrics(options.Metrics)
	}
	var errs []error
	for _, name := range r.names {
		if err := CheckName(name); err != nil {
			errs = append(errs, err)
			continue
		}
		i, err := r.instance(name, configs[name], reuse)
		if err != nil {
			errs = append(errs, fmt.Errorf("function %s: %w", name, err))
			continue
		}
		r.declared[name] = i
		if l := i.config.Lambda; l != "" && r.byLambda[l] == nil {
			r.byLambda[l] = i
		}
	}
	if len(errs) > 0 {
		r.Close()
		return nil, errors.Join(errs...)
	}
	return r, nil
}

// instance takes a function over from reuse or makes it, and holds it.
func (r *Registry) instance(name string, c Config, reuse *Registry) (*instance, error) {
	if reuse != nil {
		if old := reuse.declared[name]; old != nil && reflect.DeepEqual(old.config, c) && old.hold() {
			return old, nil
		}
	}
	i, err := r.build(name, c)
	if err != nil {
		return nil, err
	}
	i.hold()
	return i, nil
}

func (r *Registry) build(name string, c Config) (*instance, error) {
	switch {
	case c.HTTP != "":
		f, err := newHTTP(context.Background(), c, r.poster, r.aws)
		if err != nil {
			return nil, err
		}
		return newInstance(name, c, f, nil, r.metrics), nil
	case c.Lambda != "":
		f, err := newAWS(context.Background(), c, r.aws, r.poster, r.options.Log)
		if err != nil {
			return nil, err
		}
		i := newInstance(name, c, f, nil, r.metrics)
		if c.Quirks == QuirksRIE {
			i.slots = make(chan struct{}, 1) // what is more waits in the outbox
		}
		return i, nil
	default:
		return r.buildEmulated(name, c)
	}
}

// Lookup finds a function: by its declared name, by an ARN or name that a declared
// function has as its `lambda`, by an ARN whose function name is declared, and any
// other ARN is a real Lambda function of that account. A name that nothing declares
// is [ErrNotFound].
func (r *Registry) Lookup(nameOrARN string) (Function, error) {
	if i := r.find(nameOrARN); i != nil {
		return i.as(nameOrARN), nil
	}
	if !strings.HasPrefix(nameOrARN, "arn:") {
		return nil, fmt.Errorf("%w: %q is not under functions%s", ErrNotFound, nameOrARN, r.hint())
	}
	i, err := r.lookupUndeclared(nameOrARN)
	if err != nil {
		return nil, err
	}
	return i, nil
}

// find looks among the declared functions; nil if it is none of them.
func (r *Registry) find(nameOrARN string) *instance {
	if i := r.declared[nameOrARN]; i != nil {
		return i
	}
	if i := r.byLambda[nameOrARN]; i != nil {
		return i
	}
	qualified, ok := arnFunction(nameOrARN)
	if !ok {
		return nil
	}
	name, _, _ := strings.Cut(qualified, ":")
	if i := r.declared[name]; i != nil {
		return i
	}
	if i := r.byLambda[qualified]; i != nil {
		return i
	}
	return r.byLambda[name]
}

// as is the instance as somebody names it. An emulated function sees the version or alias
// in the ARN that it was invoked by; a real one's is where its `lambda` says.
func (i *instance) as(nameOrARN string) Function {
	if _, ok := i.inner.(emulated); !ok {
		return i
	}
	qualified, _ := arnFunction(nameOrARN)
	if _, qualifier, ok := strings.Cut(qualified, ":"); ok {
		return aliased{i, qualifier}
	}
	return i
}

// aliased is an emulated function by one of its versions or aliases.
type aliased struct {
	*instance
	qualifier string
}

// Invoke implements [Function].
func (a aliased) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	call := CallFrom(ctx)
	call.Qualifier = a.qualifier
	return a.instance.Invoke(WithCall(ctx, call), payload)
}

// Resolve gives the name under which the invocations of a function are counted and
// queued: its declared name, else the ARN itself. Two ways to write one function
// resolve to the same name.
func (r *Registry) Resolve(nameOrARN string) string {
	if i := r.find(nameOrARN); i != nil {
		return i.name
	}
	return nameOrARN
}

// Capacity is how many invocations of a function are worth starting now; with 0, until
// when none is.
func (r *Registry) Capacity(nameOrARN string) (limit int, until time.Time) {
	i := r.find(nameOrARN)
	if i == nil {
		r.mu.Lock()
		i = r.undeclared[nameOrARN]
		r.mu.Unlock()
	}
	if i == nil {
		return DefaultConcurrency, time.Time{}
	}
	return i.health.Capacity(time.Now())
}

// Names are the declared functions' names in alphabetical order. The caller must not
// change them.
func (r *Registry) Names() []string { return r.names }

// Poster sends to HTTP endpoints over this Registry's connections.
func (r *Registry) Poster() *Poster { return r.poster }

func (r *Registry) lookupUndeclared(arn string) (*instance, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if i := r.undeclared[arn]; i != nil {
		return i, nil
	}
	i, err := r.build(arn, Config{Lambda: arn})
	if err != nil {
		return nil, fmt.Errorf("function %s: %w", arn, err)
	}
	if len(r.undeclared) >= maxUndeclared {
		i.name = "other" // metrics must not grow without bound either
		return i, nil
	}
	r.undeclared[arn] = i
	if !r.ended {
		r.metrics.targets.add(i.health)
	}
	return i, nil
}

func (r *Registry) hint() string {
	if len(r.names) == 0 {
		return ", where there is nothing yet; declare it there, or write the ARN of a real Lambda function"
	}
	return " (" + strings.Join(r.names, ", ") + "); declare it there, or write the ARN of a real Lambda function"
}

// Run keeps the functions alive until ctx ends. Then every function that no newer
// Registry has taken over finishes what is in flight, within Options.Drain, and ends;
// Run returns when all of its processes are gone.
func (r *Registry) Run(ctx context.Context) error {
	for _, i := range r.declared {
		i.start(ctx, r.failed)
	}
	<-ctx.Done()
	r.release(context.WithoutCancel(ctx), r.options.Drain)
	return nil
}

// Close gives up a Registry that has not been run. What it took over from another
// stays with that one.
func (r *Registry) Close() { r.release(context.Background(), 0) }

func (r *Registry) release(ctx context.Context, drain time.Duration) {
	r.mu.Lock()
	ended := r.ended
	r.ended = true
	for _, i := range r.undeclared {
		r.metrics.targets.remove(i.health)
	}
	r.mu.Unlock()
	if ended {
		return
	}
	limit, cancel := context.WithTimeout(ctx, drain)
	defer cancel()
	var wg sync.WaitGroup
	for _, i := range r.declared {
		wg.Go(func() { i.release(limit) })
	}
	wg.Wait()
	r.poster.Close()
	r.aws.closeIdle() // a newer Registry that shares the pools opens new ones
}

func (r *Registry) failed(name string, err error) {
	r.options.Log.Error().Err(err).Str("function", name).Msg("function stopped")
}
