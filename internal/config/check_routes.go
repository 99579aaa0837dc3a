package config

import (
	"fmt"
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
	taken := map[string]string{mqtt: "MQTT over WebSocket", "/healthz": "the server", "/readyz": "the server", "/metrics": "the server"}
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
		if r.Mode == grip.ModeProxy || r.Function == "" || strings.HasPrefix(r.Function, "arn:") || slices.Contains(functions, r.Function) {
			continue
		}
		l.report(path+".function", fmt.Sprintf("there is no %q under functions", r.Function), undeclared(r.Function, functions))
	}
	if len(c.Routes) > 0 && len(c.Listen.HTTP)+len(c.Listen.HTTPS) == 0 {
		l.report("routes", "nothing listens for HTTP", "add http: 127.0.0.1:8080 under listen")
	}
}
