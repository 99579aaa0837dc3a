package app

import (
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/internal/config"
)

// Policies loads a configuration and gives its policies, to ask them; it starts nothing.
func Policies(path string) (*config.Config, *auth.Authority, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return nil, nil, err
	}
	return cfg, newAuthority(cfg), nil
}
