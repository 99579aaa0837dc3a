package apigateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/socket"
)

// ServeRoute takes a handshake: the authorizer and $connect are asked before it is
// answered. It implements [grip.Handler].
func (g *Gateway) ServeRoute(w http.ResponseWriter, r *http.Request, route *grip.Route) {
	if IsManagement(r) {
		g.Management(g.o.AuthorizeManagement).ServeHTTP(w, r)
		return
	}
	a, err := apiOf(route)
	if err != nil { // a route that was not checked
		g.o.Log.Error().Err(err).Str("path", route.Path).Msg("the route cannot be served")
		http.Error(w, textInternal, http.StatusInternalServerError)
		return
	}
	if !websocket.IsWebSocketUpgrade(r) {
		w.Header().Set("Upgrade", "websocket") // RFC 9110, section 15.5.22
		http.Error(w, "This is a WebSocket API: connect with ws:// or wss://.", http.StatusUpgradeRequired)
		return
	}
	if !g.begin() {
		http.Error(w, errStopping.Error(), http.StatusServiceUnavailable)
		return
	}
	c := g.newConnection(a, r)
	release, err := g.o.Hold(route, c.close)
	if err != nil {
		g.wg.Done()
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	end := func() {
		if c.unfollow != nil {
			c.unfollow()
		}
		release()
		g.wg.Done()
	}
	if !c.connect(w, r) {
		end()
		return
	}
	go func() { // without what net/http keeps for a request
		defer end()
		c.run()
	}()
}

func (g *Gateway) newConnection(a *api, r *http.Request) *connection {
	now := time.Now()
	c := &connection{g: g, api: a, client: client{
		id: newID(), apiID: a.id, stage: a.stage, host: r.Host, domain: a.route.APIGateway.DomainName,
		connectedAt: now, variables: a.route.APIGateway.Variables,
		identity: identity{UserAgent: r.UserAgent(), SourceIP: sourceIP(r)},
	}}
	if c.domain == "" && g.o.Domain != nil {
		c.domain = g.o.Domain(a.route)
	}
	if c.domain == "" {
		c.domain = r.Host
	}
	c.cond.L = &c.mu
	c.lastActive.Store(now.UnixMilli())
	return c
}

func sourceIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// refusal is why a handshake is not accepted: what its answer says.
type refusal struct {
	status int
	text   string // AWS's word for it
	header http.Header
	body   []byte // the function's own, in place of AWS's
	cause  error  // for the log
}

// connect asks whoever has a say and answers the handshake; true if the connection has
// begun.
func (c *connection) connect(w http.ResponseWriter, r *http.Request) bool {
	requestID := newID()
	header, no := c.ask(r, requestID)
	if no != nil {
		c.refuse(w, no, requestID)
		return false
	}
	o := c.g.o.Sockets(c.api.route)
	o.MaxMessage = c.api.limits.message
	o.MaxFrame = c.api.limits.frame
	s, err := socket.Accept(w, r, header, o)
	if err == nil {
		err = c.open(s)
	}
	if err == nil {
		return true
	}
	// The function has been told of a connection: it learns that there is none.
	c.g.log.Debug().Err(err).Str("connection", c.id).Msg("WebSocket handshake failed")
	c.g.metrics.refused.WithLabelValues("handshake").Inc()
	c.unsubscribeAll()
	code, reason := c.ended(err)
	c.disconnected(code, reason)
	return false
}

// ask asks the page's origin, the server's own authorization, the authorizer and
// $connect, in that order. It returns the headers of the answer.
func (c *connection) ask(r *http.Request, requestID string) (http.Header, *refusal) {
	if !c.api.route.AllowsOrigin(r) {
		return nil, &refusal{status: http.StatusForbidden, text: textForbidden, cause: fmt.Errorf("the origin %.200q is not in allowed_origins", r.Header.Get("Origin"))}
	}
	if c.g.o.Authorize != nil && c.api.route.Auth {
		grant, err := c.g.o.Authorize(r)
		if err != nil {
			status := grip.RefusalStatus(err)
			return nil, &refusal{status: status, text: http.StatusText(status), cause: err}
		}
		c.grant = grant
		if c.g.o.Follow != nil {
			c.unfollow = c.g.o.Follow(grant, c.filters, c.close)
		}
	}
	if c.api.authorizer != "" {
		if no := c.authorize(r, requestID); no != nil {
			return nil, no
		}
	}
	header := make(http.Header)
	route := c.api.routes[grip.RouteConnect]
	if route != nil && route.function != "" {
		a, no := c.askFunction(r, route, requestID)
		if no != nil {
			return nil, no
		}
		header = a.handshakeHeader()
		c.asked = a.list(headerSubscribe)
	}
	if header.Get("Sec-WebSocket-Protocol") == "" {
		if p := grip.Subprotocol(r, c.api.route.Subprotocols); p != "" {
			header.Set("Sec-WebSocket-Protocol", p)
		}
	}
	if err := c.firstTopics(r, route); err != nil {
		return nil, &refusal{status: http.StatusForbidden, text: textForbidden, cause: err}
	}
	return header, nil
}

// askFunction invokes $connect. What a function answers besides success refuses the client;
// a function that fails does so with 502, or 504 if it takes too long.
func (c *connection) askFunction(r *http.Request, route *apiRoute, requestID string) (*answer, *refusal) {
	out, err := c.g.invoke(c.api, route.function, eventConnect, c.connectEvent(r, requestID, time.Now()))
	if err != nil {
		return nil, &refusal{status: statusOf(err), text: textOf(err), cause: err}
	}
	a, err := parseAnswer(out)
	if err != nil {
		return nil, &refusal{status: http.StatusBadGateway, text: textInternal, cause: err}
	}
	if !a.ok() {
		return nil, &refusal{
			status: a.status, text: http.StatusText(a.status), header: a.handshakeHeader(), body: a.body,
			cause: fmt.Errorf("$connect answered with status %d", a.status),
		}
	}
	return a, nil
}

// statusOf is the HTTP status for a function that could not be invoked or has failed.
func statusOf(err error) int {
	switch {
	case errors.Is(err, function.ErrTimeout):
		return http.StatusGatewayTimeout
	case errors.Is(err, function.ErrThrottled):
		return http.StatusTooManyRequests
	default:
		return http.StatusBadGateway
	}
}

// textOf is AWS's word for it.
func textOf(err error) string {
	if errors.Is(err, function.ErrTimeout) {
		return textTimeout
	}
	return textInternal
}

// handshakeHeader are the headers of an answer to $connect that go to the client: AWS hands
// on Sec-WebSocket-Protocol; here cookies and the like pass too.
func (a *answer) handshakeHeader() http.Header {
	h := make(http.Header)
	for name, values := range a.header {
		switch {
		case name == "Sec-Websocket-Protocol":
			h["Sec-Websocket-Protocol"] = values
		case strings.HasPrefix(name, "Sec-Websocket-"), strings.HasPrefix(name, "Topicwire-"):
		case slices.Contains([]string{"Connection", "Upgrade", "Content-Length", "Content-Type", "Transfer-Encoding", "Date", "Keep-Alive"}, name):
		default:
			h[name] = values
		}
	}
	return h
}

// refuse answers a handshake that is not accepted.
func (c *connection) refuse(w http.ResponseWriter, no *refusal, requestID string) {
	c.g.log.Info().Err(no.cause).Str("connection", c.id).Int("status", no.status).Msg("WebSocket refused")
	c.g.metrics.refused.WithLabelValues(fmt.Sprint(no.status)).Inc()
	maps.Copy(w.Header(), no.header)
	body := no.body
	if len(body) == 0 {
		body = errorFrame(no.text, c.id, requestID)
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if json.Valid(body) {
		w.Header().Set("Content-Type", "application/json")
	}
	w.Header().Set("X-Amzn-RequestId", requestID)
	w.WriteHeader(no.status)
	_, _ = w.Write(body) //nolint:gosec // the function's own answer, with its own type; a client that has gone needs none
}
