package listen

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Flusher writes out what connections have queued. Connections with something to
// write stand in one line, and whoever has time works it off. That is a reader that
// is about to wait for its own socket: so an answer leaves without a change of
// goroutine, and everything that one read's packets caused leaves in one write per
// connection. While no reader is at work, or when those that are take long, it is a
// worker, started when it is needed and gone when the line is empty. Neither waits
// for a socket: a connection whose socket is full gets a goroutine of its own until
// it has caught up.
type Flusher struct {
	buffers buffers
	max     int

	waiting atomic.Int32 // connections in line; read without the lock
	reading atomic.Int32 // readers at work: each looks after the line when it is done

	mu      sync.Mutex
	line    []*Conn // in line from head on
	head    int
	workers int
	overdue *time.Timer // starts a worker when the readers take long; made when first needed
	armed   bool
	wg      sync.WaitGroup
}

// patience is how long the line waits for a reader before a worker is started. A
// worker beside busy readers costs a third of the throughput on two cores.
const patience = 200 * time.Microsecond

// NewFlusher makes a Flusher. It costs nothing while nothing is queued.
func NewFlusher() *Flusher { return &Flusher{max: runtime.GOMAXPROCS(0)} }

// Wait returns when no worker is left. Call it after the connections have ended.
func (f *Flusher) Wait() { f.wg.Wait() }

// add puts a connection in line. Its writeState says that it is in line, so it
// stands there once.
func (f *Flusher) add(c *Conn) {
	f.mu.Lock()
	if f.head > 0 && len(f.line) == cap(f.line) {
		n := copy(f.line, f.line[f.head:])
		clear(f.line[n:])
		f.line, f.head = f.line[:n], 0
	}
	f.line = append(f.line, c)
	f.waiting.Store(int32(len(f.line) - f.head))
	// Looked at after waiting was stored; a reader stores first and looks then. So
	// either it sees the line or this sees that it has gone.
	start := false
	if f.reading.Load() == 0 {
		start = f.hire()
	} else if !f.armed {
		f.armed = true
		if f.overdue == nil {
			f.overdue = time.AfterFunc(patience, f.hurry)
		} else {
			f.overdue.Reset(patience)
		}
	}
	f.mu.Unlock()
	if start {
		go f.work()
	}
}

// hire counts a new worker if the line is long enough for one more. Call it with
// the lock held; who gets true starts work.
func (f *Flusher) hire() bool {
	if f.workers >= f.max || len(f.line)-f.head <= f.workers*takeAtOnce {
		return false
	}
	f.workers++
	f.wg.Add(1)
	return true
}

// hurry starts a worker when the line has waited for the readers long enough.
func (f *Flusher) hurry() {
	f.mu.Lock()
	f.armed = false
	start := f.hire()
	f.mu.Unlock()
	if start {
		f.work()
	}
}

// begin notes that a reader is at work: end will follow soon.
func (f *Flusher) begin() { f.reading.Add(1) }

// end notes that it is done, and works the line off on its goroutine.
func (f *Flusher) end() {
	f.reading.Add(-1)
	if f.waiting.Load() == 0 {
		return
	}
	runtime.Gosched()
	if f.waiting.Load() == 0 || !f.flushSome() {
		return
	}
	f.mu.Lock()
	start := f.hire()
	f.mu.Unlock()
	if start {
		go f.work()
	}
}

// takeAtOnce is how many connections one goroutine takes from the line at a time.
const takeAtOnce = 8

// take moves the first connections in line to into and returns how many. With
// none, a worker is struck off in the same breath, so that no connection can join
// the line between its last look and its end.
func (f *Flusher) take(into *[takeAtOnce]*Conn, worker bool) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := copy(into[:], f.line[f.head:])
	clear(f.line[f.head : f.head+n])
	f.head += n
	if f.head == len(f.line) {
		f.line, f.head = f.line[:0], 0
	}
	f.waiting.Store(int32(len(f.line) - f.head))
	if n == 0 && worker {
		f.workers--
	}
	return n
}

// helpings is how often a reader takes from the line before it goes back to its own
// socket and leaves the rest to a worker: others may be adding to it all the time.
const helpings = 64

// flushSome works the line off within a reader's share and reports whether it left
// something.
func (f *Flusher) flushSome() bool {
	var batch [takeAtOnce]*Conn
	for range helpings {
		n := f.take(&batch, false)
		if n == 0 {
			return false
		}
		flushEach(batch[:n])
	}
	return true
}

// work works the line off until it is empty.
func (f *Flusher) work() {
	defer f.wg.Done()
	// Whoever is about to run may write to the same connections: then it leaves together.
	runtime.Gosched()
	var batch [takeAtOnce]*Conn
	for {
		n := f.take(&batch, true)
		if n == 0 {
			return
		}
		flushEach(batch[:n])
	}
}

func flushEach(conns []*Conn) {
	for i, c := range conns {
		c.flush()
		conns[i] = nil
	}
}
