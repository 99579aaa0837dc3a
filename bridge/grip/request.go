package grip

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/message"
)

// request is what a handler behind a route is asked, in the form that the two kinds of
// handlers have in common.
type request struct {
	method string
	uri    *url.URL // path and query, as the client asked for them
	proto  string
	host   string
	header http.Header // the client's, without what is not for the handler; shared, read-only
	extra  []wire.Param
	body   []byte
	addr   string // the client's IP address
	id     string // of this request
	secure bool
}

// handler asks what stands behind a route. An error means that no answer came.
type handler interface {
	ask(ctx context.Context, route *Route, r *request) (*answer, error)
}

// answer is a handler's response. Names in meta are as the handler wrote them.
type answer struct {
	wire.Response
	meta []wire.Param // Set-Meta-*: the names without that
}

// newRequest takes what stays the same over all requests for one client.
func newRequest(r *http.Request, route *Route) *request {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	q := &request{
		method: r.Method, uri: r.URL, proto: r.Proto, host: r.Host, addr: host,
		header: clientHeader(r.Header), id: message.NewID(), secure: r.TLS != nil,
	}
	if route.Headers == ForwardSet {
		q.forwarded(r)
	}
	return q
}

// forwarded says where the client is and how it came.
func (q *request) forwarded(r *http.Request) {
	proto := "http"
	if q.secure {
		proto = "https"
	}
	list := append(r.Header.Values("X-Forwarded-For"), q.addr)
	q.header["X-Forwarded-For"] = []string{strings.Join(list, ", ")}
	q.header["X-Forwarded-Proto"] = []string{proto}
}

// clientHeader is a copy of a client's headers without those that are about one
// connection or that only this server may send to a handler: nobody forges those.
func clientHeader(in http.Header) http.Header {
	out := make(http.Header, len(in))
	for k, v := range in {
		if reservedHeader(k) {
			continue
		}
		if rest, ok := strings.CutPrefix(k, "Sec-Websocket-"); ok {
			k = "Sec-WebSocket-" + rest // as everybody but Go writes it
		}
		out[k] = v
	}
	for _, line := range in["Connection"] { // RFC 9110, section 7.6.1
		for name := range strings.SplitSeq(line, ",") {
			delete(out, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
	return out
}

// reservedHeader reports whether a header of a client does not reach the handler.
func reservedHeader(name string) bool {
	switch name {
	case "Connection", "Keep-Alive", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade", "Expect",
		"Accept-Encoding", // what is published could not go on in the encoding of a held answer
		"Content-Length", "Connection-Id", "Content-Bytes-Replayed", "X-Forwarded-For", "X-Forwarded-Proto":
		return true
	}
	return strings.HasPrefix(name, "Grip-") || strings.HasPrefix(name, "Meta-")
}

// socketHeader takes away what is about the handshake only: the handler answers
// events, not the handshake.
func socketHeader(h http.Header) http.Header {
	for _, name := range [...]string{
		"Accept", "Content-Encoding", "Content-Type", "Sec-WebSocket-Extensions",
	} {
		delete(h, name)
	}
	return h
}

// with is the request with other extra headers and another body.
func (q *request) with(extra []wire.Param, body []byte) *request {
	next := *q
	next.extra, next.body = extra, body
	return &next
}

// features is what Grip-Feature says.
const features = "status, link:next, link:gone, filter:skip-self, filter:skip-users, filter:require-sub, filter:build-id, filter:var-subst"
