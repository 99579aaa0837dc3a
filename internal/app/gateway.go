package app

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/apigateway"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/internal/config"
)

// newGateway makes what serves the routes of mode apigateway, and the door through which
// functions that run here reach its @connections.
func (a *app) newGateway(cfg *config.Config) error {
	a.inner = newFunctionDoor(a.log)
	g, err := apigateway.New(apigateway.Options{
		Space:               space{a.broker},
		Functions:           byName{a.functions},
		Sockets:             a.door.Socket,
		Hold:                a.door.Hold,
		Authorize:           a.grants.authorize,
		Follow:              a.door.Follow,
		AuthorizeManagement: a.authorizeManagement,
		Domain:              a.inner.domain,
		MaxSubscriptions:    cfg.Grip.MaxSubscriptions,
		Log:                 a.log,
		Metrics:             a.metrics,
	})
	if err != nil {
		return err
	}
	a.gateway = g
	a.door.Handle(grip.ModeAPIGateway, g)
	a.inner.handler = g.Management(nil) // only this machine reaches it
	return a.inner.Load(cfg)
}

// withManagement puts the API Gateway Management API before another handler: handlers post
// to https://{domainName}/{stage}/@connections, whatever the stage is.
func (a *app) withManagement(other http.Handler) http.Handler {
	management := a.gateway.Management(a.authorizeManagement)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if apigateway.IsManagement(r) {
			management.ServeHTTP(w, r)
			return
		}
		other.ServeHTTP(w, r)
	})
}

// errNotAuthorized is what a request to @connections is told; the log says more.
var errNotAuthorized = errors.New("the request is not authorized")

// mostPosted bounds a signed request's body, in bytes, since the signature covers it; the
// route's own bound comes after.
const mostPosted = 16 << 20

// authorizeManagement lets a request to @connections through if its principal may publish to
// the topic of the connection. With no method of authentication, that is everybody on this
// machine.
func (a *app) authorizeManagement(r *http.Request) error {
	r.Body = http.MaxBytesReader(nil, r.Body, mostPosted)
	p, err := a.auth.AuthenticateHTTP(r)
	switch {
	case err != nil:
		a.log.Debug().Err(err).Str("remote", r.RemoteAddr).Msg("a request to @connections is refused")
		return errNotAuthorized
	case !p.May(auth.Publish, apigateway.TopicOf(r)):
		return errNotAuthorized
	}
	return nil
}

// routeOf is what a function that runs here is told about the first route that it is behind.
type routeOf struct{ stage string }

// routesOf finds the emulated functions behind routes of mode apigateway.
func routesOf(cfg *config.Config) map[string]routeOf {
	found := make(map[string]routeOf)
	for _, r := range cfg.Routes {
		if r.Mode != grip.ModeAPIGateway {
			continue
		}
		for _, name := range r.FunctionsOf() {
			f, ok := cfg.Functions[name]
			if _, there := found[name]; ok && !there && f.Lambda == "" && f.HTTP == "" {
				found[name] = routeOf{stage: apigateway.Stage(r)}
			}
		}
	}
	return found
}

// domain is the domainName of a route's events if its functions run here: the door's
// address. Otherwise it is empty.
func (d *functionDoor) domain(r *grip.Route) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, name := range r.FunctionsOf() {
		if _, here := d.routes[name]; here && d.address != "" {
			return d.address
		}
	}
	return ""
}

// environ is what a function is told of the door: to trust its certificate, and where it is,
// for SDKs that are given no endpoint.
func (d *functionDoor) environ(function string) map[string]string {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.routes[function]
	if !ok || d.address == "" {
		return nil
	}
	v := d.trust.environ()
	v["AWS_ENDPOINT_URL_APIGATEWAYMANAGEMENTAPI"] = fmt.Sprintf("https://%s/%s", d.address, r.stage)
	return v
}

// Load opens the door if functions of the configuration need it. It stays open.
func (d *functionDoor) Load(cfg *config.Config) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.routes = routesOf(cfg)
	if len(d.routes) == 0 || d.address != "" {
		return nil
	}
	return d.open()
}

// Run serves until ctx ends.
func (d *functionDoor) Run(ctx context.Context) error {
	<-ctx.Done()
	limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbye)
	defer cancel()
	d.close(limit)
	return nil
}
