// Package invokeapi is Lambda's own interface as a door: what the aws command line and
// AWS's SDKs speak to `--endpoint-url`, so that a function can invoke another one, and
// a person any of them. It serves the declared functions, whatever stands behind them,
// and never reaches one that the configuration does not name. It knows no rules and no
// signatures: who makes a request is found out by a func.
//
// (https://docs.aws.amazon.com/lambda/latest/api/API_Operations.html)
package invokeapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/message"
)

// MaxHops is how many rules and functions in a row may end in an invocation through this
// door. AWS stops such loops after about 16.
// (https://docs.aws.amazon.com/lambda/latest/dg/invocation-recursion.html)
const MaxHops = 16

// Functions are what the door serves.
type Functions interface {
	// Names are the declared names in alphabetical order.
	Names() []string
	// Describe describes a function by its name or ARN; false if it is not declared.
	Describe(nameOrARN string) (function.Description, bool)
	// Invoke calls one; ctx carries a [function.Call].
	Invoke(ctx context.Context, name string, payload []byte) ([]byte, error)
	// InvokeLater takes an event over: nil means that the function will be invoked with
	// it, and again if it fails. An error that is a *[function.ThrottledError] says that
	// there is no room.
	InvokeLater(ctx context.Context, name string, payload []byte) error
	// SetConcurrency changes how many invocations may run at once; -1 undoes that.
	SetConcurrency(nameOrARN string, n int) (int, error)
}

// Caller is who makes a request.
type Caller struct {
	// Name is for the log.
	Name string
	// Hops is how many rules and functions have passed the message on whose behalf a
	// function makes the request, its own invocation included; 0 for anybody else.
	Hops uint8
	// May says whether it may do an action, such as [ActionInvoke], to a function: its
	// name, perhaps with :QUALIFIER; empty for all of them. nil means everything.
	May func(action, function string) bool
}

// Options are what a Handler needs.
type Options struct {
	Functions Functions
	// Authenticate says who makes a request, whose body has been read already. An error
	// that is an *[Error] is answered as such.
	Authenticate func(r *http.Request, body []byte) (Caller, error)
	// Log and Metrics; the zero values discard.
	Log     zerolog.Logger
	Metrics prometheus.Registerer
}

// Handler serves the interface. It is safe for concurrent use.
type Handler struct {
	o        Options
	requests *prometheus.CounterVec
}

// New returns a Handler.
func New(o Options) *Handler {
	h := &Handler{o: o, requests: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "topicwire_lambda_api_requests_total",
		Help: "Requests to the Lambda interface, by operation and error type; ok for none, function_error for a function that failed.",
	}, []string{"operation", "outcome"})}
	if o.Metrics != nil {
		o.Metrics.MustRegister(h.requests)
	}
	return h
}

// path is /DATE/functions, perhaps with /NAME and perhaps with what is asked of it.
var path = regexp.MustCompile(`^/(20\d\d-\d\d-\d\d)/functions/?(?:([^/]+)(?:/([^/]+)/?)?)?$`)

// Mine reports whether a request's path, as it was sent, belongs to this door.
func Mine(escapedPath string) bool {
	return strings.HasPrefix(escapedPath, "/20") && len(escapedPath) > len("/2015-03-31/functions")-1 &&
		strings.HasPrefix(escapedPath[len("/2015-03-31"):], "/functions")
}

// operations are all there are: by method, date and what is asked of a function, or "-"
// for the list of all.
var operations = [...]operation{
	{"GET", "2015-03-31", "-", "ListFunctions", "lambda:ListFunctions", (*call).list},
	{"GET", "2015-03-31", "", "GetFunction", "lambda:GetFunction", (*call).get},
	{"GET", "2015-03-31", "configuration", "GetFunctionConfiguration", "lambda:GetFunctionConfiguration", (*call).configuration},
	{"POST", "2015-03-31", "invocations", "Invoke", ActionInvoke, (*call).invoke},
	{"POST", "2021-11-15", "response-streaming-invocations", "InvokeWithResponseStream", ActionInvoke, (*call).stream},
	{"POST", "2014-11-13", "invoke-async", "InvokeAsync", ActionInvoke, (*call).invokeAsync},
	{"GET", "2019-09-30", "concurrency", "GetFunctionConcurrency", "lambda:GetFunctionConcurrency", (*call).getConcurrency},
	{"PUT", "2017-10-31", "concurrency", "PutFunctionConcurrency", "lambda:PutFunctionConcurrency", (*call).putConcurrency},
	{"DELETE", "2017-10-31", "concurrency", "DeleteFunctionConcurrency", "lambda:DeleteFunctionConcurrency", (*call).deleteConcurrency},
}

