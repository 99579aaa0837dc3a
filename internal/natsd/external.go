package natsd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	connectTimeout = 5 * time.Second
	reconnectWait  = 250 * time.Millisecond
	pingInterval   = 5 * time.Second // two unanswered ones end a connection
)

// connect connects to an external server.
func (s *Server) connect(ctx context.Context) error {
	c := s.config.NATS
	opts := append(s.options(),
		nats.Timeout(connectTimeout), nats.ReconnectWait(reconnectWait), nats.PingInterval(pingInterval),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			s.lost(ErrLost)
			s.log.Warn().Err(err).Msg("the connection to the NATS server is lost")
		}),
		nats.ReconnectHandler(func(conn *nats.Conn) {
			s.begin()
			s.log.Info().Str("url", conn.ConnectedUrlRedacted()).Msg("the connection to the NATS server is back")
		}),
	)
	if c.Credentials != "" {
		opts = append(opts, nats.UserCredentials(c.Credentials))
	}
	if c.CA != "" {
		opts = append(opts, nats.RootCAs(c.CA))
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	conn, err := nats.Connect(c.URL, opts...)
	if err != nil {
		return remedy(fmt.Errorf("store.nats.url: the NATS server could not be reached: %w", err), connectRemedy(err))
	}
	s.mu.Lock()
	s.conn = conn
	s.mu.Unlock()
	return nil
}

func connectRemedy(err error) string {
	if errors.Is(err, nats.ErrAuthorization) {
		return "set store.nats.credentials, or write the user and password into the URL"
	}
	return "start it, or correct store.nats"
}
