package config

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net"
	"os"
	"slices"
	"strings"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/internal/config/yamldoc"
)

// check checks every part and then what only shows when the parts are seen together.
func (l *loading) check() {
	if l.main == nil {
		return
	}
	// The inline rules are checked with the others.
	rules := l.config.Rules
	l.config.Rules = nil
	l.loader.Check(l.main, l.config)
	l.config.Rules = rules
	l.checkListen()
	l.checkFunctions()
	l.checkAuth()
	l.checkRules()
	l.checkPolicies()
	l.checkRoutes()
}

// report adds a problem at a path of the configuration file.
func (l *loading) report(path, problem, remedy string) {
	l.loader.Report(Problem{Position: l.main.At(path), Path: path, Message: path + ": " + problem, Remedy: remedy})
}

// checkListen finds two listeners on one address: the second would not start.
func (l *loading) checkListen() {
	if tls := &l.config.Listen.TLS; (tls.Cert != "" || tls.AsksClients()) && len(l.config.Listen.MQTTS)+len(l.config.Listen.HTTPS) == 0 {
		l.warn("listen.tls", "has no effect: there is no address with TLS", "add mqtts: 127.0.0.1:8883 or https: 127.0.0.1:8443, or remove it")
	}
	type used struct{ path, host, port string }
	var before []used
	c := l.config.Listen
	for _, s := range []struct {
		path  string
		addrs listen.Addresses
	}{{"listen.mqtt", c.MQTT}, {"listen.http", c.HTTP}, {"listen.mqtts", c.MQTTS}, {"listen.https", c.HTTPS}} {
		for i, addr := range s.addrs {
			host, port, err := net.SplitHostPort(addr)
			if err != nil || port == "0" {
				continue // reported already; and port 0 is always a free one
			}
			u := used{s.path, host, port}
			if len(s.addrs) > 1 {
				u.path = at(s.path, i)
			}
			for _, b := range before {
				if b.port == u.port && (b.host == u.host || wildcard(b.host) || wildcard(u.host)) {
					remedy := "choose another port"
					if s.path == "listen.https" && strings.HasPrefix(b.path, "listen.mqtts") {
						remedy = "remove it from mqtts: an https address takes MQTT too, from clients that ask for it by ALPN (mqtt or x-amzn-mqtt-ca)"
					}
					l.report(u.path, fmt.Sprintf("%s is in use by %s", addr, b.path), remedy)
					break
				}
			}
			before = append(before, u)
		}
	}
}

// wildcard reports a host that stands for every address of the machine.
func wildcard(host string) bool { return host == "" || host == "0.0.0.0" || host == "::" }

// checkFunctions finds names that no function can have, and code that is not there yet.
func (l *loading) checkFunctions() {
	for _, name := range slices.Sorted(maps.Keys(l.config.Functions)) {
		path := yamldoc.Join("functions", name)
		if err := function.CheckName(name); err != nil {
			l.report(path, err.Error(), "choose another name")
		}
		code := l.config.Functions[name].Path
		if code == "" || l.main.Tainted(path+".path") {
			continue
		}
		if _, err := os.Stat(l.resolved(code)); errors.Is(err, fs.ErrNotExist) {
			l.warn(path+".path", "there is nothing at "+l.resolved(code), "correct the path; as long as nothing is there, the function fails")
		}
	}
}

// functionNames are the names under which a rule may call a function: the declared
// ones and those that a declared function has as its `lambda`.
func (l *loading) functionNames() []string {
	names := slices.Sorted(maps.Keys(l.config.Functions))
	for _, name := range slices.Clone(names) {
		if lambda := l.config.Functions[name].Lambda; lambda != "" && !strings.HasPrefix(lambda, "arn:") && !slices.Contains(names, lambda) {
			names = append(names, lambda)
		}
	}
	return names
}

// undeclared is the remedy for the name of a function that nothing declares.
func undeclared(name string, known []string) string {
	if near, ok := yamldoc.Nearest(name, known); ok {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "declare it there, or write the ARN of a real Lambda function"
}
