package listen

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
)

// runner runs the connections of one listener and waits for them.
type runner struct {
	opts    Options
	stats   *listenerStats
	flusher *Flusher // to wait for; nil if it belongs to somebody else

	warned atomic.Int64 // when a refusal was last logged as a warning, Unix seconds

	mu      sync.Mutex
	conns   map[*Conn]struct{}
	closing bool
	wg      sync.WaitGroup
}

func newRunner(opts Options) *runner {
	r := &runner{conns: map[*Conn]struct{}{}}
	if opts.Flusher == nil {
		opts.Flusher = NewFlusher()
		r.flusher = opts.Flusher
	}
	r.opts = opts.withDefaults()
	r.stats = opts.Metrics.forListener(r.opts.Name)
	return r
}

// start runs h for c on a goroutine of its own, after prepare has succeeded there,
// and calls release when all is over. It reports false, and does nothing, when the
// listener is shutting down.
func (r *runner) start(c *Conn, h Handler, prepare func() error, release func()) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return false
	}
	r.conns[c] = struct{}{}
	r.wg.Go(func() {
		defer release()
		defer r.forget(c)
		r.run(c, h, prepare)
	})
	return true
}

func (r *runner) run(c *Conn, h Handler, prepare func() error) {
	defer c.finish()
	if prepare != nil {
		if err := prepare(); err != nil {
			r.stats.refused("tls_handshake")
			r.opts.Log.Debug().Err(err).Str("listener", r.opts.Name).Stringer("remote", c.info.Remote).Msg("TLS handshake failed")
			c.Abort()
			return
		}
	}
	r.stats.open.Inc() // first: whoever sees it among the accepted sees it open
	defer r.stats.open.Dec()
	r.stats.accept()
	// One client's packet must not end everybody's broker: mochi 2.7.9 panics on a
	// truncated SUBSCRIBE.
	defer func() {
		if p := recover(); p != nil {
			r.stats.panicked.Inc()
			c.SetCloseCode(1011, "internal error")
			r.opts.Log.Error().Str("listener", r.opts.Name).Stringer("remote", c.info.Remote).
				Str("panic", fmt.Sprint(p)).Bytes("stack", debug.Stack()).Msg("a connection ended by a panic")
		}
	}()
	h(c)
}

func (r *runner) forget(c *Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.conns, c)
}

// connections is the number of connections open now.
func (r *runner) connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.conns)
}

// stop takes no more connections and calls each for every one that is open.
func (r *runner) stop(each func(*Conn)) {
	r.mu.Lock()
	r.closing = true
	open := make([]*Conn, 0, len(r.conns))
	for c := range r.conns {
		open = append(open, c)
	}
	r.mu.Unlock()
	for _, c := range open {
		each(c)
	}
}

// wait returns when every connection has ended; when ctx ends first, it cuts those
// that are left and says so.
func (r *runner) wait(ctx context.Context) error {
	done := make(chan struct{})
	go func() {
		r.wg.Wait()
		close(done)
	}()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		select {
		case <-done:
		default:
			err = fmt.Errorf("listen: %s: %d connections did not end in time and were cut: %w", r.opts.Name, r.connections(), ctx.Err())
			r.stop((*Conn).Abort)
			<-done
		}
	}
	if r.flusher != nil {
		r.flusher.Wait()
	}
	return err
}

// refused counts and logs a connection that a limit turns away: the first in ten
// seconds as a warning, since somebody may be looking for the cause.
func (r *runner) refused(err error, remote netip.AddrPort) {
	r.stats.refused(refusedReason(err))
	level := zerolog.DebugLevel
	if now, last := time.Now().Unix(), r.warned.Load(); now >= last+10 && r.warned.CompareAndSwap(last, now) {
		level = zerolog.WarnLevel
	}
	r.opts.Log.WithLevel(level).Err(err).Str("listener", r.opts.Name).Stringer("remote", remote).Msg("connection refused")
}

// refusedReason is the metric's word for an error of the Limiter.
func refusedReason(err error) string {
	switch {
	case errors.Is(err, ErrTooMany):
		return "max_connections"
	case errors.Is(err, ErrTooManyFromAddress):
		return "connections_per_address"
	case errors.Is(err, ErrTooFast):
		return "connect_rate"
	default:
		return "other"
	}
}
