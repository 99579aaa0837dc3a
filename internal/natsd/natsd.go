// Package natsd gives the program its NATS server: one that runs in this process, with
// its files in a folder and no listener, or a connection to one that somebody else
// runs. It knows no message; what is kept there is the journal's business.
package natsd

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"
)

// What can be wrong with a store.
var (
	// ErrFull says that the disk has no room.
	ErrFull = errors.New("the disk is full")
	// ErrInUse says that another server uses the folder.
	ErrInUse = errors.New("is in use by another topicwire server")
	// ErrLost says that the NATS server cannot be reached, or cannot write.
	ErrLost = errors.New("the connection to the store is lost")
)

// Server is a NATS server within reach. Make one with Open.
type Server struct {
	log      zerolog.Logger
	config   Config
	conn     *nats.Conn
	embedded *embedded // nil if the server is external

	mu    sync.Mutex
	life  context.Context //nolint:containedctx // of the connection, for those who wait for an answer on it
	end   context.CancelCauseFunc
	ended bool
}

// Open starts the built-in server in c.Dir, or connects to the external one. c must not
// be in memory.
func Open(ctx context.Context, c Config, log zerolog.Logger) (*Server, error) {
	s := &Server{log: log.With().Str("part", "store").Logger(), config: c}
	s.begin()
	if c.NATS.URL != "" {
		return s, s.connect(ctx)
	}
	return s, s.embed(ctx)
}

// Link is the connection to the server, and a context that ends when the connection
// is lost or the server cannot write any more: answers that are still outstanding then
// do not come.
func (s *Server) Link() (*nats.Conn, context.Context) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.conn, s.life
}

// Stream is the name of the stream to use, and Replicas on how many servers it is to be
// kept.
func (s *Server) Stream() (name string, replicas int) {
	return s.config.stream(), max(1, s.config.NATS.Replicas)
}

// Place names the store in messages for people.
func (s *Server) Place() string {
	if s.embedded != nil {
		return s.config.Dir
	}
	return s.conn.ConnectedUrlRedacted()
}

// Room is why n more bytes should not be written, or nil. A part of the disk is kept
// back: without it nothing could be thrown away on a full disk, because that takes
// writing too. last asks for a piece of that part.
func (s *Server) Room(n int, last bool) error {
	if s.embedded == nil {
		return nil
	}
	return s.embedded.room(n, last)
}

// Sync returns when everything that the built-in server has acknowledged is on its
// disk, whatever the durability. An external server decides itself when that is.
func (s *Server) Sync() error {
	if s.embedded == nil {
		return nil
	}
	return s.embedded.sync()
}

// Away is why an external server cannot be reached now, or nil. A built-in one is never
// away: the next write starts it anew, if need be.
func (s *Server) Away() error {
	if s.embedded != nil {
		return nil
	}
	_, life := s.Link()
	return context.Cause(life)
}

// Mend is called after a write has failed, before it is tried again. It may take
// seconds: a built-in server that cannot write any more is started anew. An external one
// is left to its operator; the connection comes back by itself.
func (s *Server) Mend(ctx context.Context) {
	if s.embedded == nil {
		return
	}
	s.mu.Lock()
	broken := s.life.Err() != nil && !s.ended
	s.mu.Unlock()
	if !broken || s.embedded.room(0, true) != nil {
		return
	}
	if err := s.embedded.restart(ctx); err != nil {
		s.log.Error().Err(err).Msg("the store could not be started again")
		return
	}
	s.begin()
}

// Close ends the connection and the built-in server.
func (s *Server) Close() {
	s.mu.Lock()
	s.ended = true
	s.mu.Unlock()
	s.lost(ErrLost)
	if s.conn != nil {
		s.conn.Close()
	}
	if s.embedded != nil {
		s.embedded.close()
	}
}

// begin starts a life of the connection.
func (s *Server) begin() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == nil || s.life.Err() != nil && !s.ended {
		s.life, s.end = context.WithCancelCause(context.Background())
	}
}

// lost ends it.
func (s *Server) lost(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(err)
}

// options are those of both kinds of connection.
func (s *Server) options() []nats.Option {
	return []nats.Option{
		nats.Name("topicwire"),
		nats.MaxReconnects(-1),
		nats.ReconnectBufSize(-1), // what cannot be sent fails, and is not sent later
		nats.NoEcho(),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			s.log.Warn().Err(err).Msg("the store's connection has a problem")
		}),
	}
}

func split(urls string) []string {
	out := strings.Split(urls, ",")
	for i := range out {
		out[i] = strings.TrimSpace(out[i])
	}
	return out
}

// remedy adds to an error what to do about it.
func remedy(err error, text string) error { return fmt.Errorf("%w: %s", err, text) }
