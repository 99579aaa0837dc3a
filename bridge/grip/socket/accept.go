package socket

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// Accept answers a WebSocket handshake with 101 and header, which may name a
// subprotocol and set cookies, and makes a connection of it. The handler may return
// afterwards: nothing of the request is kept. A request that is no handshake gets an
// HTTP answer, and an error is returned. Who gets a Conn reads it to its end and calls
// Finish.
func Accept(w http.ResponseWriter, r *http.Request, header http.Header, o Options) (*Conn, error) {
	o = o.withDefaults()
	h := &hijacker{ResponseWriter: w}
	packs := o.Compress && offersDeflate(r.Header)
	u := websocket.Upgrader{
		EnableCompression: packs, // it answers the offer: no context takeover, in neither direction
		HandshakeTimeout:  o.WriteTimeout,
		ReadBufferSize:    smallest, WriteBufferSize: smallest, WriteBufferPool: noBuffers{},
		CheckOrigin: func(*http.Request) bool { return true }, // the caller's business
		Error: func(rw http.ResponseWriter, _ *http.Request, status int, reason error) {
			rw.Header().Set("Sec-Websocket-Version", "13")
			http.Error(rw, reason.Error(), status)
		},
	}
	if _, err := u.Upgrade(h, r, header); err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	// From here on the frames are ours: gorilla's connection, with its buffers, is let go.
	c := &Conn{conn: h.conn, o: &o, packs: packs}
	_ = c.conn.SetDeadline(time.Time{})
	if sc, ok := c.conn.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	c.in = input{conn: c.conn, raw: c.raw, pool: o.Writer.inputs}
	c.in.read = c.in.tryRead
	if packs {
		c.in.inflaters = o.Writer.inflaters
	}
	o.Stats.Open.Add(1)
	o.Stats.Opened.Add(1)
	if o.PingInterval > 0 {
		c.ping = time.AfterFunc(forever, c.tick) // it must not fire before it is stored
		c.ping.Reset(o.PingInterval)
	}
	return c, nil
}

// forever is longer than any process lives.
const forever = 1 << 62 * time.Nanosecond

// smallest is a buffer that serves for a handshake.
const smallest = 256

// noBuffers makes gorilla/websocket keep no write buffer: we make our own frames.
type noBuffers struct{}

func (noBuffers) Get() any { return nil }
func (noBuffers) Put(any)  {}

// hijacker keeps the connection that gorilla/websocket takes over.
type hijacker struct {
	http.ResponseWriter
	conn net.Conn
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	h.conn = c
	return c, rw, err
}
