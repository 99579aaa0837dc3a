package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"time"
)

// privateServer serves a handler on a free port of 127.0.0.1, for this server's own
// functions.
type privateServer struct {
	server   *http.Server
	listener net.Listener
}

func newPrivateServer(ctx context.Context, h http.Handler) (*privateServer, error) {
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("the functions' own listener: %w", err)
	}
	return &privateServer{listener: l, server: &http.Server{Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: 2 * time.Minute}}, nil
}

// Run serves until ctx ends, then lets requests under way finish within a limit.
func (p *privateServer) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- p.server.Serve(p.listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	if err := p.server.Shutdown(limit); err != nil {
		_ = p.server.Close()
	}
	if err := <-served; !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
