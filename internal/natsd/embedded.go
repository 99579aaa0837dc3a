package natsd

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

const (
	startTimeout = 30 * time.Second
	syncInterval = 100 * time.Millisecond
	// maxPayload is the largest message that NATS recommends.
	maxPayload = 8 << 20
	// unlimited is what JetStream may take: the disk sets the limit, see room.
	unlimited = 1 << 50
	// reserve is what is kept back of the disk, or a tenth of it if that is less; and a
	// quarter of that is never touched.
	reserve = 64 << 20
)

// embedded is the server in this process.
type embedded struct {
	s     *Server
	dir   string
	lock  *os.File
	clean bool // the folder is as a server left it that ended in good order

	syncing sync.Mutex
	kept    map[string]condition // of the files that are on the disk

	mu     sync.Mutex
	server *server.Server
}

// embed starts the server in the folder, and connects to it.
func (s *Server) embed(ctx context.Context) error {
	e := &embedded{s: s, dir: s.config.Dir}
	if err := e.claim(); err != nil {
		return err
	}
	if err := e.start(ctx); err != nil {
		e.close()
		return err
	}
	conn, err := nats.Connect("", append(s.options(), nats.InProcessServer(e), nats.ReconnectWait(20*time.Millisecond),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { s.lost(ErrLost) }))...)
	if err != nil {
		e.close()
		return fmt.Errorf("store.dir: %w", err)
	}
	s.mu.Lock()
	s.conn, s.embedded = conn, e
	s.mu.Unlock()
	return nil
}

// claim makes the folder ours: nobody else may use it at the same time.
func (e *embedded) claim() error {
	const own = "let the user that runs topicwire own it, or set store.dir to another folder"
	if err := os.MkdirAll(e.dir, 0o700); err != nil {
		return remedy(fmt.Errorf("store.dir: %w", err), own)
	}
	f, err := os.OpenFile(filepath.Join(e.dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return remedy(fmt.Errorf("store.dir: %w", err), own)
	}
	if err := lock(f); err != nil {
		_ = f.Close()
		return remedy(fmt.Errorf("store.dir: %s %w", e.dir, ErrInUse), "stop that one, or set store.dir to another folder")
	}
	e.lock = f
	if e.clean, err = wasClosed(f); err != nil {
		return remedy(fmt.Errorf("store.dir: %w", err), own)
	}
	return nil
}

// start starts the server and waits until its streams are there.
func (e *embedded) start(ctx context.Context) error {
	opts := &server.Options{
		ServerName: "topicwire", DontListen: true, NoSigs: true, NoSystemAccount: true,
		JetStream: true, StoreDir: e.dir, JetStreamMaxStore: unlimited, JetStreamMaxMemory: 64 << 20,
		MaxPayload: maxPayload, DisableJetStreamBanner: true,
	}
	switch e.s.config.Durability {
	case Fsync:
		opts.SyncAlways = true
	case Fast:
	default:
		opts.SyncInterval = syncInterval
	}
	if !e.clean {
		if err := e.forgetIndexes(); err != nil {
			return fmt.Errorf("store.dir: %w", err)
		}
	}
	e.clean = false
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("store.dir: %w", err)
	}
	log := &logAdapter{e: e}
	srv.SetLoggerV2(log, false, false, false)
	srv.Start()
	wait := startTimeout
	if until, ok := ctx.Deadline(); ok {
		wait = min(wait, time.Until(until))
	}
	if log.over.Load() || !srv.ReadyForConnections(wait) || !srv.JetStreamEnabled() {
		srv.Shutdown()
		srv.WaitForShutdown()
		err := errors.New("it did not start in time")
		if problem := log.last.Load(); problem != nil {
			err = errors.New(*problem)
		}
		return remedy(fmt.Errorf("store.dir: what is kept in %s could not be opened: %w", e.dir, err),
			"restore the folder from a backup, or move it away to start with nothing")
	}
	e.mu.Lock()
	e.server = srv
	e.mu.Unlock()
	return nil
}

// InProcessConn is how the connection reaches the server that runs now.
func (e *embedded) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.server == nil {
		return nil, ErrLost
	}
	return e.server.InProcessConn()
}

// restart starts a server anew that has given up writing.
func (e *embedded) restart(ctx context.Context) error {
	e.stop()
	if err := e.start(ctx); err != nil {
		return err
	}
	// The connection notices the new server by itself, within its reconnect wait.
	for tick := time.NewTicker(5 * time.Millisecond); ; {
		if e.s.conn.IsConnected() {
			tick.Stop()
			return nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			tick.Stop()
			return ctx.Err()
		}
	}
}

// stop ends the server and reports whether one ran.
func (e *embedded) stop() bool {
	e.mu.Lock()
	srv := e.server
	e.server = nil
	e.mu.Unlock()
	if srv == nil {
		return false
	}
	srv.Shutdown()
	srv.WaitForShutdown()
	return true
}

func (e *embedded) close() {
	if e.stop() && e.sync() == nil {
		noteClosed(e.lock)
	}
	if e.lock != nil {
		_ = e.lock.Close() // and with it the lock
	}
}

// room is why n more bytes should not be written.
func (e *embedded) room(n int, last bool) error {
	free, size, err := space(e.dir)
	if err != nil {
		return nil //nolint:nilerr // nobody can tell: the write will show
	}
	back := min(reserve, size/10)
	if last {
		back /= 4
	}
	if free < uint64(n)+back {
		return fmt.Errorf("%w: %d MB are free in %s", ErrFull, free>>20, e.dir)
	}
	return nil
}
