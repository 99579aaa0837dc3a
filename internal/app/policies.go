package app

import (
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
func authorityOptions(*config.Config) auth.AuthorityOptions { return auth.AuthorityOptions{Open: true} }

// reloadPolicies puts the policies of a new configuration in force, for clients that are
// connected too.
func (a *app) reloadPolicies(cfg *config.Config) {
	a.authority.Load(cfg.Auth.PolicyConfig, authorityOptions(cfg))
	a.broker.Reauthorize()
}

// caller is who makes an HTTP request, with his policies.
func (a *app) caller(*http.Request) (*auth.Principal, error) { return nil, auth.ErrNotMine }

// listens reports whether a rule takes messages of a topic.
func (a *app) listens(topic string) bool { return a.bridge == nil || a.bridge.Listens(topic) }
