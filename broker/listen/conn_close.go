package listen

import (
	"errors"
	"io"
	"time"
)

// Close refuses further writes, lets what is queued leave, and then ends the
// connection: see CloseAfterFlush. It does not wait. Read returns ErrClosed.
func (c *Conn) Close() error {
	c.CloseAfterFlush(c.opts.Linger)
	return nil
}

// CloseAfterFlush is Close with a time limit: what is queued is flushed, the
// connection half-closed, what the client still sends is read and dropped (closing
// a socket with unread input would reset it, and the client would lose the last
// packets), then the socket is closed, at the latest after timeout. It does not
// wait; the first call counts.
func (c *Conn) CloseAfterFlush(timeout time.Duration) {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return
	}
	c.closing = true
	if c.cause == nil {
		c.cause = ErrClosed
	}
	start := false
	if c.ws != nil {
		if c.closeFrame == nil {
			c.closeFrame = closeFrame(closeCode(c.cause))
		}
		start = c.join()
	}
	if by := c.clock.now() + max(timeout, 1); c.clock.closeBy == 0 || by < c.clock.closeBy {
		c.clock.closeBy = by
	}
	c.clock.rearm()
	_ = c.sock.Conn.SetReadDeadline(longAgo()) // under the lock: finish sets it anew
	c.mu.Unlock()
	if start {
		c.opts.Flusher.add(c)
	}
}

// Abort closes the socket at once; what is queued is lost.
func (c *Conn) Abort() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cut(ErrClosed)
}

// SetCloseCode chooses the WebSocket close code and text (at most 123 bytes) that
// Close will send; 1000 by default. It has no effect if the peer's own close frame is to
// be answered, if Read has failed, which has a code of its own, and on other connections.
func (c *Conn) SetCloseCode(code int, text string) {
	if c.ws == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closeFrame == nil && !c.closing && c.cause == nil {
		c.closeFrame = closeFrame(code, text)
	}
}

// finish ends the connection after its handler has returned: on the same
// goroutine, which is the only one that reads.
func (c *Conn) finish() {
	_ = c.Close()
	c.beforeRead()
	c.mu.Lock()
	var wait chan struct{}
	if c.writeState != writeIdle {
		wait = make(chan struct{})
		c.flushed = wait
	}
	c.mu.Unlock()
	if wait != nil {
		<-wait // bounded by the clock, which closes the socket
	}
	c.mu.Lock()
	linger := c.clock.closeBy - c.clock.now()
	hungUp := errors.Is(c.cause, io.EOF)
	_ = c.sock.Conn.SetReadDeadline(time.Now().Add(linger))
	_ = c.sock.Conn.SetWriteDeadline(time.Now().Add(linger))
	c.mu.Unlock()
	c.sock.free()
	if linger > 0 && !hungUp {
		c.partWays()
	}
	_ = c.sock.Conn.Close()
	c.clock.timer.Stop()
	c.mu.Lock()
	c.opts.Flusher.buffers.release(c.out)
	c.out, c.held, c.frames, c.onDrain, c.onProblem = nil, nil, nil, nil, nil
	c.mu.Unlock()
}

// maxDrained bounds what a client may still send after we have hung up.
const maxDrained = 4 << 20

// partWays half-closes and reads until the peer has closed too.
func (c *Conn) partWays() {
	if c.tls != nil {
		_ = c.tls.CloseWrite() // the close_notify alert
	}
	if c.sock.CloseWrite() != nil {
		return // the socket is gone already
	}
	scrap := make([]byte, 512)
	for total := 0; total < maxDrained; {
		n, err := c.sock.Conn.Read(scrap)
		if err != nil {
			return
		}
		total += n
	}
}
