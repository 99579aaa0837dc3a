package app

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"reflect"
	"syscall"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/internal/config"
)

// reloader brings the configuration's changes. It notices from the moment it is made,
// so that no change between the start and the first message is missed, and no SIGHUP
// ends the program.
type reloader struct {
	a       *app
	started *config.Config // that the server was started with: its listeners, limits, store
	watcher *config.Watcher
	hangup  chan os.Signal
}

// newReloader begins to watch the files of cfg. Run ends that; a start that fails before
// ends the program.
func (a *app) newReloader(cfg *config.Config) (*reloader, error) {
	w, err := config.NewWatcher(cfg.Files)
	if err != nil {
		return nil, err
	}
	r := &reloader{a: a, started: cfg, watcher: w, hangup: make(chan os.Signal, 1)}
	signal.Notify(r.hangup, syscall.SIGHUP)
	return r, nil
}

// Run loads the configuration anew on SIGHUP and whenever one of its files changes,
// until ctx ends.
func (r *reloader) Run(ctx context.Context) error {
	defer signal.Stop(r.hangup)
	watching := make(chan error, 1)
	go func() { watching <- r.watcher.Run(ctx) }()
	for {
		select {
		case <-r.hangup:
		case <-r.watcher.Changed():
		case err := <-watching:
			return err
		}
		next, err := r.a.reload(r.started)
		if wrong, ok := errors.AsType[*config.Error](err); ok {
			r.watcher.Watch(wrong.Files) // so that putting right a file it names is noticed
		}
		if err != nil {
			r.a.program.refused()
			r.a.refuseConfig(err)
			continue
		}
		r.watcher.Watch(next.Files)
	}
}

// changedForRestart is the sections that a reload does not reach and that are others now
// than those of the start.
func changedForRestart(started, cfg *config.Config) (names []string) {
	for _, s := range [...]struct {
		name         string
		started, now any
	}{
		{"listen", started.Listen, cfg.Listen},
		{"limits", started.Limits, cfg.Limits},
		{"store", started.Store, cfg.Store},
		{"outbox", started.Outbox, cfg.Outbox},
		{"grip", started.Grip, cfg.Grip},
		{"doors", started.Doors, cfg.Doors},
		{"log", started.Log, cfg.Log},
	} {
		if !reflect.DeepEqual(s.started, s.now) {
			names = append(names, s.name)
		}
	}
	return names
}

// reload puts a new configuration in the place of the one before: all of it or, with an
// error, nothing. started is that of the start.
func (a *app) reload(started *config.Config) (*config.Config, error) {
	cfg, err := config.Load(a.options.Config)
	if err != nil {
		return nil, err
	}
	registry, err := a.functions.next(cfg)
	if err != nil {
		return nil, err
	}
	program, err := bridge.Compile(cfg.Rules, registry)
	if err != nil {
		registry.Close()
		return nil, cfg.Explain(err)
	}
	methods, err := a.auth.Prepare(cfg.Auth)
	if err != nil {
		registry.Close()
		return nil, cfg.Explain(err)
	}
	// The listeners stay those of the start: they must not become everybody's.
	if err := started.CheckExposed(&cfg.Auth); err != nil {
		registry.Close()
		return nil, err
	}
	a.tellFunctions(cfg)
	if err := a.inner.Load(cfg); err != nil {
		a.log.Error().Err(err).Msg("functions cannot reach @connections")
	}
	// The new functions run before the rules that call them, and the old ones end when
	// no rule calls them any more.
	endOld := a.functions.swap(registry)
	a.protobuf.Load(cfg)
	a.bridge.Load(program)
	a.reloadPolicies(cfg)
	a.doors.keys.load(a.functionPrincipals(cfg))
	a.loadAuth(methods)
	a.door.Load(cfg.Routes) // who may come is known before there is somewhere to come to
	endOld()
	a.reloads++
	a.program.loaded()
	for i := range cfg.Warnings {
		a.warn(&cfg.Warnings[i])
	}
	a.log.Info().Int("reload", a.reloads).Int("rules", len(cfg.Rules)).Int("functions", len(cfg.Functions)).Msg("configuration loaded")
	if restart := changedForRestart(started, cfg); len(restart) > 0 {
		a.log.Warn().Strs("sections", restart).Msg("sections of the configuration are others than at the start: they need a restart of the server")
	}
	return cfg, nil
}
