package mqttclient

import (
	"errors"
	"io"
	"sync"
)

// writeLimit is how many bytes may wait to be written before who appends has to wait.
const writeLimit = 64 << 10

// writer collects packets and writes what has come together in one system call. run
// must be running for anything to be written.
type writer struct {
	w    io.Writer
	wake chan struct{} // capacity 1: there is something to write, or stop was called

	mu      sync.Mutex
	buf     []byte
	room    chan struct{} // closed and replaced when buf has been taken
	stopped bool
	queued  uint64 // packets appended
	written uint64 // packets that the connection has taken
	busy    bool   // a write is under way
}

func newWriter(w io.Writer) *writer {
	return &writer{w: w, wake: make(chan struct{}, 1), room: make(chan struct{})}
}

// errCanceled says that whoever waited for the writer gave up.
var errCanceled = errors.New("gave up waiting for the connection to take more")

// append queues p. It waits while too much is queued, until cancel is closed.
func (w *writer) append(cancel <-chan struct{}, p Packet, v Version) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.wait(cancel, func() bool { return len(w.buf) < writeLimit }); err != nil {
		return err
	}
	if w.stopped {
		return ErrClosed
	}
	b, err := p.Append(w.buf, v)
	if err != nil {
		return err
	}
	w.buf = b
	w.queued++
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return nil
}

// flush waits until everything appended so far has been written. It does not fail if the
// connection ends just after that.
func (w *writer) flush(cancel <-chan struct{}) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	all := w.queued
	return w.wait(cancel, func() bool { return w.written >= all })
}

// wait holds w.mu on entry and on return, and until then waits for ok.
func (w *writer) wait(cancel <-chan struct{}, ok func() bool) error {
	for !ok() {
		if w.stopped && !w.busy {
			return ErrClosed
		}
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
			w.mu.Lock()
		case <-cancel:
			w.mu.Lock()
			return errCanceled
		}
	}
	return nil
}

// run writes until stop or an error of the connection, which it returns.
func (w *writer) run() error {
	var spare []byte
	for range w.wake {
		w.mu.Lock()
		if w.stopped {
			w.mu.Unlock()
			return nil
		}
		out, packets := w.buf, w.queued
		w.buf, w.busy = spare[:0], true
		w.signal()
		w.mu.Unlock()
		_, err := w.w.Write(out)
		if spare = out; cap(spare) > 1<<20 { // one large message must not keep its memory
			spare = nil
		}
		w.mu.Lock()
		w.busy = false
		if err == nil {
			w.written = packets
		}
		w.signal()
		w.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

// signal wakes everybody who waits; w.mu is held.
func (w *writer) signal() {
	close(w.room)
	w.room = make(chan struct{})
}

// stop ends run and fails everybody who waits.
func (w *writer) stop() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return
	}
	w.stopped = true
	w.signal()
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
