// Package socket is a WebSocket connection that is held for a long time and mostly does
// nothing: reading costs one goroutine and a small buffer, writing never waits and
// costs no goroutine while there is nothing to write. What waits for a client is
// bounded, counted, and shared between the clients that get the same message. It knows
// no function, no topic and no GRIP.
package socket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"github.com/gorilla/websocket"
)

// What ends a connection, or what a call on one can run into.
var (
	// ErrClosed: the connection is closing and takes nothing more.
	ErrClosed = errors.New("socket: the connection is closed")
	// ErrFull: the client reads too slowly. The frame was not taken; by the policy
	// Disconnect the connection is ending.
	ErrFull = errors.New("socket: the client reads too slowly, its queue is full")
	// ErrLost: the client has gone without a close frame.
	ErrLost = errors.New("socket: the client has gone")
)

// CloseError is the client's close frame.
type CloseError struct {
	// Code is 1005 if the frame had none.
	Code   int
	Reason string
}

// Error says code and reason.
func (e *CloseError) Error() string {
	return fmt.Sprintf("socket: the client closed with code %d %q", e.Code, e.Reason)
}

// Message is one message of the client.
type Message struct {
	// Op is Text, Binary, Ping or Pong. Pings have been answered already.
	Op Opcode
	// Data belongs to whoever has read it.
	Data []byte
}

// Conn is one held connection. Read is for one goroutine, which calls Finish in the
// end; everything else may be called by any at any time.
type Conn struct {
	ws   *websocket.Conn
	pipe *pipe
	raw  syscall.RawConn // direct, non-blocking access; nil with TLS
	o    *Options

	control  []Message // pings and pongs that arrived while reading
	wantPing bool
	ping     *time.Timer
	silent   atomic.Bool // pinged, and nothing has arrived since

	mu      sync.Mutex
	queue   *[]Frame // accepted, and not yet being written; nil = none
	waiting int      // frames that are queued or being written
	bytes   int      // their bytes
	state   writeState
	pong    *Frame        // the answer to the last ping; of a flood the last is enough
	closing bool          // nothing more is accepted
	lost    bool          // the socket takes no more
	settled chan struct{} // made by Finish, closed when nothing is left to write
	cause   error         // why this side ended it
}

// writeState says who is responsible for what is queued.
type writeState byte

const (
	writeIdle writeState = iota // nothing is queued
	writeLine                   // it stands in the writer's line
	writing                     // somebody is writing; what is added meanwhile follows
)

// CollectControl makes Read return the client's pings and pongs as messages too.
func (c *Conn) CollectControl() { c.wantPing = true }

// Read waits for the next message. Its error is a *CloseError after a close frame,
// else it wraps ErrLost, or is why this side has ended the connection.
func (c *Conn) Read() (Message, error) {
	for {
		if len(c.control) > 0 {
			m := c.control[0]
			c.control = c.control[1:]
			return m, nil
		}
		kind, r, err := c.ws.NextReader()
		if err != nil {
			if len(c.control) > 0 {
				continue // what came before it; the error comes again
			}
			return Message{}, c.ended(err)
		}
		data, err := readAll(r)
		if err != nil {
			return Message{}, c.ended(err)
		}
		c.silent.Store(false)
		op := Binary
		if kind == websocket.TextMessage {
			op = Text
			if !utf8.Valid(data) {
				c.Close(CloseInvalidData, "the text is not UTF-8")
				return Message{}, fmt.Errorf("%w: text that is not UTF-8", ErrLost)
			}
		}
		c.o.Stats.Received.Add(1)
		c.o.Stats.ReceivedB.Add(int64(len(data)))
		if c.wantPing && len(c.control) > 0 { // they came before the message's last frame
			c.control = append(c.control, Message{op, data})
			continue
		}
		return Message{op, data}, nil
	}
}

