package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/broker/listen"
)

// checkRoutes reports routes whose path is taken, by another one or by the server
// itself, and functions that nothing declares.
func (l *loading) checkRoutes() {
	c := l.config
	mqtt := c.Listen.WebSocket.Path
	if mqtt == "" {
		mqtt = listen.DefaultWebSocketPath
	}
	taken := map[string]string{mqtt: "MQTT over WebSocket", "/healthz": "the server", "/readyz": "the server", "/metrics": "the server", "/admin/dead": "the server", "/debug/pprof/": "the server"}
	for _, p := range [...]string{c.Grip.Path + "/publish", c.Grip.Path + "/publish/"} {
		taken[p] = "the door for publishing"
	}
	functions := l.functionNames()
	for i, r := range c.Routes {
		path := at("routes", i)
		if by, ok := taken[r.Path]; ok {
			l.report(path+".path", fmt.Sprintf("%s is taken by %s", r.Path, by), "choose another path")
		} else if r.Path != "" {
			taken[r.Path] = path
		}
		if r.Auth && len(c.Auth.Methods) == 0 {
			l.report(path+".auth", "nobody is known: auth has no methods", "add one under auth.methods, or remove auth: the function then decides alone")
		}
		if r.Mode == grip.ModeProxy {
			continue
		}
		if len(c.Auth.Methods) > 0 && nobodyDecides(&r) {
			l.warn(path, "everybody who reaches the listener may connect: no function and no authorizer is asked", "add auth: true, apigateway.authorizer or function")
		}
		named := r.FunctionsOf()
		for _, where := range slices.Sorted(maps.Keys(named)) {
			if f := named[where]; !strings.HasPrefix(f, "arn:") && !slices.Contains(functions, f) {
				l.report(path+"."+where, fmt.Sprintf("there is no %q under functions", f), undeclared(f, functions))
			}
		}
	}
	if len(c.Routes) > 0 && len(c.Listen.HTTP)+len(c.Listen.HTTPS) == 0 {
		l.report("routes", "nothing listens for HTTP", "add http: 127.0.0.1:8080 under listen")
	}
}

// nobodyDecides reports a route that lets everybody in without asking anybody: of the
// modes only that of API Gateway can do without a function that is asked.
func nobodyDecides(r *grip.RouteConfig) bool {
	return r.Mode == grip.ModeAPIGateway && !r.Auth && r.Function == "" && r.APIGateway.Authorizer == "" &&
		r.APIGateway.Routes[grip.RouteConnect].Function == ""
}
