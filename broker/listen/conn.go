// Package listen is the door: listeners for TCP, TLS and WebSocket, and the one kind
// of connection they all hand to the MQTT codec. It refuses what should not get in
// (too many connections, too large packets, foreign origins, silence), and writes
// without ever waiting. It knows MQTT's fixed header and nothing else of MQTT.
package listen

import (
	"crypto/tls"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Conn is one client's connection, over TCP, TLS or WebSocket. It is the net.Conn
// that the MQTT codec gets: Read returns packets that have arrived and are not too
// large, Write never waits. Reading is for one goroutine, everything else for any.
//
// The Conn owns its deadlines: SetDeadline and its kin do nothing.
type Conn struct {
	info  Info
	opts  *Options
	stats *listenerStats

	sock *socket         // the lowest layer
	tls  *tls.Conn       // on it, for TLS accepted here; else nil
	ws   *websocket.Conn // on it, for WebSocket; else nil
	in   io.Reader       // the uppermost layer: MQTT bytes

	// Reading; for the goroutine that reads.
	began     bool // a first byte has been seen
	frame     framer
	frames    io.Reader // the rest of a WebSocket message
	held      []byte    // a large packet that is arriving: see Read
	heldAt    int       // how much of held has been handed out
	hold      int       // how long held must get before it is; 0 = nothing is held
	readErr   error     // final
	seenReads uint64
	atWork    bool // counted by the flusher as a reader at work
	pace      func() time.Duration
	maxPacket atomic.Int64

	// Writing.
	mu         sync.Mutex
	writeState writeState
	out        *buffer // accepted and not yet given to the socket
	packets    int     // that are in it
	ctrl       []byte  // WebSocket control frames to go with it
	congested  bool
	closing    bool
	closeFrame []byte        // to be sent after everything else
	flushed    chan struct{} // closed when nothing is left to write, made by finish
	cause      error         // why the connection ends; what Read returns
	told       bool          // OnProblem has been called
	onDrain    func()
	onProblem  func(error)
	queued     atomic.Int64

	clock       clock
	established atomic.Bool
	state       atomic.Value // stateBox
}

// stateBox lets State hold any type, also a different one each time.
type stateBox struct{ v any }

// newConn wraps an accepted connection. The layers above sock are set by the caller.
func newConn(c net.Conn, info Info, opts *Options, stats *listenerStats) *Conn {
	conn := &Conn{info: info, opts: opts, stats: stats, sock: newSocket(c, &opts.Flusher.buffers)}
	conn.in = conn.sock
	conn.sock.before, conn.sock.after = conn.beforeRead, conn.afterRead
	conn.maxPacket.Store(int64(opts.MaxPacketSize))
	conn.clock.start(conn)
	return conn
}

// Info says where the connection came from.
func (c *Conn) Info() *Info { return &c.info }

// State is what SetState kept, nil before.
func (c *Conn) State() any {
	b, _ := c.state.Load().(stateBox)
	return b.v
}

// SetState keeps a value of the caller's with the connection.
func (c *Conn) SetState(v any) { c.state.Store(stateBox{v}) }

// SetMaxPacketSize refuses packets of more than n bytes, fixed header included,
// from the next one on: Read returns ErrPacketTooLarge as soon as the header has
// been seen. 0 = whatever MQTT can carry. [MQTT-3.2.2-15]
func (c *Conn) SetMaxPacketSize(n int) { c.maxPacket.Store(int64(n)) }

// SetPace sets a func that is asked before each read how long to wait with it, so that
// a client sends no faster than it may. Call it on the reading goroutine.
func (c *Conn) SetPace(wait func() time.Duration) { c.pace = wait }

// OnProblem sets a func that is told once why the connection is about to end,
// before Read returns that error: ErrPacketTooLarge, ErrMalformedLength,
// ErrKeepAlive, ErrConnectTimeout, ErrLifetime, ErrStuck, ErrTextFrame, ErrPongTimeout. It runs
// on the reading goroutine and may still Write, for example a DISCONNECT. It is
// not called when the peer or this side closes. Set it before reading.
func (c *Conn) OnProblem(f func(error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.onProblem = f
}

// LocalAddr is this side's address.
func (c *Conn) LocalAddr() net.Addr { return c.sock.LocalAddr() }

// RemoteAddr is the peer's address.
func (c *Conn) RemoteAddr() net.Addr { return c.sock.RemoteAddr() }

// SetDeadline does nothing: see SetKeepAlive.
func (c *Conn) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing: see SetKeepAlive.
func (c *Conn) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: Write never waits.
func (c *Conn) SetWriteDeadline(time.Time) error { return nil }
