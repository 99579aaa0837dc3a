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
	u := websocket.Upgrader{
		HandshakeTimeout: o.WriteTimeout,
		ReadBufferSize:   readBuffer, WriteBufferSize: readBuffer, WriteBufferPool: noBuffers{},
		CheckOrigin: func(*http.Request) bool { return true }, // the caller's business
		Error: func(rw http.ResponseWriter, _ *http.Request, status int, reason error) {
			rw.Header().Set("Sec-Websocket-Version", "13")
			http.Error(rw, reason.Error(), status)
		},
	}
	ws, err := u.Upgrade(h, r, header)
	if err != nil {
		return nil, fmt.Errorf("socket: %w", err)
	}
	c := &Conn{ws: ws, pipe: h.pipe, o: &o}
	h.pipe.conn = c
	_ = h.pipe.Conn.SetDeadline(time.Time{})
	if sc, ok := h.pipe.Conn.(syscall.Conn); ok {
		c.raw, _ = sc.SyscallConn()
	}
	ws.SetReadLimit(int64(o.MaxMessage))
	ws.SetPingHandler(c.onPing)
	ws.SetPongHandler(c.onPong)
	ws.SetCloseHandler(func(int, string) error { return nil }) // the reader decides what to answer
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

// readBuffer holds a frame's header and most messages; what is larger is read past it.
const readBuffer = 512

// noBuffers makes gorilla/websocket keep no write buffer: we make our own frames.
type noBuffers struct{}

func (noBuffers) Get() any { return nil }
func (noBuffers) Put(any)  {}

// hijacker lets gorilla/websocket take over our layer on top of the connection.
type hijacker struct {
	http.ResponseWriter
	pipe *pipe
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.pipe = &pipe{Conn: c}
	return h.pipe, rw, nil
}
