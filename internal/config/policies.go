package config

import (
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"

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
}

// warnOpen warns of policies that give away more than anybody may want to.
func (l *loading) warnOpen() {
	c := &l.config.Auth
	for i, a := range c.Attach {
		anybody := a.Everybody || slices.Contains(a.Method, "anonymous") || slices.Contains(a.Method, "*")
		for _, name := range a.Policies {
			d := c.Policies[name].Document
			if p := policy.Compile(name, &d); anybody && p.AllowsAll() {
				l.warn(fmt.Sprintf("auth.attach[%d].policies", i), fmt.Sprintf("the policy %s lets everybody do everything", name),
					"attach it to somebody, or allow less in it")
			}
		}
	}
	if c.Metrics == "open" {
		if addr := l.exposedHTTP(); addr != "" {
			l.warn("auth.metrics", "everybody who reaches "+addr+" can read the metrics, names of functions and rules among them",
				"write metrics: policy and allow topicwire:Metrics to whoever scrapes them")
		}
	}
}

// exposedHTTP is an HTTP or HTTPS address that other machines can reach; empty if there
// is none.
func (l *loading) exposedHTTP() string {
	for _, addr := range slices.Concat(l.config.Listen.HTTP, l.config.Listen.HTTPS) {
		host, _, err := net.SplitHostPort(addr)
		if err == nil && !isLoopback(host) {
			return addr
		}
	}
	return ""
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
