package app

import (
	"net"
	"net/http"
	"net/http/pprof" // its init registers with http.DefaultServeMux, which nobody serves
	"net/netip"
	"strings"

	"github.com/topicwire/topicwire/broker/auth"
)

// admin puts the doors for operators on mux: /metrics, the profiles of net/http/pprof,
// and the dead letters.
func (a *app) admin(mux *http.ServeMux, metrics http.Handler) {
	mux.Handle("GET /metrics", a.guarded(auth.Metrics, a.metricsOpen, metrics))
	for path, h := range map[string]http.HandlerFunc{
		"GET /debug/pprof/":        pprof.Index,
		"GET /debug/pprof/cmdline": pprof.Cmdline,
		"GET /debug/pprof/profile": pprof.Profile,
		"GET /debug/pprof/symbol":  pprof.Symbol,
		"GET /debug/pprof/trace":   pprof.Trace,
	} {
		mux.Handle(path, a.guarded(auth.Debug, never, h))
	}
	letters{a.bridge}.routes(mux, func(h http.Handler) http.Handler { return a.guarded(auth.Admin, never, h) })
}

func never() bool { return false }

func (a *app) metricsOpen() bool { return a.authority.MetricsOpen() }

// guarded lets a request through that comes from this machine, or from somebody whose
// policies allow the action; everybody if open says so.
func (a *app) guarded(action auth.Action, open func() bool, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if open() || fromThisMachine(r) {
			h.ServeHTTP(w, r)
			return
		}
		p, err := a.caller(r)
		if err != nil {
			a.log.Info().Err(err).Str("path", r.URL.Path).Str("remote", r.RemoteAddr).Msg("an operator's door stays shut")
			w.Header().Set("WWW-Authenticate", `Basic realm="topicwire"`)
			http.Error(w, "this is for requests from this machine, or with credentials that a policy allows "+action.String(), http.StatusUnauthorized)
			return
		}
		if d := p.Decide(action, ""); !d.Allowed {
			a.log.Info().Str("principal", p.Name).Str("path", r.URL.Path).Str("remote", r.RemoteAddr).Msg(d.String())
			http.Error(w, d.String(), http.StatusForbidden)
			return
		}
		h.ServeHTTP(w, r)
	})
}

// fromThisMachine reports a request that a program on this machine makes for itself:
// over loopback, to a host that names loopback, and neither handed on by a proxy nor
// sent by a web page of somebody else's.
func fromThisMachine(r *http.Request) bool {
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !remote.Addr().Unmap().IsLoopback() {
		return false
	}
	for _, name := range []string{"Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip"} {
		if r.Header.Get(name) != "" {
			return false
		}
	}
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "none", "same-origin":
	default:
		return false
	}
	if origin := r.Header.Get("Origin"); origin != "" && origin != "http://"+r.Host && origin != "https://"+r.Host {
		return false
	}
	return loopbackHost(r.Host)
}

// loopbackHost reports a Host header that names this machine by itself. Another name may
// have been made to resolve to loopback, so that a web page reaches us (DNS rebinding).
func loopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	ip, err := netip.ParseAddr(host)
	return strings.EqualFold(host, "localhost") || err == nil && ip.Unmap().IsLoopback()
}
