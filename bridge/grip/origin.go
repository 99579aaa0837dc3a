package grip

import (
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
)

// OriginAllowed decides whether the web page that sent r may open a WebSocket here, by
// the rules of MQTT over WebSocket: browsers send the page's Origin with every
// handshake, and cookies of this host with it, so an unknown page could act in its
// visitor's name. It is allowed without an Origin (no browser), from the same host,
// from a loopback page at a loopback address, and as listed.
func OriginAllowed(r *http.Request, list []string) bool {
	values := r.Header["Origin"]
	if len(values) == 0 || listed(list, "*") {
		return true
	}
	if len(values) > 1 {
		return false // no browser sends two; which one counts would be a guess
	}
	if values[0] == "null" {
		return listed(list, "null") // sandboxed frames, file: pages, redirects: anybody
	}
	u, err := url.Parse(values[0])
	if err != nil || u.Host == "" {
		return false
	}
	if strings.EqualFold(u.Host, r.Host) {
		return true
	}
	if isLoopback(localHost(r)) && isLoopback(u.Hostname()) && isLoopback(hostOnly(r.Host)) {
		return true
	}
	scheme, host := strings.ToLower(u.Scheme), strings.ToLower(u.Host)
	for _, s := range list {
		wantScheme, wantHost := splitOrigin(s)
		if wantHost == "" || !matches(wantScheme, scheme) {
			continue
		}
		if matches(wantHost, host) || matches(wantHost, strings.ToLower(u.Hostname())) && defaultPort(u) {
			return true
		}
	}
	return false
}

func listed(list []string, s string) bool {
	return slices.Contains(list, s)
}

// splitOrigin takes scheme://host apart; the scheme may be left out.
func splitOrigin(s string) (scheme, host string) {
	scheme, host, ok := strings.Cut(strings.ToLower(s), "://")
	if !ok {
		return "*", scheme
	}
	return scheme, host
}

func validOrigin(s string) bool {
	if s == "*" || s == "null" {
		return true
	}
	scheme, host := splitOrigin(s)
	if host == "" || strings.ContainsAny(host, "/ ") {
		return false
	}
	for _, part := range []string{scheme, host} {
		if _, err := path.Match(part, "x"); err != nil {
			return false
		}
	}
	return true
}

func matches(pattern, s string) bool {
	ok, err := path.Match(pattern, s)
	return ok && err == nil
}

func defaultPort(u *url.URL) bool {
	return u.Port() == "" || u.Scheme == "http" && u.Port() == "80" || u.Scheme == "https" && u.Port() == "443"
}

func hostOnly(hostport string) string {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return strings.Trim(hostport, "[]")
	}
	return host
}

// localHost is the address of this machine at which r arrived.
func localHost(r *http.Request) string {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return ""
	}
	return hostOnly(a.String())
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.Unmap().IsLoopback()
}
