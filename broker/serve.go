package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Serve runs the broker until ctx ends, then says goodbye to the clients and lets
// what is queued leave, within limits.shutdown_timeout. It may be called once.
// A nil accept delivers without asking anybody.
func (b *Broker) Serve(ctx context.Context, accept Accept) error {
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	if accept != nil {
		b.accept.Store(&accept)
	}
	if err := b.restore(ctx); err != nil {
		b.Close()
		return err
	}
	b.running.Store(&life)
	close(b.serving)

	var own sync.WaitGroup // what lives until the last client has gone
	own.Go(func() { b.schedule.run(life) })
	own.Go(func() { b.sysLoop(life) })
	if b.certs != nil {
		own.Go(func() { _ = b.certs.Run(life) })
	}
	defer b.background.Wait() // after the schedule, which begins it
	defer own.Wait()
	defer end()

	errs := make(chan error, len(b.listeners)+1)
	for _, l := range b.listeners {
		go func() { errs <- l.Serve(ctx, b.serveConn) }()
	}
	go func() { errs <- b.goodbye(ctx) }()
	var all []error
	for range len(b.listeners) + 1 {
		all = append(all, <-errs)
	}
	b.stopped.Store(true)
	b.flusher.Wait()
	return errors.Join(append(all, b.syncStore(life))...)
}

// goodbye waits for ctx and then tells every client that the server shuts down.
// Listeners take no new ones by then.
func (b *Broker) goodbye(ctx context.Context) error {
	<-ctx.Done()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), b.limits.ShutdownTimeout)
	defer cancel()
	b.connections.close(func(c *connection) { c.disconnect(reasonShuttingDown) })
	return errors.Join(b.ws.Shutdown(limit), b.handed.Shutdown(limit))
}

// syncStore waits until what sessions have changed last is durable.
func (b *Broker) syncStore(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, b.limits.ShutdownTimeout)
	defer cancel()
	done := make(chan error, 1)
	b.store.Sync(func(err error) { done <- err })
	select {
	case err := <-done:
		return err
	case <-limit.Done():
		return fmt.Errorf("broker: the store did not finish in time: %w", limit.Err())
	}
}

// connections are those that are open.
type connections struct {
	mu     sync.Mutex
	all    map[*connection]struct{}
	closed func(*connection) // set by close
}

func (s *connections) add(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all[c] = struct{}{}
	if s.closed != nil {
		s.closed(c)
	}
}

func (s *connections) remove(c *connection) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.all, c)
}

// list is those that are open now.
func (s *connections) list() []*connection {
	s.mu.Lock()
	defer s.mu.Unlock()
	open := make([]*connection, 0, len(s.all))
	for c := range s.all {
		open = append(open, c)
	}
	return open
}

// close ends every connection, also those that are still to come.
func (s *connections) close(end func(*connection)) {
	s.mu.Lock()
	s.closed = end
	open := make([]*connection, 0, len(s.all))
	for c := range s.all {
		open = append(open, c)
	}
	s.mu.Unlock()
	for _, c := range open {
		end(c)
	}
}
