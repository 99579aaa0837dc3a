package listen

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/internal/weborigin"
	"github.com/topicwire/topicwire/message"
)

// WebSocket is the door for MQTT over WebSocket: an http.Handler to be mounted at
// any path of any server. Its connections do not belong to that server: they end
// by Shutdown.
type WebSocket struct {
	*runner
	cfg      WebSocketConfig
	origins  weborigin.Rules
	handler  Handler
	upgrader websocket.Upgrader
}

// NewWebSocket makes the door. An entry of cfg.AllowedOrigins that is no origin
// allows nothing; WebSocketConfig.Check reports it.
func NewWebSocket(cfg WebSocketConfig, h Handler, opts Options) *WebSocket {
	if opts.Name == "" {
		opts.Name = "websocket"
	}
	w := &WebSocket{runner: newRunner(opts), cfg: cfg.withDefaults(), handler: h, origins: weborigin.Parse(cfg.AllowedOrigins)}
	w.upgrader = websocket.Upgrader{
		HandshakeTimeout: w.opts.ConnectTimeout,
		// Reading goes through the socket's pooled buffer, writing through ours: what
		// gorilla/websocket keeps for each connection can be small.
		ReadBufferSize: 256, WriteBufferSize: 256, WriteBufferPool: noBuffers{},
		Subprotocols: []string{"mqtt", "mqttv3.1"},
		CheckOrigin:  func(*http.Request) bool { return true }, // checked before, with a better answer
		Error: func(rw http.ResponseWriter, _ *http.Request, status int, reason error) {
			rw.Header().Set("Sec-Websocket-Version", "13")
			http.Error(rw, reason.Error(), status)
		},
	}
	return w
}

// noBuffers makes gorilla/websocket keep no write buffer: it would need one only for
// data frames, and those we make ourselves.
type noBuffers struct{}

func (noBuffers) Get() any { return nil }
func (noBuffers) Put(any)  {}

// Connections is the number of connections open now.
func (w *WebSocket) Connections() int { return w.connections() }

// ServeHTTP upgrades the request and returns; the connection goes on by itself.
// What cannot be upgraded gets an answer that says why.
func (w *WebSocket) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	local := localAddr(r)
	if status, reason, text := w.refusal(r); status != 0 {
		w.stats.refused(reason)
		w.opts.Log.Debug().Str("listener", w.opts.Name).Str("remote", r.RemoteAddr).Str("reason", reason).Msg("WebSocket refused")
		if status == http.StatusUpgradeRequired {
			rw.Header().Set("Upgrade", "websocket") // RFC 9110, section 15.5.22
		}
		http.Error(rw, text, status)
		return
	}
	remote, _ := netip.ParseAddrPort(r.RemoteAddr)
	remote = netip.AddrPortFrom(remote.Addr().Unmap(), remote.Port())
	if err := w.opts.Limiter.Acquire(remote.Addr()); err != nil {
		w.refused(err, remote)
		status := http.StatusTooManyRequests
		if errors.Is(err, ErrTooMany) {
			status = http.StatusServiceUnavailable
		}
		http.Error(rw, err.Error(), status)
		return
	}
	release := func() { w.opts.Limiter.Release(remote.Addr()) }
	info := Info{
		Listener: w.opts.Name, Via: message.ViaWebSocket, Remote: remote, Local: local,
		TLS: r.TLS, Request: handshakeOf(r),
	}
	conn, err := w.upgrade(rw, r, info)
	if err != nil {
		w.stats.refused("handshake")
		w.opts.Log.Debug().Err(err).Str("listener", w.opts.Name).Str("remote", r.RemoteAddr).Msg("WebSocket handshake failed")
		release()
		return
	}
	if !w.start(conn, w.handler, nil, release) {
		conn.finishGoingAway()
		release()
	}
}

// refusal checks what can be said before the upgrade; status 0 = go on.
func (w *WebSocket) refusal(r *http.Request) (status int, reason, text string) {
	switch {
	case !websocket.IsWebSocketUpgrade(r):
		return http.StatusUpgradeRequired, "no_upgrade", "This is MQTT over WebSocket: connect with an MQTT client, for example mqtt.js, to this address with ws:// or wss://."
	case !w.origins.Allow(r):
		return http.StatusForbidden, "origin", fmt.Sprintf("The origin %.200q may not connect here. Add it to listen.websocket.allowed_origins.", r.Header.Get("Origin"))
	case !w.cfg.AllowNoSubprotocol && !offersMQTT(r):
		// [MQTT-6.0.0-3]: the client must offer it. A client that has not would not
		// know what to make of the answer either.
		return http.StatusBadRequest, "subprotocol", "The WebSocket subprotocol is missing: offer \"mqtt\" (or \"mqttv3.1\") in Sec-WebSocket-Protocol."
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closing {
		return http.StatusServiceUnavailable, "shutdown", "The server is shutting down."
	}
	return 0, "", ""
}

func offersMQTT(r *http.Request) bool {
	for _, line := range r.Header.Values("Sec-Websocket-Protocol") {
		for p := range strings.SplitSeq(line, ",") {
			if p = strings.TrimSpace(p); p == "mqtt" || p == "mqttv3.1" {
				return true
			}
		}
	}
	return false
}

// upgrade answers the handshake and wraps the connection.
func (w *WebSocket) upgrade(rw http.ResponseWriter, r *http.Request, info Info) (*Conn, error) {
	h := &hijacker{ResponseWriter: rw, wrap: func(c net.Conn) *Conn { return newConn(c, info, &w.opts, w.stats) }}
	ws, err := w.upgrader.Upgrade(h, r, nil)
	if err != nil {
		if h.conn != nil {
			h.conn.clock.timer.Stop()
		}
		return nil, fmt.Errorf("listen: %w", err)
	}
	c := h.conn
	c.ws, c.in = ws, wsReader{c}
	c.sock.control = c.control
	ws.SetPongHandler(func(string) error {
		c.clock.pong.Store(false)
		return nil
	})
	if w.cfg.PingInterval > 0 {
		c.setPings(w.cfg.PingInterval)
	}
	return c, nil
}

// hijacker lets gorilla/websocket take over not the server's connection but ours on
// top of it, so that all its reading and writing goes through the Conn.
type hijacker struct {
	http.ResponseWriter
	wrap func(net.Conn) *Conn
	conn *Conn
}

func (h *hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	h.conn = h.wrap(c)
	return h.conn.sock, rw, nil
}

// handshakeOf keeps of a request what authentication may want, without the server,
// its context and its buffers.
func handshakeOf(r *http.Request) *http.Request {
	return &http.Request{
		Method: r.Method, URL: r.URL, Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor,
		Header: r.Header, Host: r.Host, RemoteAddr: r.RemoteAddr, RequestURI: r.RequestURI, TLS: r.TLS,
		Body: http.NoBody,
	}
}

func localAddr(r *http.Request) netip.AddrPort {
	a, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	return addrPort(a)
}

// finishGoingAway ends a connection that came too late: 1001.
func (c *Conn) finishGoingAway() {
	c.SetCloseCode(websocket.CloseGoingAway, "the server is shutting down")
	c.finish()
}

// Shutdown takes no more connections, closes those that are open with code 1001
// (what is queued for them still goes first), and waits until all have ended. When
// ctx ends before, it cuts the rest and returns an error that wraps ctx's. To send
// clients a DISCONNECT, do so first.
func (w *WebSocket) Shutdown(ctx context.Context) error {
	w.stop(func(c *Conn) {
		c.SetCloseCode(websocket.CloseGoingAway, "the server is shutting down")
		_ = c.Close()
	})
	return w.wait(ctx)
}
