package app

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/internal/obs"
	"github.com/topicwire/topicwire/message"
)

// Check loads a configuration as [Run] would and compiles its rules, and starts
// nothing.
func Check(path string) (*config.Config, error) {
	cfg, err := config.Load(path)
	if err != nil {
		return nil, err
	}
	f, err := newFunctions(cfg, zerolog.Nop(), prometheus.NewRegistry(), nil)
	if err != nil {
		return nil, err
	}
	defer f.close()
	if _, err := bridge.Compile(cfg.Rules, f.current()); err != nil {
		return nil, cfg.Explain(err)
	}
	if _, err := newCertificates(cfg, zerolog.Nop()); err != nil {
		return nil, err
	}
	if _, err := newAuth(cfg, auth.Options{}); err != nil {
		return nil, err
	}
	if err := grip.CheckKeys(cfg.Grip); err != nil {
		return nil, gripProblem(cfg, err)
	}
	return cfg, nil
}

// InvokeOptions say what to invoke and how.
type InvokeOptions struct {
	// Config is the path of the configuration file, Function the name or ARN of the
	// function, Payload the event.
	Config, Function string
	Payload          []byte
	// Log takes what the function prints, from LogLevel up.
	Log      io.Writer
	LogLevel string
}

// Invoke invokes one function of a configuration and returns its answer. A failure of
// the function's own is a *function.Error.
func Invoke(ctx context.Context, o InvokeOptions) ([]byte, error) {
	cfg, err := config.Load(o.Config)
	if err != nil {
		return nil, err
	}
	log := obs.NewLogger(obs.Config{Level: o.LogLevel, Format: cfg.Log.Format}, o.Log)
	f, err := newFunctions(cfg, log, prometheus.NewRegistry(), nil)
	if err != nil {
		return nil, err
	}
	defer f.close()
	fn, err := f.current().Lookup(o.Function)
	if err != nil {
		return nil, err
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- f.Run(running) }()
	out, err := fn.Invoke(function.WithCall(ctx, function.Call{RequestID: message.NewID()}), o.Payload)
	stop()
	return out, errors.Join(err, <-ended)
}

// gripProblem gives an error about the keys of the section grip its place.
func gripProblem(cfg *config.Config, err error) error {
	path := "grip"
	if _, ok := errors.AsType[*fs.PathError](err); ok {
		path = "grip.sign_key"
	}
	return cfg.At(path, errors.New(strings.TrimPrefix(err.Error(), path+": ")), "") //nolint:err113 // another's words
}