// ended says why reading has ended.
func (c *Conn) ended(err error) error {
	var closed *websocket.CloseError
	if errors.As(err, &closed) && closed.Code != websocket.CloseAbnormalClosure {
		return &CloseError{closed.Code, closed.Text}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	if errors.Is(err, websocket.ErrReadLimit) {
		return fmt.Errorf("%w: a message of more than %d bytes", ErrLost, c.o.MaxMessage)
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// scratch lends what a message is read into before its size is known.
var scratch = sync.Pool{New: func() any { b := make([]byte, 32<<10); return &b }}

// readAll reads one message into memory of its size.
func readAll(r io.Reader) ([]byte, error) {
	lent, _ := scratch.Get().(*[]byte)
	defer scratch.Put(lent)
	buf, n := *lent, 0
	for {
		if n == len(buf) {
			larger := make([]byte, 4*len(buf))
			copy(larger, buf)
			buf = larger
		}
		m, err := r.Read(buf[n:])
		n += m
		if errors.Is(err, io.EOF) {
			return append(make([]byte, 0, n), buf[:n]...), nil
		}
		if err != nil {
			return nil, err
		}
	}
}

// Send queues a frame and returns at once.
func (c *Conn) Send(f Frame) error {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return ErrClosed
	}
	if c.waiting >= c.o.MaxQueuedMsgs || c.bytes > 0 && c.bytes+len(f.b) > c.o.MaxQueued {
		if c.o.Policy == DropNewest {
			c.mu.Unlock()
			c.o.Stats.Dropped.Add(1)
			return ErrFull
		}
		start := c.overflow()
		c.mu.Unlock()
		if start {
			c.o.Writer.add(c)
		}
		return ErrFull
	}
	c.push(f)
	start := c.join()
	c.mu.Unlock()
	c.o.Stats.Sent.Add(1)
	c.o.Stats.SentB.Add(int64(f.payload))
	if start {
		c.o.Writer.add(c)
	}
	return nil
}

// overflow ends a connection whose queue is full: what waits is dropped but for what
// is being written, so that the close frame arrives while it is of use. Call it with
// the lock held.
func (c *Conn) overflow() (start bool) {
	c.o.Stats.Overflowed.Add(1)
	c.dropQueue()
	return c.end(closeFrame(CloseTryAgain, "the client reads too slowly"), ErrFull)
}

func (c *Conn) dropQueue() {
	if c.queue == nil {
		return
	}
	n, size := len(*c.queue), 0
	for _, f := range *c.queue {
		size += len(f.b)
	}
	c.o.Stats.Abandoned.Add(int64(n))
	c.done(n, size)
	c.queue = nil
}

func (c *Conn) push(f Frame) {
	if c.queue == nil {
		c.queue, _ = c.o.Writer.frames.Get().(*[]Frame)
	}
	*c.queue = append(*c.queue, f)
	c.waiting++
	c.bytes += len(f.b)
	c.o.Stats.QueuedBytes.Add(int64(len(f.b)))
}

// done counts frames out that are written or given up. Call it with the lock held.
func (c *Conn) done(n, size int) {
	c.waiting -= n
	c.bytes -= size
	c.o.Stats.QueuedBytes.Add(int64(-size))
}

// join reports whether the connection has to be put in the writer's line, and notes
// that it is. Call it with the lock held.
func (c *Conn) join() bool {
	if c.state != writeIdle || c.lost {
		return false
	}
	c.state = writeLine
	return true
}

// Queued is the number of bytes that wait for the client.
func (c *Conn) Queued() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.bytes
}

// Close ends the connection in good order: what is queued goes first, then a close
// frame, then the client's is waited for, for Linger at most. It does not wait itself;
// only the first call counts. Code 0 sends a close frame without a code.
func (c *Conn) Close(code int, reason string) {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	start := c.end(closeFrame(code, reason), ErrClosed)
	c.mu.Unlock()
	if start {
		c.o.Writer.add(c)
	}
}

// end queues the close frame, the last one. Call it with the lock held.
func (c *Conn) end(f Frame, cause error) (start bool) {
	c.closing = true
	if c.cause == nil {
		c.cause = cause
	}
	c.push(f)
	_ = c.pipe.Conn.SetReadDeadline(time.Now().Add(c.o.Linger)) // for the client's close frame
	return c.join()
}

// Abort cuts the connection: the client sees it lost.
func (c *Conn) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut(ErrClosed)
}

// cut closes the socket. Call it with the lock held.
func (c *Conn) cut(err error) {
	if c.cause == nil {
		c.cause = err
	}
	c.closing, c.lost = true, true
	_ = c.pipe.Conn.Close()
	c.dropQueue()
}

// Finish ends the connection after Read has returned an error, on the same goroutine:
// what is queued is written, the close frame sent, the socket closed; a client that
// has gone costs no wait.
func (c *Conn) Finish() {
	if c.ping != nil {
		c.ping.Stop()
	}
	c.mu.Lock()
	c.closing = true
	var wait chan struct{}
	if c.state != writeIdle && !c.lost {
		wait = make(chan struct{})
		c.settled = wait
	}
	c.mu.Unlock()
	if wait != nil {
		t := time.NewTimer(c.o.Linger)
		select {
		case <-wait:
		case <-t.C:
		}
		t.Stop()
	}
	c.Abort()
	c.o.Stats.Open.Add(-1)
}

// tick pings the client, or cuts it if the last ping was not answered.
func (c *Conn) tick() {
	if c.silent.Swap(true) {
		c.mu.Lock()
		c.cut(fmt.Errorf("%w: it answers no ping", ErrLost))
		c.mu.Unlock()
		return
	}
	_ = c.Send(pingFrame())
	c.ping.Reset(c.o.PingInterval)
}

func pingFrame() Frame { return Frame{b: []byte{0x89, 0}} }

// onPing answers a ping. While answers wait only the last one is kept, which RFC 6455,
// section 5.5.3 allows: a flood of pings fills no queue.
func (c *Conn) onPing(data string) error {
	c.silent.Store(false)
	c.o.Stats.Pings.Add(1)
	if c.wantPing {
		c.collect(Ping, data)
	}
	f := NewFrame(Pong, []byte(data))
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return nil
	}
	c.pong = &f
	start := c.join()
	c.mu.Unlock()
	if start {
		c.o.Writer.add(c)
	}
	return nil
}

func (c *Conn) onPong(data string) error {
	c.silent.Store(false)
	if c.wantPing && data != "" { // ours are empty
		c.collect(Pong, data)
	}
	return nil
}

// mostControl bounds the pings that wait while a long message arrives.
const mostControl = 16

func (c *Conn) collect(op Opcode, data string) {
	if len(c.control) < mostControl {
		c.control = append(c.control, Message{op, []byte(data)})
	}
}

// pipe is the lowest layer: gorilla/websocket reads through it, and what that would
// write by itself (close frames) goes to the connection's queue.
type pipe struct {
	net.Conn
	conn *Conn // nil until the handshake is done
}

// Write takes gorilla's handshake, and later its complaints: a close frame that says
// what was wrong with the client's.
func (p *pipe) Write(b []byte) (int, error) {
	if p.conn == nil {
		return p.Conn.Write(b)
	}
	if len(b) >= 4 && Opcode(b[0]&0xf) == opClose {
		p.conn.Close(int(b[2])<<8|int(b[3]), string(b[4:]))
	}
	return len(b), nil
}

// SetDeadline does nothing: the Conn owns the deadlines, and gorilla's calls would
// meddle with them. The same goes for SetWriteDeadline.
func (p *pipe) SetDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: see SetDeadline.
func (p *pipe) SetWriteDeadline(time.Time) error { return nil }
