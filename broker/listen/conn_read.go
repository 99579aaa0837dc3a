package listen

import (
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"time"

	"github.com/gorilla/websocket"
)

// Read hands out the client's packets. A packet above a few kilobytes is handed out
// only when all of it has arrived: whoever decodes it reserves the announced
// length at once, and five bytes can announce 256 MB. After an error Read returns
// the same error for ever.
func (c *Conn) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	for c.readErr == nil {
		if c.hold > 0 {
			if len(c.held) == c.hold {
				return c.handOut(p), nil
			}
			c.readErr = c.fillHeld()
			continue
		}
		n, err := c.receive(p)
		if n > 0 && !c.began {
			c.began = true
			if p[0] != connectByte && !c.established.Load() {
				c.readErr = ErrNotConnect
				continue
			}
		}
		if n > 0 {
			v := c.frame.scan(p[:n], int(c.maxPacket.Load()))
			if v.hold > 0 {
				c.startHolding(p[v.pass:n], v.hold)
			}
			c.readErr = v.err
			if v.pass > 0 {
				return v.pass, nil
			}
			continue
		}
		c.readErr = err
	}
	c.readErr = c.ended(c.readErr)
	return 0, c.readErr
}

// connectByte is the first byte of a CONNECT: packet type 1, flags 0. [MQTT-3.1.0-1]
const connectByte = 0x10

// receive reads from the uppermost layer and notes that something arrived. An
// error that comes with bytes is left for the next call to find.
func (c *Conn) receive(p []byte) (int, error) {
	n, err := c.in.Read(p)
	if n > 0 {
		if c.sock.reads != c.seenReads {
			c.seenReads = c.sock.reads
			c.clock.touch()
		}
		c.stats.received(n)
		return n, nil
	}
	return n, err
}

func (c *Conn) startHolding(begin []byte, length int) {
	c.hold, c.heldAt = length, 0
	c.held = append(make([]byte, 0, min(length, 2*holdAbove)), begin...)
}

// fillHeld reads more of the packet held, doubling its memory as bytes arrive:
// never more than twice what the client has really sent.
func (c *Conn) fillHeld() error {
	if len(c.held) == cap(c.held) {
		larger := make([]byte, len(c.held), min(c.hold, 2*cap(c.held)))
		copy(larger, c.held)
		c.held = larger
	}
	room := c.held[len(c.held):min(cap(c.held), c.hold)]
	n, err := c.receive(room)
	c.held = c.held[:len(c.held)+n]
	return err
}

func (c *Conn) handOut(p []byte) int {
	n := copy(p, c.held[c.heldAt:])
	c.heldAt += n
	if c.heldAt == c.hold {
		c.held, c.hold, c.heldAt = nil, 0, 0
	}
	return n
}

// beforeRead is called when the reader may have to wait: its packets are handled,
// so what they caused to be written can leave.
func (c *Conn) beforeRead() {
	if !c.atWork {
		return
	}
	c.atWork = false
	c.opts.Flusher.end()
	if c.pace != nil {
		c.slowDown()
	}
	if c.sock.flooding {
		// A client that sends without end would keep its processor until the runtime
		// steps in after 10 ms. Others wait for it, too.
		runtime.Gosched()
	}
}

// look is how often a reader that holds back looks whether its connection has ended.
const look = 100 * time.Millisecond

// slowDown waits as long as the pace demands, or until the connection ends.
func (c *Conn) slowDown() {
	for d := c.pace(); d > 0; d = c.pace() {
		c.mu.Lock()
		over := c.closing || c.cause != nil
		c.mu.Unlock()
		if over {
			return
		}
		timer := time.NewTimer(min(d, look))
		<-timer.C
	}
	c.clock.touch() // the silence was ours
}

// afterRead is called when something has arrived. A connection that is still being
// established does not count: authentication may take long.
func (c *Conn) afterRead() {
	if c.established.Load() {
		c.atWork = true
		c.opts.Flusher.begin()
	}
}

// ended turns what stopped the reader into what it returns and tells OnProblem.
func (c *Conn) ended(err error) error {
	c.mu.Lock()
	switch {
	case c.cause != nil:
		err = c.cause // the clock, the writer or Close was first
	case errors.Is(err, net.ErrClosed), errors.Is(err, os.ErrDeadlineExceeded):
		err = ErrClosed
	default:
		if e := new(websocket.CloseError); errors.As(err, &e) &&
			(e.Code == websocket.CloseNormalClosure || e.Code == websocket.CloseGoingAway || e.Code == websocket.CloseNoStatusReceived) {
			err = io.EOF // the peer has hung up in good order
		}
		c.cause = err
	}
	tell := c.onProblem
	if c.told || !isProblem(err) {
		tell = nil
	}
	c.told = true
	c.mu.Unlock()
	if tell != nil {
		tell(err)
	}
	return err
}

// isProblem tells the errors of OnProblem from a connection that was just closed.
func isProblem(err error) bool {
	for _, p := range [...]error{ErrPacketTooLarge, ErrMalformedLength, ErrKeepAlive, ErrConnectTimeout, ErrLifetime, ErrStuck, ErrTextFrame, ErrPongTimeout} {
		if errors.Is(err, p) {
			return true
		}
	}
	return false
}
