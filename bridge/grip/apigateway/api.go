package apigateway

import (
	"encoding/base32"
	"errors"
	"hash/fnv"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/expression"
)

// api is a route of the configuration as this package serves it. It is read-only.
type api struct {
	route      *grip.Route
	id         string
	stage      string
	selection  *expression.Selection
	routes     map[string]*apiRoute
	authorizer string
	subscribe  []*expression.Topic
	limits     limits
	inFlight   int
}

// apiRoute is what happens with the messages of one key.
type apiRoute struct {
	key                    string
	function               string // empty: it is worked off here
	response               bool
	subscribe, unsubscribe []*expression.Topic
	publish                *expression.Topic
}

// limits bound a connection; 0 = no bound, except where said otherwise.
type limits struct {
	frame    int
	message  int // of a client, and to it
	idle     time.Duration
	lifetime time.Duration
	timeout  time.Duration // of an invocation; never 0
}

// API Gateway's limits.
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-execution-service-websocket-limits-table.html)
const (
	awsFrame    = 32 << 10
	awsMessage  = 128 << 10
	awsIdle     = 10 * time.Minute
	awsLifetime = 2 * time.Hour
	awsTimeout  = 29 * time.Second
)

// compileAPI makes an api of a checked route.
func compileAPI(r *grip.Route) (*api, error) {
	c := r.APIGateway
	a := &api{
		route: r, id: apiID(r.Path), stage: Stage(r.RouteConfig), authorizer: c.Authorizer, inFlight: max(1, c.MaxInFlight),
		routes: make(map[string]*apiRoute), limits: limitsOf(r),
	}
	source := c.Selection
	if source == "" {
		source = expression.DefaultSelection
	}
	var errs []error
	var err error
	if a.selection, err = expression.ParseSelection(source); err != nil {
		errs = append(errs, err)
	}
	topics := func(sources []string, scope expression.Scope) (list []*expression.Topic) {
		for _, s := range sources {
			t, err := expression.ParseTopic(s, scope, true)
			errs = append(errs, err)
			list = append(list, t)
		}
		return list
	}
	a.subscribe = topics(c.Subscribe, expression.Scope{Request: true})
	if r.Function != "" {
		for _, key := range [...]string{grip.RouteConnect, grip.RouteDisconnect, grip.RouteDefault} {
			a.routes[key] = &apiRoute{key: key, function: r.Function}
		}
	}
	for key, rc := range c.Routes {
		scope := grip.RouteScope(key)
		route := &apiRoute{key: key, function: rc.Function, response: rc.Response}
		if route.function == "" {
			route.function = r.Function
		}
		route.subscribe, route.unsubscribe = topics(rc.Subscribe, scope), topics(rc.Unsubscribe, scope)
		if rc.Publish != "" {
			route.publish, err = expression.ParseTopic(rc.Publish, scope, false)
			errs = append(errs, err)
		}
		a.routes[key] = route
	}
	return a, errors.Join(errs...)
}

func limitsOf(r *grip.Route) limits {
	c := r.APIGateway
	l := limits{message: r.MaxMessage}
	if c.Limits == grip.LimitsAWS {
		l = limits{frame: awsFrame, message: min(r.MaxMessage, awsMessage), idle: awsIdle, lifetime: awsLifetime}
	}
	if c.MaxFrame > 0 {
		l.frame = c.MaxFrame
	}
	set := func(d *time.Duration, value time.Duration) {
		if value != 0 {
			*d = max(0, value) // negative = for ever
		}
	}
	set(&l.idle, c.IdleTimeout)
	set(&l.lifetime, c.MaxLifetime)
	l.timeout = awsTimeout
	set(&l.timeout, c.Timeout)
	return l
}

// routeFor is the route that a message takes; nil if there is none. Predefined keys are
// no keys that a message can name, but for $default.
func (a *api) routeFor(message []byte) *apiRoute {
	if key, ok := a.selection.Key(message); ok && key != grip.RouteConnect && key != grip.RouteDisconnect {
		if r := a.routes[key]; r != nil {
			return r
		}
	}
	return a.routes[grip.RouteDefault]
}

// Stage is the name of a route's stage: what it says, else its path if that has one level, as
// the URLs of AWS do, else prod.
func Stage(r grip.RouteConfig) string {
	if r.APIGateway.Stage != "" {
		return r.APIGateway.Stage
	}
	if s := strings.Trim(strings.TrimSuffix(r.Path, "/*"), "/"); s != "" && !strings.Contains(s, "/") {
		return s
	}
	return "prod"
}

// apiID is 10 letters and digits, as AWS's are, the same for a path at every start.
func apiID(path string) string {
	h := fnv.New64a()
	_, _ = h.Write([]byte(path))
	return strings.ToLower(base32.StdEncoding.EncodeToString(h.Sum(nil)))[:10]
}
