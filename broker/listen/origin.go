package listen

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"strings"
)

// origins decides which web pages may open a WebSocket here. Browsers send the
// page's Origin with every handshake, and cookies of this host with it, so an
// unknown page could act in its visitor's name.
type origins struct {
	any      bool
	null     bool
	patterns []originPattern
}

// originPattern is scheme://host[:port]; scheme and host may hold * and ?.
type originPattern struct{ scheme, host string }

func parseOrigins(list []string) (origins, error) {
	var o origins
	for _, s := range list {
		switch s {
		case "*":
			o.any = true
			continue
		case "null":
			o.null = true
			continue
		}
		p, err := parseOrigin(s)
		if err != nil {
			return origins{}, err
		}
		o.patterns = append(o.patterns, p)
	}
	return o, nil
}

func parseOrigin(s string) (originPattern, error) {
	scheme, host, ok := strings.Cut(strings.ToLower(s), "://")
	if !ok {
		scheme, host = "*", scheme
	}
	if host == "" || strings.ContainsAny(host, "/ ") {
		return originPattern{}, fmt.Errorf("listen: %q is no origin", s)
	}
	for _, part := range []string{scheme, host} {
		if _, err := path.Match(part, "x"); err != nil {
			return originPattern{}, fmt.Errorf("listen: %q is no origin: %w", s, err)
		}
	}
	return originPattern{scheme, host}, nil
}

// allow decides on a handshake that arrived at the local address: without Origin
// (no browser), from the same host, from a loopback origin at a loopback address
// (development servers run on another port), or as listed.
func (o origins) allow(r *http.Request, local netip.Addr) bool {
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
	if local.IsValid() && local.Unmap().IsLoopback() && isLoopbackHost(u.Hostname()) && isLoopbackHost(hostOnly(r.Host)) {
		return true
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	for _, p := range o.patterns {
		if match(p.scheme, scheme) && (match(p.host, host) || match(p.host, strings.ToLower(u.Hostname())) && isDefaultPort(u)) {
			return true
		}
	}
	return false
}

func match(pattern, s string) bool {
	ok, err := path.Match(pattern, s)
	return ok && err == nil
}

func isDefaultPort(u *url.URL) bool {
	return u.Port() == "" || u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443"
}

func hostOnly(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return strings.Trim(hostport, "[]")
	}
	return host
}

func isLoopbackHost(host string) bool {
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}

// AllowsOrigin reports whether an HTTP request may come from where it says: no web page,
// or one that may also connect over WebSocket. It is for HTTP doors beside /mqtt.
func (c WebSocketConfig) AllowsOrigin(r *http.Request) bool {
	var all origins
	for _, s := range c.AllowedOrigins {
		if o, err := parseOrigins([]string{s}); err == nil {
			all.any, all.null = all.any || o.any, all.null || o.null
			all.patterns = append(all.patterns, o.patterns...)
		}
	}
	return all.allow(r, localAddr(r).Addr())
}
