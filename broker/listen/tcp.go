package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/topicwire/topicwire/message"
)

// TCP is a listener for MQTT over TCP or TLS.
type TCP struct {
	*runner
	listener net.Listener
}

// tcpKeepAlive finds peers that are gone although MQTT's own keep alive is 0.
func tcpKeepAlive() net.KeepAliveConfig {
	return net.KeepAliveConfig{Enable: true, Idle: time.Minute, Interval: 15 * time.Second, Count: 4}
}

// ListenTCP opens addr ("host:port"; port 0 = any that is free) without accepting
// yet. With Options.TLS it is a TLS listener. The context bounds only the opening.
func ListenTCP(ctx context.Context, addr string, opts Options) (*TCP, error) {
	l, err := Open(ctx, addr)
	if err != nil {
		return nil, fmt.Errorf("%s listener: %w", opts.withDefaults().Name, err)
	}
	return &TCP{runner: newRunner(opts), listener: l}, nil
}

// Addr is the address that was opened.
func (t *TCP) Addr() net.Addr { return t.listener.Addr() }

// Connections is the number of connections open now.
func (t *TCP) Connections() int { return t.connections() }

// Close gives the address up without serving it, or ends Serve's accepting.
func (t *TCP) Close() error { return t.listener.Close() }

// Serve accepts connections and runs h for each on a goroutine of its own. When
// ctx ends it closes the listener and waits for the connections: whoever owns the
// clients says goodbye to them meanwhile. Those that are left after Options.Drain
// are cut. It returns nil when ctx ended and every connection in time.
func (t *TCP) Serve(ctx context.Context, h Handler) error {
	stop := context.AfterFunc(ctx, func() { _ = t.listener.Close() })
	defer stop()
	t.accept(ctx, h)
	_ = t.listener.Close()
	t.stop(func(*Conn) {})
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), t.opts.Drain)
	defer cancel()
	return t.wait(drain)
}

// accept takes connections until the listener is closed.
func (t *TCP) accept(ctx context.Context, h Handler) {
	var pause time.Duration
	for {
		c, err := t.listener.Accept()
		if err == nil {
			pause = 0
			t.admit(ctx, c, h)
			continue
		}
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			return
		}
		// Out of file descriptors or the like: it passes, and trying at once would
		// only burn the processor.
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		t.opts.Log.Error().Err(err).Str("listener", t.opts.Name).Dur("retry_in", pause).Msg("cannot accept connections")
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// admit starts a connection, or closes one that is too many.
func (t *TCP) admit(ctx context.Context, c net.Conn, h Handler) {
	if tc, ok := c.(*net.TCPConn); ok {
		_ = tc.SetNoDelay(true) // Go's default, said aloud: Nagle's 40 ms ruin every acknowledgement
	}
	info := Info{Listener: t.opts.Name, Via: message.ViaMQTT, Remote: addrPort(c.RemoteAddr()), Local: addrPort(c.LocalAddr())}
	if err := t.opts.Limiter.Acquire(info.Remote.Addr()); err != nil {
		t.refused(err, info.Remote)
		_ = c.Close()
		return
	}
	conn := newConn(c, info, &t.opts, t.stats)
	var prepare func() error
	if t.opts.TLS != nil {
		conn.tls = tls.Server(conn.sock, t.opts.TLS)
		conn.in = conn.tls
		prepare = func() error { return conn.handshake(ctx) }
	}
	release := func() { t.opts.Limiter.Release(info.Remote.Addr()) }
	if !t.start(conn, h, prepare, release) {
		_ = c.Close()
		conn.clock.timer.Stop()
		release()
	}
}

// handshake runs the TLS handshake; the clock's limit for CONNECT covers it too.
func (c *Conn) handshake(ctx context.Context) error {
	if err := c.tls.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("listen: TLS handshake: %w", err)
	}
	state := c.tls.ConnectionState()
	c.info.TLS = &state
	return nil
}
