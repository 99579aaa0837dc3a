package bench

import (
	"context"
	"fmt"
	"time"
)

// Run measures one scenario. It returns when the load is over, at the latest when ctx
// ends; then the error is the context's. A connection that breaks ends the run with an
// error that names it: what was measured until then is not returned.
func Run(ctx context.Context, c Config) (*Result, error) {
	if err := c.defaults(); err != nil {
		return nil, err
	}
	var run func(context.Context, *Config, *Result) error
	switch c.Scenario {
	case Connections:
		run = runConnections
	case Request:
		run = runRequest
	case Retained:
		run = runRetained
	case Offline:
		run = runOffline
	default:
		run = runFlow
	}
	r := newResult(&c)
	if err := run(ctx, &c, r); err != nil {
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, fmt.Errorf("%s: %w", c.Scenario, err)
	}
	return r, ctx.Err()
}

// runFlow is every scenario that is only messages from publishers to subscribers.
func runFlow(ctx context.Context, c *Config, r *Result) error {
	f := &flow{cfg: c, base: newBase(), clock: newClock()}
	defer f.cut()
	if c.Scenario == Subs {
		release, err := addFilters(ctx, c, f.base, r)
		defer release()
		if err != nil {
			return err
		}
	}
	if err := f.open(ctx); err != nil {
		return err
	}
	stop := watch(c, func() (sent, received uint64) {
		for _, p := range f.publishers {
			sent += p.sent.Load()
			received += p.delivered.Load()
		}
		return sent, received
	})
	defer stop()
	m, err := startMeter(c)
	if err != nil {
		return err
	}
	f.clock.start = time.Now()
	if err := f.load(ctx); err != nil {
		return err
	}
	f.result(r)
	if err := m.stop(r); err != nil {
		return err
	}
	if r.Broker != nil && c.Scenario == Subs {
		r.Broker.BytesPerUnit = float64(r.SetupRSS) / float64(c.Count)
	}
	return nil
}

// watch reports progress twice a second until the function it returns is called.
func watch(c *Config, count func() (sent, received uint64)) (stop func()) {
	if c.Progress == nil {
		return func() {}
	}
	quit, gone := make(chan struct{}), make(chan struct{})
	start := time.Now()
	go func() {
		defer close(gone)
		tick := time.NewTicker(500 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-quit:
				return
			case <-tick.C:
				sent, received := count()
				c.Progress(Progress{Elapsed: time.Since(start), Sent: sent, Received: received})
			}
		}
	}()
	return func() {
		close(quit)
		<-gone
	}
}
