package apigateway

import (
	"bytes"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/grip"
)

// The kinds of events.
const (
	eventConnect    = "CONNECT"
	eventMessage    = "MESSAGE"
	eventDisconnect = "DISCONNECT"
)

// event is what a function gets: AWS's document, with the fields in its order. The
// documents in aws-lambda-go's testdata are the model.
type event struct {
	Headers           map[string]string   `json:"headers,omitempty"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders,omitempty"`
	Query             map[string]string   `json:"queryStringParameters,omitempty"`
	MultiValueQuery   map[string][]string `json:"multiValueQueryStringParameters,omitempty"`
	StageVariables    map[string]string   `json:"stageVariables,omitempty"`
	RequestContext    requestContext      `json:"requestContext"`
	Body              *string             `json:"body,omitempty"`
	IsBase64Encoded   bool                `json:"isBase64Encoded"`
}

// requestContext is the part of an event that says what happened on which connection.
type requestContext struct {
	RouteKey             string          `json:"routeKey"`
	Authorizer           json.RawMessage `json:"authorizer,omitempty"`
	MessageID            string          `json:"messageId,omitempty"`
	DisconnectStatusCode int             `json:"disconnectStatusCode,omitempty"`
	EventType            string          `json:"eventType"`
	ExtendedRequestID    string          `json:"extendedRequestId"`
	RequestTime          string          `json:"requestTime"`
	MessageDirection     string          `json:"messageDirection"`
	DisconnectReason     *string         `json:"disconnectReason,omitempty"`
	Stage                string          `json:"stage"`
	ConnectedAt          int64           `json:"connectedAt"`
	RequestTimeEpoch     int64           `json:"requestTimeEpoch"`
	Identity             identity        `json:"identity"`
	RequestID            string          `json:"requestId"`
	DomainName           string          `json:"domainName"`
	ConnectionID         string          `json:"connectionId"`
	APIID                string          `json:"apiId"`
}

// identity is where a client comes from.
type identity struct {
	UserAgent string `json:"userAgent,omitempty"`
	SourceIP  string `json:"sourceIp"`
}

// client is what every event of a connection repeats.
type client struct {
	id          string
	apiID       string
	stage       string
	domain      string
	host        string // as the client asked for it
	connectedAt time.Time
	identity    identity
	authorizer  json.RawMessage // its context; nil without an authorizer
	variables   map[string]string
}

// context is the part that all events of the connection have in common; requestID
// becomes the request's identity.
func (c *client) context(route, kind, requestID string, now time.Time) requestContext {
	return requestContext{
		RouteKey: route, EventType: kind, MessageDirection: "IN",
		RequestID: requestID, ExtendedRequestID: requestID,
		RequestTime: now.UTC().Format("02/Jan/2006:15:04:05 +0000"), RequestTimeEpoch: now.UnixMilli(),
		Stage: c.stage, ConnectedAt: c.connectedAt.UnixMilli(), Identity: c.identity,
		DomainName: c.domain, ConnectionID: c.id, APIID: c.apiID, Authorizer: c.authorizer,
	}
}

// connectEvent is the document of a handshake.
func (c *client) connectEvent(r *http.Request, requestID string, now time.Time) []byte {
	e := c.handshake(r)
	e.RequestContext = c.context(grip.RouteConnect, eventConnect, requestID, now)
	return encode(e)
}

// handshake is what a handshake says: its headers and its query.
func (c *client) handshake(r *http.Request) *event {
	e := &event{StageVariables: c.variables}
	e.Headers, e.MultiValueHeaders = headers(r, c.identity.SourceIP)
	e.Query, e.MultiValueQuery = query(r.URL)
	return e
}

// messageEvent is the document of a client's message. AWS sends no headers with it.
func (c *client) messageEvent(route, body, requestID string, now time.Time) []byte {
	e := &event{StageVariables: c.variables, RequestContext: c.context(route, eventMessage, requestID, now), Body: &body}
	e.RequestContext.MessageID = newID()
	return encode(e)
}

