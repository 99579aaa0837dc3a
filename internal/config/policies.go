package config

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/auth/policy"
	"github.com/topicwire/topicwire/internal/config/yamldoc"
)

// policyOrigin is where a policy document was read.
type policyOrigin = origin

// policyFiles reads the policy documents that are in files of their own, and notes where
// each document stands.
func (l *loading) policyFiles() {
	if l.main == nil {
		return
	}
	l.policies = make(map[string]policyOrigin)
	for _, name := range slices.Sorted(maps.Keys(l.config.Auth.Policies)) {
		p := l.config.Auth.Policies[name]
		path := yamldoc.Join("auth.policies", name)
		if p.File == "" {
			l.policies[name] = policyOrigin{l.main, path}
			continue
		}
		if l.main.Tainted(path) {
			continue
		}
		if len(p.Statement) > 0 || p.Version != "" || p.ID != "" {
			l.report(path+".file", "there is a document beside it", "remove one of the two")
			continue
		}
		file := l.resolved(p.File)
		docs, ok := l.read(file, "correct the path of the policy "+name)
		switch {
		case !ok || l.loader.Failed() && len(docs) == 0:
			continue
		case len(docs) != 1:
			l.loader.Report(Problem{
				Position: yamldoc.Position{File: file},
				Message:  fmt.Sprintf("the file of the policy %s has %d documents", name, len(docs)), Remedy: "keep one policy document in it",
			})
			continue
		}
		tree := l.loader.Decode(docs[0], &p.Document)
		l.loader.Check(tree, &p.Document)
		l.config.Auth.Policies[name] = p
		l.policies[name] = policyOrigin{tree, ""}
	}
}

// checkPolicies checks what names policies, and warns of those that are risky or mean
// nothing.
func (l *loading) checkPolicies() {
	c := &l.config.Auth
	for _, name := range slices.Sorted(maps.Keys(l.config.Functions)) {
		f := l.config.Functions[name]
		path := yamldoc.Join("functions", name) + ".policy"
		c.CheckPolicyNames(f.Policy, func(sub, problem, remedy string) { l.report(yamldoc.Join(path, sub), problem, remedy) })
	}
	if l.loader.Failed() {
		return
	}
	used := make(map[string]bool)
	for _, a := range c.Attach {
		for _, name := range a.Policies {
			used[name] = true
		}
	}
	for _, f := range l.config.Functions {
		for _, name := range f.Policy {
			used[name] = true
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Policies)) {
		o, known := l.policies[name]
		if !known {
			continue
		}
		d := c.Policies[name].Document
		d.Warn(func(path, problem, remedy string) { l.warnAt(o, path, problem, remedy) })
		if !used[name] {
			l.warnAt(o, "", "the policy is attached to nobody", "name it under auth.attach, or remove it")
		}
	}
	l.warnOpen()
	l.warnMethods()
}

// warnOpen warns of what gives away more than anybody may want to, and of what gives
// nothing.
func (l *loading) warnOpen() {
	c := &l.config.Auth
	l.warnAttached()
	for i := range c.Attach {
		l.warnAttachment(i)
	}
	clear := append(l.exposed(l.config.Listen.MQTT), l.exposed(l.config.Listen.HTTP)...)
	if len(clear) > 0 && !c.OnlyAnonymous() {
		l.warn("listen", strings.Join(clear, ", ")+" can be reached from other machines and has no TLS: passwords, tokens and messages can be read on the way",
			"listen with mqtts and https there, or put a proxy with TLS in front")
	}
	if c.Metrics == auth.MetricsOpen {
		if open := append(l.exposed(l.config.Listen.HTTP), l.exposed(l.config.Listen.HTTPS)...); len(open) > 0 {
			l.warn("auth.metrics", "everybody who reaches "+strings.Join(open, ", ")+" can read the metrics, names of functions and rules among them",
				"write metrics: policy, and allow topicwire:Metrics to whoever scrapes them")
		}
	}
}

// warnAttached warns of a configuration in which nobody has a policy.
func (l *loading) warnAttached() {
	c := &l.config.Auth
	switch {
	case len(c.Attach) > 0:
	case !c.OnlyAnonymous() && !c.BringsPolicies():
		l.warn("auth.methods", "no policy is attached to anybody, so that nobody may do anything",
			"write auth.policies and auth.attach; policies: {all: {Statement: {Effect: Allow, Action: \"iot:*\", Resource: \"*\"}}} and attach: {policies: all, everybody: true} would let everybody do everything")
	case len(c.Policies) > 0 && c.OnlyAnonymous():
		l.warn("auth.policies", "no policy is attached to anybody, and nobody has to say who he is: everybody may do everything",
			"write auth.attach")
	}
}

// warnAttachment warns of one that is for nobody, or for too many.
func (l *loading) warnAttachment(i int) {
	c := &l.config.Auth
	a := &c.Attach[i]
	at := fmt.Sprintf("auth.attach[%d]", i)
	if c.OnlyAnonymous() && len(a.User)+len(a.Principal)+len(a.Certificate)+len(a.Subject)+len(a.Claims) > 0 {
		l.warn(at, "is for nobody: all clients are anonymous", "configure auth.methods, or write everybody: true")
	}
	if !a.Everybody && !slices.Contains(a.Method, "anonymous") && !slices.Contains(a.Method, "*") {
		return
	}
	for _, name := range a.Policies {
		d := c.Policies[name].Document
		if policy.Compile(name, &d).AllowsAll() {
			l.warn(at+".policies", fmt.Sprintf("the policy %s lets everybody do everything", name), "attach it to somebody, or allow less in it")
		}
	}
}

// exposed are the addresses that other machines can reach.
func (l *loading) exposed(addresses []string) []string {
	var found []string
	for _, addr := range addresses {
		if host, _, err := net.SplitHostPort(addr); err == nil && !isLoopback(host) {
			found = append(found, addr)
		}
	}
	return found
}

// isLoopback reports a host that only this machine reaches.
func isLoopback(host string) bool {
	ip := net.ParseIP(strings.Trim(host, "[]"))
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// warn adds a warning at a path of the configuration file.
func (l *loading) warn(path, problem, remedy string) {
	l.warnAt(policyOrigin{l.main, path}, "", problem, remedy)
}

func (l *loading) warnAt(o policyOrigin, path, problem, remedy string) {
	path = yamldoc.Join(o.path, path)
	l.loader.Report(Problem{Position: o.tree.At(path), Path: path, Message: prefixed(path, problem), Remedy: remedy, Warning: true})
}
