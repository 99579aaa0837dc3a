package listen

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/message"
)

// Handed runs MQTT connections whose TLS handshake somebody else has made: those that
// come to an HTTPS listener and have chosen MQTT there (ALPN). They end by Shutdown.
type Handed struct {
	*runner
	handler Handler
}

// NewHanded makes the door.
func NewHanded(h Handler, opts Options) *Handed {
	return &Handed{runner: newRunner(opts), handler: h}
}

// Take runs the connection on a goroutine of its own.
func (d *Handed) Take(c *tls.Conn) {
	state := c.ConnectionState()
	info := Info{Listener: d.opts.Name, Via: message.ViaMQTT, Remote: addrPort(c.RemoteAddr()), Local: addrPort(c.LocalAddr()), TLS: &state}
	if err := d.opts.Limiter.Acquire(info.Remote.Addr()); err != nil {
		d.stats.refused(refusedReason(err))
		d.opts.Log.Debug().Err(err).Str("listener", d.opts.Name).Stringer("remote", info.Remote).Msg("connection refused")
		_ = c.Close()
		return
	}
	conn := newConn(c, info, &d.opts, d.stats)
	release := func() { d.opts.Limiter.Release(info.Remote.Addr()) }
	if !d.start(conn, d.handler, nil, release) {
		_ = c.Close()
		conn.clock.timer.Stop()
		release()
	}
}

// Shutdown takes no more connections and waits until those that are open have ended;
// whoever owns the clients says goodbye to them meanwhile. When ctx ends before, it cuts
// the rest.
func (d *Handed) Shutdown(ctx context.Context) error {
	d.stop(func(*Conn) {})
	return d.wait(ctx)
}

// Shared is a TLS listener for an HTTP server, on whose port MQTT is spoken too: the
// client says in the handshake what it wants (ALPN). Accept gives connections for HTTP;
// those for MQTT go to Take.
type Shared struct {
	net.Listener // the TCP one
	config       *tls.Config
	take         func(*tls.Conn)
	timeout      time.Duration
	log          zerolog.Logger

	once    sync.Once
	web     chan net.Conn
	failed  chan error
	end     context.CancelFunc
	life    context.Context
	running sync.WaitGroup
}

// NewShared shares l, which the caller has opened: see [Open]. It owns l from now on.
func NewShared(l net.Listener, config *tls.Config, take func(*tls.Conn), log zerolog.Logger) *Shared {
	s := &Shared{
		Listener: l, config: config, take: take, timeout: DefaultConnectTimeout, log: log,
		web: make(chan net.Conn), failed: make(chan error, 1),
	}
	s.life, s.end = context.WithCancel(context.Background()) // of Close
	return s
}

// Accept waits for the next connection that speaks HTTP, its handshake made.
func (s *Shared) Accept() (net.Conn, error) {
	s.once.Do(func() { s.running.Go(s.accept) })
	select {
	case c := <-s.web:
		return c, nil
	case err := <-s.failed:
		s.failed <- err // for whoever asks again
		return nil, err
	}
}

// Close gives up the port and every handshake under way, and waits for them.
func (s *Shared) Close() error {
	err := s.Listener.Close()
	s.end()
	s.running.Wait()
	return err
}

func (s *Shared) accept() {
	var pause time.Duration
	for {
		c, err := s.Listener.Accept()
		switch {
		case err == nil:
			pause = 0
			s.running.Go(func() { s.sort(c) })
			continue
		case errors.Is(err, net.ErrClosed):
			s.failed <- err
			return
		}
		pause = min(max(2*pause, 5*time.Millisecond), time.Second)
		s.log.Error().Err(err).Str("listener", "https").Dur("retry_in", pause).Msg("cannot accept connections")
		select {
		case <-s.life.Done():
		case <-time.After(pause):
		}
	}
}

// sort makes the handshake and sends the connection where it belongs.
func (s *Shared) sort(c net.Conn) {
	limit, cancel := context.WithTimeout(s.life, s.timeout)
	defer cancel()
	t := tls.Server(c, s.config)
	if err := t.HandshakeContext(limit); err != nil {
		if plain, ok := errors.AsType[tls.RecordHeaderError](err); ok && plain.Conn != nil && speaksHTTP(plain.RecordHeader) {
			_, _ = io.WriteString(plain.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nThis is HTTPS: write https:// or wss://.\n")
		}
		s.log.Debug().Err(err).Str("listener", "https").Stringer("remote", c.RemoteAddr()).Msg("TLS handshake failed")
		_ = c.Close()
		return
	}
	switch t.ConnectionState().NegotiatedProtocol {
	case alpnMQTTCertificate, alpnMQTT:
		s.take(t)
		return
	}
	select {
	case s.web <- webConn{t}:
	case <-s.life.Done():
		_ = t.Close()
	}
}

// speaksHTTP reports the first bytes of an HTTP request.
func speaksHTTP(b [5]byte) bool {
	switch string(b[:]) {
	case "GET /", "HEAD ", "POST ", "PUT /", "OPTIO":
		return true
	}
	return false
}

// webConn is a TLS connection that net/http takes as it is. Of a *tls.Conn it would ask
// which protocol was chosen, and close it if that is x-amzn-http-ca, which it does not
// know; Request.TLS it fills in all the same.
type webConn struct{ *tls.Conn }
