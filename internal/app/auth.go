package app

import (
	"context"
	"crypto/x509"

	"golang.org/x/sync/errgroup"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/message"
)

// authOptions are what authentication takes from the other rooms.
func (a *app) authOptions(cfg *config.Config) auth.Options {
	return auth.Options{
		Log: a.log, Metrics: a.metrics, Keys: a.keys,
		Invoke: func(ctx context.Context, name string, event []byte) ([]byte, error) {
			fn, err := a.functions.current().Lookup(name)
			if err != nil {
				return nil, err
			}
			return fn.Invoke(function.WithCall(ctx, function.Call{RequestID: message.NewID()}), event)
		},
		CheckCertificates: func(certs []*x509.Certificate) error { return a.certs.CheckClient(certs) },
		OriginAllowed:     cfg.Listen.WebSocket.AllowsOrigin,
		Authorize:         a.authorize,
	}
}

// newAuth makes what authenticates clients and HTTP requests, with the methods of cfg in
// force.
func newAuth(cfg *config.Config, o auth.Options) (*auth.Authenticator, error) {
	a := auth.New(o)
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
	a.recheck()
}

// loadAuth puts the methods of a new configuration in force.
func (a *app) loadAuth(set *auth.Set) {
	a.auth.Load(set)
	a.authFiles.Watch(a.auth.Files())
	a.recheck()
}

// recheck ends the connections of those who would not be let in any more.
func (a *app) recheck() {
	if a.broker != nil { // it is, but for the moment in which the program is put together
		a.broker.Recheck(a.auth.Recheck)
	}
	if a.grants != nil { // the same
		a.grants.Recheck()
	}
}
