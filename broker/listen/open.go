package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"syscall"
)

// Open opens addr ("host:port"; port 0 = any that is free) for TCP without accepting
// yet. An error says what to do about it. The context bounds only the opening.
func Open(ctx context.Context, addr string) (net.Listener, error) {
	lc := net.ListenConfig{KeepAliveConfig: tcpKeepAlive()}
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return nil, explain(err, addr)
	}
	return l, nil
}

// explain says why an address cannot be opened and what to do about it.
func explain(err error, addr string) error {
	_, port, _ := net.SplitHostPort(addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is in use by another program: stop that one (`ss -ltnp 'sport = :%s'` names it), or choose another address under listen: %w", addr, port, err)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("%s needs privileges that this user lacks: choose a port above 1023 under listen: %w", addr, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("%s is no address of this machine: choose another under listen: %w", addr, err)
	default:
		return fmt.Errorf("cannot listen on %s: %w", addr, err)
	}
}
