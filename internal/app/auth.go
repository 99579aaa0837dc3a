package app

import (
	"context"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/message"
)

// authorizer gives a principal its policies.
type authorizer = func(ctx context.Context, p *auth.Principal, c *auth.Credentials) (*auth.Principal, error)

// newAuth makes what authenticates clients and HTTP requests, with the methods of cfg in
// force.
func newAuth(cfg *config.Config, f *functions, keys *auth.Keys, authorize authorizer, log zerolog.Logger, metrics prometheus.Registerer) (*auth.Authenticator, error) {
	a := auth.New(auth.Options{
		Log: log, Metrics: metrics, Keys: keys,
		Invoke: func(ctx context.Context, name string, event []byte) ([]byte, error) {
			fn, err := f.current().Lookup(name)
			if err != nil {
				return nil, err
			}
			return fn.Invoke(function.WithCall(ctx, function.Call{RequestID: message.NewID()}), event)
		},
		OriginAllowed: cfg.Listen.WebSocket.AllowsOrigin,
		Authorize:     authorize,
	})
	set, err := a.Prepare(cfg.Auth)
	if err != nil {
		return nil, cfg.Explain(err)
	}
	a.Load(set)
	return a, nil
}

// runAuth runs the authenticator, and lets it read its files anew when they change,
// until ctx ends.
func (a *app) runAuth(ctx context.Context) error {
	g, own := errgroup.WithContext(ctx)
	g.Go(func() error { return a.auth.Run(own) })
	g.Go(func() error { return a.authFiles.Run(own) })
	g.Go(func() error {
		for {
			select {
			case <-a.authFiles.Changed():
				a.reloadAuth()
			case <-own.Done():
				return nil
			}
		}
	})
	return g.Wait()
}

// reloadAuth reads the files of the methods anew: passwords, keys.
func (a *app) reloadAuth() {
	if err := a.auth.Reload(); err != nil {
		a.log.Error().Err(err).Msg("a file of auth cannot be used, what was read before stays in force")
	} else {
		a.log.Info().Msg("the files of auth were read again")
	}
	a.broker.Recheck(a.auth.Recheck)
}

// loadAuth puts the methods of a new configuration in force.
func (a *app) loadAuth(set *auth.Set) {
	a.auth.Load(set)
	a.authFiles.Watch(a.auth.Files())
	a.broker.Recheck(a.auth.Recheck)
}
