package listen

import (
	"errors"
	"os"
	"time"
)

// writeState says who is responsible for what a connection has queued.
type writeState byte

const (
	writeIdle writeState = iota // nothing is queued
	writeLine                   // it stands in the flusher's line
	writing                     // somebody is writing; whatever is added meanwhile follows
)

// Write queues a copy of p, one MQTT packet, and returns at once. Everything queued
// until the socket is next written leaves together. ErrClosed after Close; ErrSlow if
// the buffer's bound would be passed, in which case nothing of p is taken.
func (c *Conn) Write(p []byte) (int, error) { return c.WritePackets(p, 1) }

// WritePackets is Write for so many packets; their number is for the statistics.
func (c *Conn) WritePackets(p []byte, packets int) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return 0, ErrClosed
	}
	queued := int(c.queued.Load())
	if queued > 0 && queued+len(p) > c.opts.WriteLimit {
		c.mu.Unlock()
		c.stats.slow()
		return 0, ErrSlow
	}
	c.out = c.opts.Flusher.buffers.add(c.out, p)
	c.packets += packets
	queued += len(p)
	c.queued.Store(int64(queued))
	if queued > c.opts.HighWater {
		c.congested = true
	}
	start := c.join()
	c.mu.Unlock()
	if start {
		c.opts.Flusher.add(c)
	}
	return len(p), nil
}

// join reports whether the connection has to be put in the flusher's line, and
// notes that it is. Call it with the lock held.
func (c *Conn) join() bool {
	if c.writeState != writeIdle {
		return false
	}
	c.writeState = writeLine
	return true
}

// Queued is the number of bytes accepted by Write and not yet taken by the socket.
func (c *Conn) Queued() int { return int(c.queued.Load()) }

// Congested reports whether more bytes are queued than the high-water mark, and
// have not since fallen below the low-water mark.
func (c *Conn) Congested() bool {
	if c.queued.Load() <= int64(c.opts.LowWater) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.congested
}

// OnDrain sets a func that is called each time the queue has fallen below the
// low-water mark after it had been above the high-water mark. It runs on whichever
// goroutine wrote the bytes, so it must be quick; it may Write.
func (c *Conn) OnDrain(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onDrain = f
}

// flush writes what is queued, without waiting: what the socket does not take at
// once is left to a goroutine of its own. Only the Flusher calls it.
func (c *Conn) flush() {
	batch, payload := c.nextBatch()
	if batch == nil {
		return
	}
	p := c.seal(batch)
	n, direct := 0, c.tls == nil && c.sock.raw.available()
	if direct {
		var err error
		n, err = c.sock.raw.tryWrite(p)
		c.stats.sent(n)
		if err != nil {
			c.opts.Flusher.buffers.release(batch)
			c.wrote(payload, err)
			return
		}
	}
	if n < len(p) {
		go c.catchUp(batch, p[n:], payload) // finish waits for it, by way of writeState
		return
	}
	c.opts.Flusher.buffers.release(batch)
	c.wrote(payload, nil)
}

// nextBatch takes everything that is queued; nil if that is nothing.
func (c *Conn) nextBatch() (batch *buffer, payload int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	batch, c.out = c.out, nil
	payload = batch.len()
	if c.packets > 0 {
		c.stats.packets.Add(int64(c.packets))
		c.packets = 0
	}
	frame := c.closing && len(c.closeFrame) > 0
	if batch == nil && len(c.ctrl) == 0 && !frame {
		c.settle()
		return nil, 0
	}
	c.writeState = writing
	if c.ws == nil {
		return batch, payload
	}
	if batch == nil {
		batch = c.opts.Flusher.buffers.write(len(c.ctrl) + len(c.closeFrame))
	}
	start := frameHeader(batch.b[:headroom], payload)
	batch.b = append(batch.b, c.ctrl...)
	c.ctrl = c.ctrl[:0]
	if frame {
		batch.b = append(batch.b, c.closeFrame...)
		c.closeFrame = nil
	}
	batch.start = start
	return batch, payload
}

// seal is the bytes of a batch that go to the socket.
func (c *Conn) seal(batch *buffer) []byte {
	if c.ws == nil {
		return batch.b[headroom:]
	}
	return batch.b[batch.start:]
}

// chunk is how much one waiting write takes, so that a slow but moving client
// shows progress within the write timeout.
const chunk = 64 << 10

// catchUp writes rest, waiting for the socket up to the write timeout at a time.
func (c *Conn) catchUp(batch *buffer, rest []byte, payload int) {
	var err error
	for len(rest) > 0 && err == nil {
		_ = c.sock.Conn.SetWriteDeadline(time.Now().Add(c.opts.WriteTimeout))
		var n int
		if c.tls != nil {
			n, err = c.tls.Write(rest[:min(chunk, len(rest))])
		} else {
			n, err = c.sock.Conn.Write(rest[:min(chunk, len(rest))])
		}
		c.stats.sent(n)
		rest = rest[n:]
		if done := min(n, payload); len(rest) > 0 && done > 0 {
			payload -= done
			c.took(done)
		}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = ErrStuck
	}
	_ = c.sock.Conn.SetWriteDeadline(time.Time{}) // or a later write would meet it
	c.opts.Flusher.buffers.release(batch)
	c.wrote(payload, err)
}

// took counts bytes that have left before the batch is done.
func (c *Conn) took(n int) {
	c.mu.Lock()
	drained := c.sink(n)
	c.mu.Unlock()
	if drained != nil {
		drained()
	}
}

// wrote ends a batch: the connection goes back in line if more was queued meanwhile.
func (c *Conn) wrote(n int, err error) {
	c.mu.Lock()
	drained := c.sink(n)
	if err != nil {
		drained = nil
		c.failed(err)
	}
	again := false
	c.writeState = writeIdle
	if c.out != nil || len(c.ctrl) > 0 || (c.closing && len(c.closeFrame) > 0) {
		again = c.join()
	} else {
		c.settle()
	}
	c.mu.Unlock()
	if again {
		c.opts.Flusher.add(c)
	}
	if drained != nil {
		drained()
	}
}

// sink lowers the queue by n bytes and returns OnDrain's func if it is due. Call
// it with the lock held.
func (c *Conn) sink(n int) func() {
	if c.queued.Add(int64(-n)) > int64(c.opts.LowWater) || !c.congested {
		return nil
	}
	c.congested = false
	if c.closing {
		return nil
	}
	return c.onDrain
}

// settle notes that nothing is left to write. Call it with the lock held.
func (c *Conn) settle() {
	c.writeState = writeIdle
	if c.flushed != nil {
		close(c.flushed)
		c.flushed = nil
	}
}

// failed drops what is queued and wakes the reader: the socket takes no more. Call
// it with the lock held.
func (c *Conn) failed(err error) {
	if c.cause == nil {
		c.cause = err
	}
	c.closing = true
	if c.out != nil {
		c.queued.Add(int64(-c.out.len()))
		c.opts.Flusher.buffers.release(c.out)
		c.out = nil
	}
	c.ctrl, c.closeFrame = nil, nil
	_ = c.sock.Conn.SetReadDeadline(longAgo())
}

// longAgo is a deadline that has passed.
func longAgo() time.Time { return time.Unix(1, 0) }