// ActionInvoke is what IAM policies call every way of invoking a function.
const ActionInvoke = "lambda:InvokeFunction"

type operation struct {
	method, date, what string
	name               string
	action             string // as IAM policies name it
	do                 func(c *call) error
}

func findOperation(method, date, what string) (operation, bool) {
	for _, op := range operations {
		if op.method == method && op.date == date && op.what == what {
			return op, true
		}
	}
	return operation{}, false
}

// call is one request on its way.
type call struct {
	*Handler
	w         http.ResponseWriter
	r         *http.Request
	query     url.Values
	body      []byte
	caller    Caller
	requestID string
	// function is what the path names; the zero value for the list of all.
	function  function.Description
	qualifier string
	outcome   string
}

// ServeHTTP serves one request.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c := &call{Handler: h, w: w, r: r, requestID: message.NewID(), outcome: "ok"}
	w.Header().Set("X-Amzn-RequestId", c.requestID)
	name, err := c.serve()
	if err != nil {
		e := c.describe(err)
		c.outcome = e.Type
		if e.Status >= http.StatusInternalServerError {
			h.o.Log.Error().Err(err).Str("operation", name).Str("function", c.function.Name).Str("request_id", c.requestID).Msg("a Lambda request failed")
		}
		e.write(w)
	}
	h.requests.WithLabelValues(name, c.outcome).Inc()
}

func (c *call) serve() (operationName string, err error) {
	m := path.FindStringSubmatch(c.r.URL.EscapedPath())
	if m == nil {
		return "unknown", errNoOperation
	}
	what := m[3]
	if m[2] == "" {
		what = "-"
	}
	op, ok := findOperation(c.r.Method, m[1], what)
	if !ok {
		return "unknown", errNoOperation
	}
	if c.query, err = url.ParseQuery(c.r.URL.RawQuery); err != nil {
		return op.name, invalid("the query is malformed: %v", err)
	}
	if err := c.readBody(); err != nil {
		return op.name, err
	}
	if c.caller, err = c.o.Authenticate(c.r, c.body); err != nil {
		return op.name, err
	}
	if m[2] != "" {
		if err := c.find(m[2]); err != nil {
			return op.name, err
		}
	}
	if c.caller.May != nil && !c.caller.May(op.action, c.qualified()) {
		return op.name, &Error{http.StatusForbidden, "AccessDeniedException", c.caller.Name + " is not allowed to do " + op.action + " on " + c.arn(), "", 0}
	}
	return op.name, op.do(c)
}

// arn is that of the function, or * for all.
func (c *call) arn() string {
	if c.function.ARN == "" {
		return "*"
	}
	return c.function.ARN
}

// qualified is the function's name with the qualifier that the caller gave.
func (c *call) qualified() string {
	if c.qualifier == "" {
		return c.function.Name
	}
	return c.function.Name + ":" + c.qualifier
}

// find finds the function that a path segment names: a name, a partial or a full ARN,
// each with a qualifier if its writer likes, percent-encoded.
func (c *call) find(segment string) error {
	given, err := url.PathUnescape(segment)
	if err != nil {
		return invalid("the path is malformed: %v", err)
	}
	name, qualifier, err := function.SplitName(given)
	if err != nil {
		return invalid("%v", err)
	}
	c.qualifier = c.query.Get("Qualifier")
	switch {
	case qualifier == "":
	case c.qualifier != "" && c.qualifier != qualifier:
		return invalid("The derived qualifier from the function name does not match the specified qualifier.")
	default:
		c.qualifier = qualifier
	}
	var ok bool
	if c.function, ok = c.o.Functions.Describe(given); !ok { // an ARN as it is declared
		if c.function, ok = c.o.Functions.Describe(name); !ok {
			return &Error{http.StatusNotFound, typeNotFound, "Function not found: " + given + ": it is not under functions in the configuration", "", 0}
		}
	}
	return nil
}

// write answers with JSON.
func (c *call) write(status int, v any) {
	b, err := json.Marshal(v)
	if err != nil { // plain structs always marshal
		status, b = http.StatusInternalServerError, nil
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(b) // the caller has gone: there is nobody to tell
}
