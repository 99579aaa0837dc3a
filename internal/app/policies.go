package app

import (
	"context"
	"fmt"
	"net/http"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/internal/config"
)

// newAuthority makes what gives principals their policies.
func newAuthority(cfg *config.Config) *auth.Authority {
	return auth.NewAuthority(cfg.Auth.PolicyConfig, authorityOptions(cfg))
}

// authorityOptions: without any method but anonymous, which loopback alone allows,
// everybody may do everything until a policy is attached to somebody.
func authorityOptions(cfg *config.Config) auth.AuthorityOptions {
	return auth.AuthorityOptions{Open: cfg.Auth.OnlyAnonymous()}
}

// authorize gives whom a method has named the policies of now.
func (a *app) authorize(_ context.Context, p *auth.Principal, c *auth.Credentials) (*auth.Principal, error) {
	bound, err := a.authority.Bind(p, auth.Peer{ClientID: c.ClientID, Addr: c.Remote.Addr()})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", auth.ErrRefused, err)
	}
	return bound, nil
}

// reloadPolicies puts the policies of a new configuration in force, for clients that are
// connected too.
func (a *app) reloadPolicies(cfg *config.Config) {
	a.authority.Load(cfg.Auth.PolicyConfig, authorityOptions(cfg))
	a.broker.Reauthorize()
	a.grants.Reauthorize()
}

// caller is who makes an HTTP request, with his policies.
func (a *app) caller(r *http.Request) (*auth.Principal, error) {
	if a.auth == nil {
		return nil, auth.ErrNotMine
	}
	return a.auth.AuthenticateHTTP(r)
}

// listens reports whether a rule takes messages of a topic.
func (a *app) listens(topic string) bool { return a.bridge == nil || a.bridge.Listens(topic) }
