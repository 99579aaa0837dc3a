package app

import (
	"context"
	"maps"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/internal/config"
)

// functions runs the functions of the configuration that holds now, and lets those of
// the ones before finish.
type functions struct {
	options function.Options
	environ atomic.Pointer[func(function string) map[string]string] // more variables for a function's processes

	mu       sync.Mutex
	registry *function.Registry
	life     context.Context // of Run; nil before
	end      func()          // ends the registry that runs now
	running  sync.WaitGroup
}

// newFunctions makes the functions of cfg. env gives the processes of emulated ones
// variables: see emulator.Options.EnvFor.
func newFunctions(cfg *config.Config, log zerolog.Logger, metrics prometheus.Registerer, env func(function, token string) map[string]string) (*functions, error) {
	f := &functions{
		options: function.Options{Log: log, Metrics: metrics, Emulator: function.EmulatorOptions{
			Log: log, Metrics: metrics, BaseDir: cfg.Dir, RootWarning: new(sync.Once),
		}},
	}
	f.options.Emulator.EnvFor = func(name, token string) map[string]string {
		v := make(map[string]string)
		if env != nil {
			maps.Copy(v, env(name, token))
		}
		if environ := f.environ.Load(); environ != nil {
			maps.Copy(v, (*environ)(name))
		}
		return v
	}
	r, err := function.NewRegistry(cfg.Functions, f.options, nil)
	if err != nil {
		return nil, err
	}
	f.registry = r
	return f, nil
}

// current is the registry that new invocations go to.
func (f *functions) current() *function.Registry {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.registry
}

// next makes the registry of another configuration. Functions that have not changed
// are the same in both. It runs once it is handed to swap, or must be closed.
func (f *functions) next(cfg *config.Config) (*function.Registry, error) {
	return function.NewRegistry(cfg.Functions, f.options, f.current())
}

// swap runs r beside the current registry and in its place. The caller calls endOld
// when nothing calls the old one's functions any more; they finish what they have begun.
func (f *functions) swap(r *function.Registry) (endOld func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	endOld = f.end
	if f.life == nil {
		endOld = f.registry.Close
	}
	f.registry = r
	if f.life != nil {
		f.begin()
	}
	return endOld
}

// begin runs the current registry; f.mu is held.
func (f *functions) begin() {
	r := f.registry
	own, end := context.WithCancel(f.life)
	f.end = end
	f.running.Go(func() {
		defer end()
		_ = r.Run(own) // it ends with its context and never otherwise
	})
}

// Run runs the current registry, and those that swap brings, until ctx ends and all of
// them have finished.
func (f *functions) Run(ctx context.Context) error {
	f.mu.Lock()
	f.life = ctx
	f.begin()
	f.mu.Unlock()
	<-ctx.Done()
	f.mu.Lock() // a swap that comes now begins and ends a registry before the wait
	defer f.mu.Unlock()
	f.running.Wait()
	return nil
}

// close gives up functions that were never run.
func (f *functions) close() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.life == nil {
		f.registry.Close()
	}
}
