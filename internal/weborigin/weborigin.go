// Package weborigin decides which web pages may act here. Browsers send the page's Origin
// with every WebSocket handshake, and cookies of this host with it, so an unknown page
// could act in its visitor's name. It imports nothing of ours: the listeners of MQTT and
// the routes of plain WebSockets, which do not know each other, have the same rules by it.
package weborigin

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// Rules are the pages that may act here. The zero value allows those that always may: of
// the same host, and at a loopback address those of loopback.
type Rules struct {
	any      bool
	null     bool
	patterns []pattern
}

// pattern is scheme://host[:port]; scheme and host may hold * and ?.
type pattern struct{ scheme, host string }

// Parse reads a list of origins. An entry that is no origin allows nothing; Check reports
// it.
func Parse(list []string) Rules {
	var rules Rules
	for _, s := range list {
		switch s {
		case "*":
			rules.any = true
		case "null":
			rules.null = true
		default:
			if p, ok := parse(s); ok {
				rules.patterns = append(rules.patterns, p)
			}
		}
	}
	return rules
}

// parse reads scheme://host; the scheme may be left out.
func parse(s string) (pattern, bool) {
	scheme, host, ok := strings.Cut(strings.ToLower(s), "://")
	if !ok {
		scheme, host = "*", scheme
	}
	if host == "" || strings.ContainsAny(host, "/ ") {
		return pattern{}, false
	}
	for _, part := range [...]string{scheme, host} {
		if _, err := path.Match(part, "x"); err != nil {
			return pattern{}, false
		}
	}
	return pattern{scheme, host}, true
}

// Check reports the entries of the list at key that are no origins.
func Check(key string, list []string, report func(path, problem, remedy string)) {
	for i, s := range list {
		if _, ok := parse(s); !ok && s != "*" && s != "null" {
			report(fmt.Sprintf("%s[%d]", key, i), fmt.Sprintf("%q is no origin", s),
				"write scheme://host or scheme://host:port without a path, for example https://app.example.com or https://*.example.com")
		}
	}
}

// Allow decides on a request: without Origin (no browser), from the same host, from a
// loopback page at a loopback address (development servers run on another port), or as
// listed.
func (o Rules) Allow(r *http.Request) bool {
	values := r.Header["Origin"]
	if len(values) == 0 || o.any {
		return true
	}
	if len(values) > 1 {
		return false // no browser sends two; which one counts would be a guess
	}
	if values[0] == "null" {
		return o.null // sandboxed frames, file: pages, redirects: anybody
	}
	u, err := url.Parse(values[0])
	if err != nil || u.Host == "" {
		return false
	}
	if strings.EqualFold(u.Host, r.Host) {
		return true
	}
	if IsLoopback(localHost(r)) && IsLoopback(u.Hostname()) && IsLoopback(Host(r.Host)) {
		return true
	}
	return o.lists(u)
}

func (o Rules) lists(u *url.URL) bool {
	scheme, host, name := strings.ToLower(u.Scheme), strings.ToLower(u.Host), strings.ToLower(u.Hostname())
	for _, p := range o.patterns {
		if matches(p.scheme, scheme) && (matches(p.host, host) || matches(p.host, name) && isDefaultPort(u)) {
			return true
		}
	}
	return false
}

func matches(pattern, s string) bool {
	ok, err := path.Match(pattern, s)
	return ok && err == nil
}

func isDefaultPort(u *url.URL) bool {
	return u.Port() == "" || u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443"
}

// localHost is the address of this machine at which r arrived.
func localHost(r *http.Request) string {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return ""
	}
	return Host(a.String())
}

// Host is HOST:PORT without its port and without the brackets of an IPv6 address.
func Host(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return strings.Trim(hostport, "[]")
	}
	return host
}

// IsLoopback reports whether a host is this machine and reached by nobody else.
func IsLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
