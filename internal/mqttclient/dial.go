package mqttclient

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// DialOptions say how to open a connection. The zero value is plain.
type DialOptions struct {
	TLS       *tls.Config // for mqtts and wss; nil verifies against the system's authorities
	Header    http.Header // added to the WebSocket handshake
	LocalAddr string      // address to connect from; empty leaves it to the system
	// BufferSize is the WebSocket read and write buffer in bytes; 0 is 4096. Larger
	// writes go out as one frame only up to this size.
	BufferSize int
}

// Dial opens the transport that MQTT then runs over. What it returns is a byte stream:
// with WebSocket the frames are hidden, and each Write is one binary message.
func Dial(ctx context.Context, t Target, o DialOptions) (net.Conn, error) {
	dialer := &net.Dialer{} // Go sets TCP_NODELAY by itself
	if o.LocalAddr != "" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(o.LocalAddr)}
	}
	switch {
	case t.WebSocket():
		return dialWebSocket(ctx, t, o, dialer)
	case t.TLS():
		cfg := &tls.Config{MinVersion: tls.VersionTLS12}
		if o.TLS != nil {
			cfg = o.TLS
		}
		return (&tls.Dialer{NetDialer: dialer, Config: cfg}).DialContext(ctx, "tcp", t.Address())
	default:
		return dialer.DialContext(ctx, "tcp", t.Address())
	}
}

func dialWebSocket(ctx context.Context, t Target, o DialOptions, d *net.Dialer) (net.Conn, error) {
	size := o.BufferSize
	if size == 0 {
		size = 4096
	}
	ws := websocket.Dialer{
		NetDialContext:  d.DialContext,
		TLSClientConfig: o.TLS,
		Subprotocols:    []string{"mqtt"}, // [MQTT-6.0.0-3]
		ReadBufferSize:  size,
		WriteBufferSize: size,
	}
	conn, resp, err := ws.DialContext(ctx, t.url(), o.Header)
	if resp != nil && resp.Body != nil {
		defer func() { _ = resp.Body.Close() }()
	}
	if err != nil {
		if resp != nil {
			return nil, fmt.Errorf("WebSocket handshake with %s: the server answered %s: %w", t.String(), resp.Status, err)
		}
		return nil, fmt.Errorf("WebSocket handshake with %s: %w", t.String(), err)
	}
	return &wsConn{Conn: conn}, nil
}

// wsConn is a WebSocket connection as a byte stream: MQTT packets may be split over
// messages and share one. [MQTT-6.0.0-2]
type wsConn struct {
	*websocket.Conn
	r     io.Reader // the message being read
	write sync.Mutex
}

// Read reads from the current message, or from the next one.
func (c *wsConn) Read(b []byte) (int, error) {
	for {
		if c.r == nil {
			kind, r, err := c.NextReader()
			if websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseNoStatusReceived) {
				return 0, io.EOF
			}
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage { // [MQTT-6.0.0-1]
				return 0, fmt.Errorf("%w: a WebSocket text message", ErrMalformed)
			}
			c.r = r
		}
		n, err := c.r.Read(b)
		if err == io.EOF {
			c.r = nil
			if n == 0 {
				continue
			}
			err = nil
		}
		return n, err
	}
}

// Write sends b as one binary message.
func (c *wsConn) Write(b []byte) (int, error) {
	c.write.Lock() // unlike a net.Conn's, gorilla's Write takes one goroutine at a time
	defer c.write.Unlock()
	if err := c.WriteMessage(websocket.BinaryMessage, b); err != nil {
		return 0, err
	}
	return len(b), nil
}

// SetDeadline sets both deadlines, for the read and the write that are under way.
func (c *wsConn) SetDeadline(t time.Time) error { return c.NetConn().SetDeadline(t) }

// SetWriteDeadline goes past gorilla's, which may not be called during a Write.
func (c *wsConn) SetWriteDeadline(t time.Time) error { return c.NetConn().SetWriteDeadline(t) }

// Close says goodbye if that needs no waiting, and closes the connection.
func (c *wsConn) Close() error {
	bye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
	_ = c.WriteControl(websocket.CloseMessage, bye, time.Now().Add(100*time.Millisecond))
	return c.Conn.Close()
}
