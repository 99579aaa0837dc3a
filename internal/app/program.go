package app

import (
	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/internal/config"
)

// Program loads a configuration as [Check] does and gives its rules, compiled, to look
// at: it has no functions and starts nothing. The rules have the order of the
// configuration's.
func Program(path string) (*config.Config, *bridge.Program, error) {
	cfg, err := Check(path)
	if err != nil {
		return nil, nil, err
	}
	p, err := bridge.Compile(cfg.Rules, nil)
	if err != nil {
		return nil, nil, cfg.Explain(err)
	}
	return cfg, p, nil
}
