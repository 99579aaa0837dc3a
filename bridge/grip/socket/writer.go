package socket

import (
	"errors"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Writer writes what connections have queued. Those with something to write stand in
// one line, and a few workers, started when they are needed and gone when the line is
// empty, work it off: everything that has gathered for a connection leaves in one
// write. A worker waits for no socket: a connection whose socket is full gets a
// goroutine of its own until it has caught up.
type Writer struct {
	frames sync.Pool  // *[]Frame
	bufs   sync.Pool  // *[]byte
	inputs *sync.Pool // *[]byte, to read to
	max    int

	deflaters, inflaters *sync.Pool

	mu      sync.Mutex
	line    []*Conn // in line from head on
	head    int
	workers int
	wg      sync.WaitGroup
}

// NewWriter makes a Writer. It costs nothing while nothing is queued.
func NewWriter() *Writer {
	return &Writer{
		max:    max(1, runtime.GOMAXPROCS(0)-1), // see work
		inputs: newBuffers(), deflaters: newDeflaters(), inflaters: newInflaters(),
		frames: sync.Pool{New: func() any { f := make([]Frame, 0, 4); return &f }},
		bufs:   sync.Pool{New: func() any { b := make([]byte, 0, batchSize); return &b }},
	}
}

// Wait returns when nobody writes any more. Call it after the connections have ended.
func (w *Writer) Wait() { w.wg.Wait() }

// add puts a connection in line. Its state says that it is in line, so it stands there
// once.
func (w *Writer) add(c *Conn) {
	w.mu.Lock()
	if w.head > 0 && len(w.line) == cap(w.line) {
		n := copy(w.line, w.line[w.head:])
		clear(w.line[n:])
		w.line, w.head = w.line[:n], 0
	}
	w.line = append(w.line, c)
	start := w.workers < w.max && len(w.line)-w.head > w.workers*takeAtOnce
	if start {
		w.workers++
		w.wg.Add(1)
	}
	w.mu.Unlock()
	if start {
		go w.work()
	}
}

// takeAtOnce is how many connections a worker takes from the line at a time.
const takeAtOnce = 8

// work works the line off until it is empty. A processor is left to whoever publishes: if
// all of them wrote, nobody would take the next message meanwhile, and each would cost a
// write of its own to every connection.
func (w *Writer) work() {
	defer w.wg.Done()
	var batch [takeAtOnce]*Conn
	for {
		w.mu.Lock()
		n := copy(batch[:], w.line[w.head:])
		clear(w.line[w.head : w.head+n])
		w.head += n
		if w.head == len(w.line) {
			w.line, w.head = w.line[:0], 0
		}
		if n == 0 {
			w.workers-- // in the same breath as the last look
			w.mu.Unlock()
			return
		}
		w.mu.Unlock()
		for i := range n {
			batch[i].flush()
			batch[i] = nil
		}
	}
}

// batchSize is how much is gathered for one write; a larger frame goes by itself.
const batchSize = 64 << 10

// batch is what one flush writes.
type batch struct {
	frames *[]Frame
	n      int // frames, of those that count
	bytes  int
	pong   *Frame
}

// take takes everything that is queued. Call it with the lock held.
func (c *Conn) take() (b batch, ok bool) {
	if c.lost || c.queue == nil && c.pong == nil {
		return batch{}, false
	}
	b.frames, b.pong = c.queue, c.pong
	c.queue, c.pong = nil, nil
	if b.frames != nil {
		b.n = len(*b.frames)
		for _, f := range *b.frames {
			b.bytes += len(f.b)
		}
	}
	return b, true
}

// flush writes what is queued, without waiting: what the socket does not take at once
// is left to a goroutine of its own. Only a Writer calls it.
func (c *Conn) flush() {
	c.mu.Lock()
	b, ok := c.take()
	if !ok {
		c.settle()
		c.mu.Unlock()
		return
	}
	c.state = writing
	c.mu.Unlock()
	if c.raw == nil {
		c.later(b, nil, 0)
		return
	}
	lent, _ := c.o.Writer.bufs.Get().(*[]byte)
	buf, next := (*lent)[:0], 0
	if b.pong != nil {
		buf = append(buf, b.pong.b...)
	}
	for {
		var whole []byte
		buf, whole, next = b.gather(buf, next)
		if len(buf) == 0 && whole == nil {
			break
		}
		n, err := c.tryWrite(buf)
		m := 0
		if err == nil && n == len(buf) {
			m, err = c.tryWrite(whole)
		}
		if err != nil || n+m < len(buf)+len(whole) {
			rest := append(append([]byte(nil), buf[n:]...), whole[m:]...)
			c.o.Writer.bufs.Put(lent)
			if err != nil {
				c.wrote(b, err)
				return
			}
			c.later(b, rest, next)
			return
		}
		buf = buf[:0]
	}
	*lent = buf
	c.o.Writer.bufs.Put(lent)
	c.wrote(b, nil)
}

// gather appends frames from next on to buf, up to the size of a batch, and returns a
// larger one by itself.
func (b *batch) gather(buf []byte, next int) (gathered, whole []byte, after int) {
	for next < b.n {
		f := (*b.frames)[next].b
		if len(f) > batchSize/2 {
			return buf, f, next + 1
		}
		if len(buf)+len(f) > batchSize {
			break
		}
		buf = append(buf, f...)
		next++
	}
	return buf, nil, next
}

// tryWrite writes what the socket takes at once.
func (c *Conn) tryWrite(p []byte) (n int, err error) {
	if len(p) == 0 {
		return 0, nil
	}
	rawErr := c.raw.Write(func(fd uintptr) bool {
		for n < len(p) {
			m, e := writeFd(fd, p[n:])
			if e != nil {
				if errors.Is(e, syscall.EINTR) {
					continue
				}
				if !errors.Is(e, syscall.EAGAIN) {
					err = e
				}
				break
			}
			n += m
		}
		return true
	})
	if err == nil {
		err = rawErr
	}
	c.o.Stats.Writes.Add(1)
	return n, err
}

// later writes the rest of a batch on a goroutine that may wait for the socket.
func (c *Conn) later(b batch, rest []byte, next int) {
	c.o.Writer.wg.Go(func() {
		if rest == nil && b.pong != nil {
			rest = b.pong.b
		}
		err := c.waitWrite(rest)
		for next < b.n && err == nil {
			var whole []byte
			rest, whole, next = b.gather(rest[:0:0], next)
			if err = c.waitWrite(rest); err == nil {
				err = c.waitWrite(whole)
			}
		}
		c.wrote(b, err)
	})
}

// chunk is how much one waiting write takes, so that a slow but moving client shows
// progress within the write timeout.
const chunk = 64 << 10

func (c *Conn) waitWrite(p []byte) error {
	for len(p) > 0 {
		_ = c.conn.SetWriteDeadline(time.Now().Add(c.o.WriteTimeout))
		n, err := c.conn.Write(p[:min(chunk, len(p))])
		c.o.Stats.Writes.Add(1)
		if err != nil {
			return err
		}
		p = p[n:]
	}
	_ = c.conn.SetWriteDeadline(time.Time{})
	return nil
}

// wrote ends a batch: the connection goes back in line if more was queued meanwhile.
func (c *Conn) wrote(b batch, err error) {
	c.mu.Lock()
	c.done(b.n, b.bytes)
	if err != nil {
		c.o.Stats.Abandoned.Add(int64(b.n))
		c.cut(err)
	}
	c.state = writeIdle
	again := false
	if c.queue != nil || c.pong != nil {
		again = c.join()
	}
	if !again {
		c.settle()
	}
	c.mu.Unlock()
	if b.frames != nil {
		clear(*b.frames)
		*b.frames = (*b.frames)[:0]
		if cap(*b.frames) <= 1024 {
			c.o.Writer.frames.Put(b.frames)
		}
	}
	if again {
		c.o.Writer.add(c)
	}
}

// settle notes that nothing is left to write. Call it with the lock held.
func (c *Conn) settle() {
	c.state = writeIdle
	if c.settled != nil {
		close(c.settled)
		c.settled = nil
	}
}
