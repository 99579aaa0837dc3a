// Package iotdata is AWS IoT's data plane over HTTP: what an AWS SDK's iot-data client
// and `aws iot-data --endpoint-url` speak. A program publishes a message with one
// request, reads retained messages, looks at clients, ends their connections, and sends
// one of them a message directly. It knows neither MQTT packets nor signatures: who
// makes a request is found out by a func, and the broker does the work.
//
// (https://docs.aws.amazon.com/iot/latest/apireference/API_Operations_AWS_IoT_Data_Plane.html)
package iotdata

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/message"
)

// Publisher sends messages; *[broker.Broker] does.
type Publisher interface {
	// Publish publishes to everybody; at QoS 1 and 2 nil means that it is durable.
	Publish(ctx context.Context, m *message.Message) error
	// Direct sends to one client.
	Direct(ctx context.Context, clientID string, m *message.Message, confirm bool) error
}

// Retained reads retained messages; *[broker.Broker] does.
type Retained interface {
	Retained(topic string) *message.Message
	RetainedPage(after string, n int) []*message.Message
}

// Clients looks after clients; *[broker.Broker] does.
type Clients interface {
	Client(id string) (broker.ClientInfo, bool)
	Subscriptions(id string) ([]broker.SubscriptionInfo, bool)
	Kick(id string, endSession, noWill bool) error
}

// Broker is all of what the door needs.
type Broker interface {
	Publisher
	Retained
	Clients
}

// Caller is who makes a request.
type Caller struct {
	// Principal is the identity.
	Principal *auth.Principal
	// Hops is how many rules and functions have passed the message on whose behalf a
	// function makes the request; what it publishes has this number. 0 for a program
	// that is no function.
	Hops uint8
}

// Options are what a Handler needs.
type Options struct {
	// Broker does the work.
	Broker Broker
	// Authenticate says who makes a request, whose body has been read already. An error
	// that is an *[Error] is answered as such, any other one as [auth.HTTPStatus] says,
	// and its text goes to the log.
	Authenticate func(r *http.Request, body []byte) (Caller, error)
	// MaxPayload is the largest message that is read, in bytes; 128 KB, which is AWS's
	// limit, if 0.
	MaxPayload int
	// Log and Metrics; the zero values discard.
	Log     zerolog.Logger
	Metrics prometheus.Registerer
}

// defaultPayload is what AWS IoT takes.
// (https://docs.aws.amazon.com/general/latest/gr/iot-core.html#message-broker-limits)
const defaultPayload = 128 << 10

// Handler serves the data plane. It is safe for concurrent use.
type Handler struct {
	o        Options
	requests *prometheus.CounterVec
}

// New returns a Handler.
func New(o Options) *Handler {
	if o.MaxPayload <= 0 {
		o.MaxPayload = defaultPayload
	}
	h := &Handler{o: o, requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "topicwire_iotdata_requests_total",
		Help: "Requests to the AWS IoT data plane, by operation and error type; ok for none.",
	}, []string{"operation", "outcome"})}
	if o.Metrics != nil {
		o.Metrics.MustRegister(h.requests)
	}
	return h
}

// The beginnings of the door's paths.
const (
	pathTopics      = "/topics/"
	pathRetained    = "/retainedMessage"
	pathConnections = "/connections/"
)

// Mine reports whether a request's path, as it was sent, belongs to this door.
func Mine(escapedPath string) bool {
	return strings.HasPrefix(escapedPath, pathTopics) || strings.HasPrefix(escapedPath, pathConnections) ||
		escapedPath == pathRetained || strings.HasPrefix(escapedPath, pathRetained+"/")
}

// call is one request on its way.
type call struct {
	*Handler
	r         *http.Request
	query     url.Values
	name      string // what the path names: a topic or a client identifier
	body      []byte
	caller    Caller
	requestID string
}

// operation is what a method and a path stand for.
type operation struct {
	name   string
	method string
	do     func(c *call) (any, error)
}

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{Handler: h, r: r, requestID: message.NewID()}
	w.Header().Set("X-Amzn-RequestId", c.requestID)
	name, answer, err := c.serve()
	outcome := "ok"
	if err != nil {
		e := describe(err)
		outcome = e.Type
		if e.Status >= http.StatusInternalServerError {
			h.o.Log.Error().Err(err).Str("operation", name).Str("trace_id", c.requestID).Msg("an IoT data plane request failed")
		}
		w.Header().Set("X-Amzn-ErrorType", e.Type)
		c.write(w, e.Status, map[string]string{"message": e.Message, "traceId": c.requestID})
	} else if answer == nil {
		w.WriteHeader(http.StatusOK)
	} else {
		c.write(w, http.StatusOK, answer)
	}
	h.requests.WithLabelValues(name, outcome).Inc()
}

func (c *call) serve() (name string, answer any, err error) {
	op, err := c.route()
	if err != nil {
		return "unknown", nil, err
	}
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return op.name, nil, invalid("the query is malformed: %v", err)
	}
	if c.body, err = c.readBody(); err != nil {
		return op.name, nil, err
	}
	if c.caller, err = c.o.Authenticate(c.r, c.body); err != nil {
		return op.name, nil, c.stranger(err)
	}
	answer, err = op.do(c)
	return op.name, answer, err
}