// disconnectEvent is the document of a connection that has ended.
func (c *client) disconnectEvent(code int, reason, requestID string, now time.Time) []byte {
	e := &event{
		Headers:           map[string]string{"Host": c.host, "x-api-key": "", "X-Forwarded-For": "", "x-restapi": ""},
		MultiValueHeaders: map[string][]string{"Host": {c.host}, "x-api-key": {""}, "X-Forwarded-For": {""}, "x-restapi": {""}},
		StageVariables:    c.variables,
		RequestContext:    c.context(grip.RouteDisconnect, eventDisconnect, requestID, now),
	}
	e.RequestContext.DisconnectStatusCode, e.RequestContext.DisconnectReason = code, &reason
	return encode(e)
}

func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // AWS does not either
	_ = e.Encode(v)        // strings, numbers and JSON that has been checked
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// headers are those of a handshake, once with their last values and once with all. As
// AWS does, the gateway adds who has asked, and over what.
func headers(r *http.Request, source string) (last map[string]string, all map[string][]string) {
	all = make(map[string][]string, len(r.Header)+5)
	for name, values := range r.Header {
		switch name {
		case "Connection", "Upgrade", "X-Forwarded-For", "X-Forwarded-Port", "X-Forwarded-Proto":
			continue // of this hop; a client's word for the others is worth nothing
		}
		all[spelled(name)] = values
	}
	scheme, port := "http", "80"
	if r.TLS != nil {
		scheme, port = "https", "443"
	}
	if a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr); ok {
		if _, p, err := net.SplitHostPort(a.String()); err == nil {
			port = p
		}
	}
	all["Host"] = []string{r.Host}
	all["X-Forwarded-For"] = []string{source}
	all["X-Forwarded-Port"] = []string{port}
	all["X-Forwarded-Proto"] = []string{scheme}
	if len(all["X-Amzn-Trace-Id"]) == 0 {
		all["X-Amzn-Trace-Id"] = []string{traceID(time.Now())}
	}
	last = make(map[string]string, len(all))
	for name, values := range all {
		last[name] = values[len(values)-1]
	}
	return last, all
}

// spelled writes a header's name as browsers and AWS do; Go's way is its own.
func spelled(name string) string {
	if rest, ok := strings.CutPrefix(name, "Sec-Websocket-"); ok {
		return "Sec-WebSocket-" + rest
	}
	return name
}

func query(u *url.URL) (last map[string]string, all map[string][]string) {
	values := u.Query()
	if len(values) == 0 {
		return nil, nil
	}
	last = make(map[string]string, len(values))
	for name, v := range values {
		last[name] = v[len(v)-1]
	}
	return last, values
}

// newID makes an identity as AWS writes them, 16 characters with 88 random bits, but
// of letters that need no escaping in a URL or a topic.
func newID() string {
	var b [11]byte
	_, _ = rand.Read(b[:]) // never fails
	return base64.URLEncoding.EncodeToString(b[:])
}

// traceID is the trace header that a gateway begins.
// (https://docs.aws.amazon.com/xray/latest/devguide/xray-concepts.html)
func traceID(now time.Time) string {
	var b [12]byte
	_, _ = rand.Read(b[:])
	return fmt.Sprintf("Root=1-%08x-%s", now.Unix(), hex.EncodeToString(b[:]))
}

// errorFrame is what a client is told when its message could not be worked off, with
// AWS's spaces.
func errorFrame(message, connectionID, requestID string) []byte {
	return fmt.Appendf(nil, `{"message": %q, "connectionId":%q, "requestId":%q}`, message, connectionID, requestID)
}

// AWS's words for what went wrong.
const (
	textForbidden = "Forbidden"
	textInternal  = "Internal server error"
	textTimeout   = "Endpoint request timed out"
)
