package grip

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/message"
)

// gripHandler serves the routes whose handlers speak GRIP: functions and origins.
type gripHandler struct {
	d   *Door
	ask handler
}

// ServeRoute takes a request: a WebSocket handshake or an ordinary one.
func (g gripHandler) ServeRoute(w http.ResponseWriter, r *http.Request, route *Route) {
	grant, ok := g.authorize(w, r, route)
	if !ok {
		return
	}
	if websocket.IsWebSocketUpgrade(r) {
		g.serveSocket(w, r, route, grant)
		return
	}
	g.serveHTTP(w, r, route, grant)
}

// authorize asks whether a client may be here at all.
func (g gripHandler) authorize(w http.ResponseWriter, r *http.Request, route *Route) (Grant, bool) {
	if g.d.options.Authorize == nil || !route.Auth {
		return nil, true
	}
	grant, err := g.d.options.Authorize(r)
	if err != nil {
		g.d.metrics.refused.WithLabelValues("unauthorized").Inc()
		g.d.options.Log.Debug().Err(err).Str("path", route.Path).Str("remote", r.RemoteAddr).Msg("a client was not let in")
		refuseRequest(w, RefusalStatus(err))
		return nil, false
	}
	return grant, true
}

// mostRefusal bounds the body that a handler may send with a refusal.
const mostRefusal = 100_000

// serveSocket asks the handler about a WebSocket and answers the handshake as it says.
// It returns when the handshake is answered; the connection goes on by itself.
func (g gripHandler) serveSocket(w http.ResponseWriter, r *http.Request, route *Route, grant Grant) {
	d := g.d
	if !route.AllowsOrigin(r) {
		d.metrics.refused.WithLabelValues("origin").Inc()
		http.Error(w, fmt.Sprintf("The origin %.200q may not connect here. Add it to the route's allowed_origins.", r.Header.Get("Origin")), http.StatusForbidden)
		return
	}
	base := newRequest(r, route)
	base.method = http.MethodPost
	base.header = socketHeader(base.header)
	s := &session{d: d, route: route, ask: g.ask, base: base, id: message.NewID(), grant: grant}
	leave, err := d.Hold(route, s.ended)
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	unfollow := d.Follow(grant, s.topics, s.ended)
	release := func() {
		unfollow()
		leave()
	}
	a, ok := s.open(w, r)
	if !ok {
		s.end()
		release()
		return
	}
	conn, err := socket.Accept(w, r, acceptHeader(a, r, route), d.Socket(route))
	if err != nil {
		d.metrics.refused.WithLabelValues("handshake").Inc()
		s.vanished()
		s.end()
		release()
		return
	}
	if route.ForwardPings {
		conn.CollectControl()
	}
	s.attach(conn)
	go func() { // the door waits for it: it holds until release
		defer release()
		s.read()
	}()
}

// open asks the handler whether the client may connect, and answers the client if not.
func (s *session) open(w http.ResponseWriter, r *http.Request) (*answer, bool) {
	ctx, cancel := s.d.during(r)
	defer cancel()
	batch := []wire.Event{{Type: wire.EventOpen}}
	for {
		a, err := s.askEvents(batch, 0, false)
		if err != nil {
			s.d.metrics.requests.WithLabelValues("open", "failed").Inc()
			s.d.log.Warn("open", "", err, "a WebSocket was refused: its handler failed", "path", s.route.Path, "function", s.route.Function)
			writeFailure(w, err)
			return nil, false
		}
		if a.Status != http.StatusOK || !wire.IsEvents(a.Header.Get("Content-Type")) {
			s.d.metrics.requests.WithLabelValues("open", "refused").Inc()
			refuse(w, a)
			return nil, false
		}
		events, err := eventsOf(a)
		s.remember(a)
		s.mu.Lock()
		wait := s.interval
		s.mu.Unlock()
		switch {
		case err == nil && len(events) == 0 && wait > 0:
			// It has not made up its mind: it is asked again.
			if sleep(ctx, wait) != nil {
				return nil, false
			}
			batch = nil
			continue
		case err != nil || len(events) == 0 || events[0].Type != wire.EventOpen:
			s.d.metrics.requests.WithLabelValues("open", "bad").Inc()
			if err == nil {
				err = fmt.Errorf("%w: the first event must be OPEN", wire.ErrEvents)
			}
			s.d.log.Warn("open", "", err, "a WebSocket was refused: its handler's answer makes no sense", "path", s.route.Path, "function", s.route.Function)
			http.Error(w, "Bad Gateway", http.StatusBadGateway)
			return nil, false
		}
		s.d.metrics.requests.WithLabelValues("open", "ok").Inc()
		s.extension(a.Header["Sec-Websocket-Extensions"])
		s.mu.Lock()
		s.opened = true
		s.mu.Unlock()
		// Channels are bound before the client learns that it is connected: what it
		// causes from then on reaches it.
		s.apply(events[1:])
		return a, true
	}
}

