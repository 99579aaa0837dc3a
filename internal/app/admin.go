package app

import (
	"net/http"
	"net/http/pprof" // its init registers with http.DefaultServeMux, which nobody serves

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
		if err == nil && anonymous(p) && p.Decide(action, "").Policy == "" {
			err = auth.ErrNotMine // nobody is restricted, which is meant for this machine
		}
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
