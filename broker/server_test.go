package broker_test

import (
	"context"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/listen"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 10 * time.Second

// server is a broker under test.
type server struct {
	*broker.Broker
	t    testing.TB
	stop func() error
}

// setup is what a test changes of the default broker.
type setup struct {
	limits broker.Limits
	opts   broker.Options
	accept broker.Accept
}

func serve(tb testing.TB, s setup) *server {
	tb.Helper()
	cfg := broker.Config{Listen: listen.Config{MQTT: listen.Addresses{"127.0.0.1:0"}}, Limits: s.limits}
	if cfg.Limits.ShutdownTimeout == 0 {
		cfg.Limits.ShutdownTimeout = 2 * time.Second
	}
	b, err := broker.New(cfg, s.opts)
	if err != nil {
		tb.Fatal(err)
	}
	return serveBroker(tb, b, s.accept)
}

func serveBroker(tb testing.TB, b *broker.Broker, accept broker.Accept) *server {
	tb.Helper()
	ctx, cancel := context.WithCancel(tb.Context())
	done := make(chan error, 1)
	go func() { done <- b.Serve(ctx, accept) }()
	srv := &server{Broker: b, t: tb}
	stopped := false
	srv.stop = func() error {
		if stopped {
			return nil
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			return err
		case <-time.After(patience):
			tb.Error("Serve did not return")
			return nil
		}
	}
	tb.Cleanup(func() { _ = srv.stop() })
	return srv
}
