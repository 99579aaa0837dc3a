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
	// ErrTooLarge, ErrNotUTF8 and ErrProtocol: the client has sent what it may not. It has
	// been told so, with code 1009, 1007 or 1002. All wrap ErrLost.
	ErrTooLarge = fmt.Errorf("%w: its message is too large", ErrLost)
	ErrNotUTF8  = fmt.Errorf("%w: its text is not UTF-8", ErrLost)
	ErrProtocol = fmt.Errorf("%w: it does not keep to RFC 6455", ErrLost)
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
	conn net.Conn
	raw  syscall.RawConn // direct, non-blocking access; nil with TLS
	in   input
	o    *Options

	packs    bool // messages may be compressed
	wantPing bool
	drain    bool // the client may still be sending what it may not
	ping     *time.Timer
	silent   atomic.Bool // pinged, and nothing has arrived since
	reading  atomic.Bool // somebody would notice if something did

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
	c.silent.Store(false) // what has arrived since the last time has not been looked at
	c.reading.Store(true)
	defer c.reading.Store(false)
	for {
		m, err := c.in.next(c.o.MaxMessage, c.o.MaxFrame)
		if err != nil {
			return Message{}, c.ended(err)
		}
		c.silent.Store(false)
		switch m.Op {
		case Ping:
			c.onPing(m.Data)
			if c.wantPing {
				return m, nil
			}
		case Pong:
			if c.wantPing && len(m.Data) > 0 { // ours are empty
				return m, nil
			}
		case opClose:
			e, err := closed(m.Data)
			if err != nil {
				return Message{}, c.ended(err)
			}
			return Message{}, e
		default:
			c.o.Stats.Received.Add(1)
			c.o.Stats.ReceivedB.Add(int64(len(m.Data)))
			return m, nil
		}
	}
}

// ended says why reading has ended, and tells a client what it did wrong.
func (c *Conn) ended(err error) error {
	if v, ok := errors.AsType[*violation](err); ok {
		c.drain = true
		c.Close(v.code, v.text)
		switch v.code {
		case CloseTooBig:
			return ErrTooLarge
		case CloseInvalidData:
			return ErrNotUTF8
		default:
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cause != nil {
		return c.cause
	}
	return fmt.Errorf("%w: %w", ErrLost, err)
}

// Send queues a frame and returns at once.
func (c *Conn) Send(f Frame) error { return c.send(f, c.o.Policy) }

// Offer is Send, but a frame that finds no room is only refused, whatever the policy: the
// caller can tell whoever it has the frame from.
func (c *Conn) Offer(f Frame) error { return c.send(f, DropNewest) }

func (c *Conn) send(f Frame, policy Policy) error {
	if c.packs {
		f = f.compressed(c.o.Writer)
	}
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return ErrClosed
	}
	if c.waiting >= c.o.MaxQueuedMsgs || c.bytes > 0 && c.bytes+len(f.b) > c.o.MaxQueued {
		if policy == DropNewest {
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
	_ = c.conn.SetReadDeadline(time.Now().Add(c.o.Linger)) // for the client's close frame
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
	_ = c.conn.Close()
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
	if c.drain {
		c.discard()
	}
	c.Abort()
	c.o.Stats.Open.Add(-1)
}

// discard reads what a client goes on sending after its offence, within limits: a socket
// that is closed with something unread loses the close frame that says what was wrong.
func (c *Conn) discard() {
	if half, ok := c.conn.(interface{ CloseWrite() error }); ok {
		_ = half.CloseWrite()
	}
	_ = c.conn.SetReadDeadline(time.Now().Add(c.o.Linger))
	_, _ = io.Copy(io.Discard, io.LimitReader(c.conn, mostDiscarded))
}

// mostDiscarded is how much of that is read, in bytes.
const mostDiscarded = 16 << 20

// tick pings the client, or cuts it if the last ping was not answered. While nobody reads,
// because the messages before are still being worked off, an answer is not seen.
func (c *Conn) tick() {
	if c.silent.Swap(true) && c.reading.Load() {
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
func (c *Conn) onPing(data []byte) {
	c.o.Stats.Pings.Add(1)
	f := NewFrame(Pong, data)
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	c.pong = &f
	start := c.join()
	c.mu.Unlock()
	if start {
		c.o.Writer.add(c)
	}
}