// stranger is the answer for a caller whom nobody knows.
func (c *call) stranger(err error) error {
	if own, ok := errors.AsType[*Error](err); ok {
		return own
	}
	c.o.Log.Debug().Err(err).Str("remote", c.r.RemoteAddr).Msg("the caller of the IoT data plane was refused")
	switch auth.HTTPStatus(err) {
	case http.StatusUnauthorized:
		return &Error{http.StatusForbidden, typeForbidden, "Missing Authentication Token"}
	case http.StatusForbidden:
		return &Error{http.StatusForbidden, typeForbidden, cmp.Or(auth.Told(err), "the credentials are refused")}
	case http.StatusTooManyRequests:
		return &Error{http.StatusTooManyRequests, typeThrottled, "too many wrong credentials"}
	default:
		return &Error{http.StatusServiceUnavailable, typeUnavailable, "the credentials cannot be checked now"}
	}
}

// route finds the operation, and what the path names. SDKs escape the slashes in a
// topic, people who write URLs by hand do not; both are taken.
func (c *call) route() (operation, error) {
	path := c.r.URL.EscapedPath()
	var ops []operation
	switch {
	case strings.HasPrefix(path, pathTopics):
		c.name = path[len(pathTopics):]
		ops = []operation{{"Publish", http.MethodPost, (*call).publish}}
	case strings.TrimSuffix(path, "/") == pathRetained:
		ops = []operation{{"ListRetainedMessages", http.MethodGet, (*call).listRetained}}
	case strings.HasPrefix(path, pathRetained+"/"):
		c.name = path[len(pathRetained)+1:]
		ops = []operation{{"GetRetainedMessage", http.MethodGet, (*call).getRetained}}
	case strings.HasPrefix(path, pathConnections):
		var rest string
		c.name, rest, _ = strings.Cut(path[len(pathConnections):], "/")
		switch rest {
		case "":
			ops = []operation{
				{"GetConnection", http.MethodGet, (*call).getConnection},
				{"DeleteConnection", http.MethodDelete, (*call).deleteConnection},
			}
		case "subscriptions":
			ops = []operation{{"ListSubscriptions", http.MethodGet, (*call).listSubscriptions}}
		case "messages":
			ops = []operation{{"SendDirectMessage", http.MethodPost, (*call).sendDirect}}
		}
	}
	if ops == nil {
		return operation{}, &Error{http.StatusNotFound, typeNotFound, "there is no such operation"}
	}
	var err error
	if c.name, err = url.PathUnescape(c.name); err != nil {
		return operation{}, invalid("the path is malformed: %v", err)
	}
	for _, op := range ops {
		if op.method == c.r.Method {
			return op, nil
		}
	}
	return operation{}, &Error{http.StatusMethodNotAllowed, "MethodNotAllowedException", "the operation is not called with " + c.r.Method}
}

func (c *call) readBody() ([]byte, error) {
	tooLarge := func() error {
		return &Error{http.StatusRequestEntityTooLarge, typeTooLarge, "the payload is larger than the limit"}
	}
	if c.r.ContentLength > int64(c.o.MaxPayload) {
		return nil, tooLarge()
	}
	body, err := io.ReadAll(io.LimitReader(c.r.Body, int64(c.o.MaxPayload)+1))
	switch {
	case err != nil:
		return nil, invalid("the request's body could not be read: %v", err)
	case len(body) > c.o.MaxPayload:
		return nil, tooLarge()
	}
	return body, nil
}

// may fails unless the caller may do action to what is called name.
func (c *call) may(action auth.Action, name string) error {
	d := c.caller.Principal.Decide(action, name)
	if d.Allowed {
		return nil
	}
	return &Error{http.StatusForbidden, typeForbidden, d.String()}
}

func (c *call) write(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	b, err := json.Marshal(v)
	if err != nil { // plain structs always marshal
		status, b = http.StatusInternalServerError, nil
	}
	w.WriteHeader(status)
	_, _ = w.Write(b) // the caller has gone: there is nobody to tell
}

// remote is the caller's address.
func (c *call) remote() netip.AddrPort {
	a, err := netip.ParseAddrPort(c.r.RemoteAddr)
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
}

// describe finds the answer for an error.
func describe(err error) *Error {
	var own *Error
	var reason interface{ ReasonCode() byte }
	switch {
	case errors.As(err, &own):
		return own
	case errors.Is(err, broker.ErrNoClient), errors.Is(err, broker.ErrNotConnected):
		return &Error{http.StatusNotFound, typeNotFound, err.Error()}
	case errors.Is(err, broker.ErrMayNotReceive):
		return &Error{http.StatusForbidden, typeForbidden, err.Error()}
	case errors.Is(err, broker.ErrNotConfirmed):
		return &Error{http.StatusGatewayTimeout, "GatewayTimeoutException", err.Error()}
	case errors.Is(err, broker.ErrNotServing):
		return &Error{http.StatusServiceUnavailable, typeUnavailable, err.Error()}
	case errors.As(err, &reason):
		return refused(reason.ReasonCode(), err)
	default:
		return &Error{http.StatusInternalServerError, "InternalFailureException", err.Error()}
	}
}