// refuse passes a handler's refusal on as an ordinary answer.
func refuse(w http.ResponseWriter, a *answer) {
	for k, v := range a.Header {
		if k != "Content-Length" && k != "Sec-Websocket-Extensions" && k != "Keep-Alive-Interval" && !strings.HasPrefix(k, "Grip-") {
			w.Header()[k] = v
		}
	}
	body := a.Body[:min(len(a.Body), mostRefusal)]
	status := a.Status
	if status < 200 {
		status = http.StatusBadGateway
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}

// writeFailure tells a client that the handler has not answered.
func writeFailure(w http.ResponseWriter, err error) {
	switch {
	case errors.Is(err, function.ErrTimeout):
		http.Error(w, "Gateway Timeout", http.StatusGatewayTimeout)
	case errors.Is(err, function.ErrThrottled):
		w.Header().Set("Retry-After", "1")
		http.Error(w, "Service Unavailable", http.StatusServiceUnavailable)
	default:
		http.Error(w, "Bad Gateway", http.StatusBadGateway)
	}
}

// acceptHeader are the headers of the 101: the handler's, without those that were for
// us, and a subprotocol if the route knows one.
func acceptHeader(a *answer, r *http.Request, route *Route) http.Header {
	h := make(http.Header, len(a.Header))
	for k, v := range a.Header {
		switch k {
		case "Content-Length", "Content-Type", "Keep-Alive-Interval", "Content-Bytes-Accepted", "Sec-Websocket-Extensions",
			"Sec-Websocket-Accept", "Connection", "Upgrade", "Keep-Alive", "Transfer-Encoding", "Date":
		default:
			if !strings.HasPrefix(k, "Grip-") {
				h[k] = v
			}
		}
	}
	if h.Get("Sec-Websocket-Protocol") == "" {
		if p := Subprotocol(r, route.Subprotocols); p != "" {
			h.Set("Sec-Websocket-Protocol", p)
		}
	}
	return h
}

// Subprotocol is the first of a client's subprotocols that is in the list.
func Subprotocol(r *http.Request, list []string) string {
	for _, p := range websocket.Subprotocols(r) {
		if slices.Contains(list, p) {
			return p
		}
	}
	return ""
}

// ended is the door's way to end the session.
func (s *session) ended(code int, reason string) {
	s.mu.Lock()
	s.cut = true
	s.mu.Unlock()
	s.close(ending{code: code, reason: reason})
}

// read takes the client's messages to the handler until the connection ends.
func (s *session) read() {
	for {
		m, err := s.conn.Read()
		if err != nil {
			s.readEnded(err)
			return
		}
		switch m.Op {
		case socket.Text:
			s.incoming(wire.EventText, m)
		case socket.Binary:
			s.incoming(wire.EventBinary, m)
		case socket.Ping, socket.Pong:
			e := wire.Event{Type: wire.EventPing}
			if m.Op == socket.Pong {
				e.Type = wire.EventPong
			}
			if len(m.Data) > 0 {
				e.Content = m.Data
			}
			s.enqueue(e)
		}
		s.waitForRoom()
	}
}

func (s *session) incoming(kind string, m socket.Message) {
	if s.route.Publish != "" {
		s.publishIn(s.d.life, m)
	}
	s.enqueue(wire.Event{Type: kind, Content: m.Data})
}

// readEnded ends the session after its connection: a client that has said goodbye gets
// the handler's answer to it, of one that has gone the handler is told.
func (s *session) readEnded(err error) {
	closed, isClose := errors.AsType[*socket.CloseError](err)
	s.mu.Lock()
	said, cut := s.said, s.cut
	if isClose {
		s.peer = ending{code: closed.Code, reason: closed.Reason}
	}
	s.mu.Unlock()
	switch {
	case isClose && !said:
		s.askGoodbye(closed)
	case isClose && !cut: // the answer to ours
	default:
		s.vanished()
	}
	s.end()
	s.conn.Finish()
}

// askGoodbye tells the handler that the client closes, and closes as it answers.
func (s *session) askGoodbye(closed *socket.CloseError) {
	s.enqueue(wire.Event{Type: wire.EventClose, Content: wire.CloseContent(socket.AnswerCode(closed.Code), closed.Reason)})
	s.mu.Lock()
	var idle chan struct{}
	if s.working {
		idle = make(chan struct{})
		s.idle = idle
	}
	s.mu.Unlock()
	if idle != nil {
		<-idle
	}
	s.close(ending{code: socket.AnswerCode(closed.Code), reason: closed.Reason}) // if the handler has not
}

// vanished tells the handler that the client has gone without a word.
func (s *session) vanished() {
	s.mu.Lock()
	tell := s.opened && !s.over && !s.route.NoDisconnect
	s.mu.Unlock()
	if tell {
		s.enqueue(wire.Event{Type: wire.EventDisconnect})
	}
}

// end gives up what the session holds. What the handler is still to be told is told.
func (s *session) end() {
	s.mu.Lock()
	sub := s.sub
	s.gone = true
	s.interval = 0
	for _, t := range [...]*time.Timer{s.poll, s.delayed} {
		if t != nil {
			t.Stop()
		}
	}
	if s.beat != nil {
		s.beat.stop()
	}
	s.delay = nil
	s.mu.Unlock()
	if sub != nil {
		sub.Close()
	}
}

// origin is the client as the sender of a message.
func (s *session) origin() message.Origin {
	o := message.Origin{ClientID: s.id, Via: message.ViaHTTP}
	if a, err := netip.ParseAddr(s.base.addr); err == nil {
		o.Addr = netip.AddrPortFrom(a.Unmap(), 0)
	}
	if s.grant != nil {
		o.Principal = s.grant.Name()
	}
	return o
}
