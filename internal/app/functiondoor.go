package app

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// functionDoor is a TLS listener on loopback for functions that run here. Handlers written
// for AWS build https://{domainName}/{stage} from their event, so there has to be an address at
// which https works and whose certificate their process trusts.
type functionDoor struct {
	log     zerolog.Logger
	handler http.Handler

	mu      sync.Mutex
	routes  map[string]routeOf
	address string // empty until it is open
	trust   *trust
	server  *http.Server
	ended   chan struct{} // closed when the server has
}

func newFunctionDoor(log zerolog.Logger) *functionDoor { return &functionDoor{log: log} }

// open binds an address and serves. Call it with the lock held.
func (d *functionDoor) open() error {
	t, err := newTrust(time.Now())
	if err != nil {
		return err
	}
	l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.remove()
		return err
	}
	d.trust, d.address, d.ended = t, l.Addr().String(), make(chan struct{})
	d.server = &http.Server{
		Handler:           d.handler,
		ReadHeaderTimeout: headerTimeout,
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{t.certificate}, MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}},
	}
	d.log.Debug().Str("address", d.address).Msg("functions reach @connections here")
	go func() {
		defer close(d.ended)
		if err := d.server.ServeTLS(l, "", ""); !errors.Is(err, http.ErrServerClosed) {
			d.log.Error().Err(err).Msg("functions cannot reach @connections any more")
		}
	}()
	return nil
}

// close ends what open has begun; requests under way have until ctx ends.
func (d *functionDoor) close(ctx context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.server == nil {
		return
	}
	if d.server.Shutdown(ctx) != nil {
		_ = d.server.Close()
	}
	<-d.ended
	d.trust.remove()
	d.server, d.address = nil, ""
}
