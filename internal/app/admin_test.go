package app

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/auth/policy"
)

// The doors for operators open to this machine, to nobody who only seems to be on it,
// and to everybody where the configuration says so.
func TestOperatorsDoors(t *testing.T) {
	door := func(c auth.PolicyConfig) http.Handler {
		a := &app{authority: auth.NewAuthority(c, auth.AuthorityOptions{})}
		mux := http.NewServeMux()
		a.admin(mux, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
		return mux
	}
	shut, open := door(auth.PolicyConfig{}), door(auth.PolicyConfig{Metrics: auth.MetricsOpen})
	for _, c := range []struct {
		what, path, remote, host string
		header                   [2]string
		shut, open               int
	}{
		{"this machine", "/metrics", "127.0.0.1:5", "127.0.0.1:8080", [2]string{}, 200, 200},
		{"this machine, over IPv6", "/metrics", "[::1]:5", "localhost:8080", [2]string{}, 200, 200},
		{"this machine", "/debug/pprof/", "127.0.0.1:5", "localhost", [2]string{}, 200, 200},
		{"this machine", "/debug/pprof/heap", "127.0.0.1:5", "[::1]:8080", [2]string{}, 200, 200},
		{"another machine", "/metrics", "192.0.2.1:5", "10.0.0.1", [2]string{}, 401, 200},
		{"another machine", "/debug/pprof/heap", "192.0.2.1:5", "10.0.0.1", [2]string{}, 401, 401},
		{"another machine that says otherwise", "/debug/pprof/heap", "192.0.2.1:5", "127.0.0.1", [2]string{}, 401, 401},
		{"a proxy on this machine", "/metrics", "127.0.0.1:5", "localhost", [2]string{"X-Forwarded-For", "192.0.2.1"}, 401, 200},
		{"a proxy on this machine", "/debug/pprof/", "127.0.0.1:5", "localhost", [2]string{"Forwarded", "for=192.0.2.1"}, 401, 401},
		{"a name that resolves to loopback", "/debug/pprof/", "127.0.0.1:5", "evil.example", [2]string{}, 401, 401},
		{"a web page of somebody else's", "/debug/pprof/", "127.0.0.1:5", "localhost", [2]string{"Sec-Fetch-Site", "cross-site"}, 401, 401},
		{"a web page of somebody else's, in an old browser", "/debug/pprof/", "127.0.0.1:5", "localhost", [2]string{"Origin", "https://evil.example"}, 401, 401},
		{"a browser's address bar", "/debug/pprof/", "127.0.0.1:5", "localhost", [2]string{"Sec-Fetch-Site", "none"}, 200, 200},
		{"this machine", "/debug/pprof/symbol", "127.0.0.1:5", "localhost", [2]string{}, 200, 200},
	} {
		for h, want := range map[http.Handler]int{shut: c.shut, open: c.open} {
			r := httptest.NewRequest(http.MethodGet, c.path, http.NoBody)
			r.RemoteAddr, r.Host = c.remote, c.host
			if c.header[0] != "" {
				r.Header.Set(c.header[0], c.header[1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s, %s of %s: %d, want %d", c.what, c.path, c.host, w.Code, want)
			}
		}
	}
}

// As long as nobody has to say who he is everybody may do everything, which is meant for
// this machine: whoever comes through a proxy, or from somebody else's page, may not.
func TestOperatorsDoorsWithoutMethods(t *testing.T) {
	door := func(c auth.PolicyConfig) http.Handler {
		a := &app{authority: auth.NewAuthority(c, auth.AuthorityOptions{Open: true})}
		a.auth = auth.New(auth.Options{Authorize: a.authorize})
		set, err := a.auth.Prepare(auth.Config{})
		if err != nil {
			t.Fatal(err)
		}
		a.auth.Load(set)
		mux := http.NewServeMux()
		a.admin(mux, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) }))
		return mux
	}
	free := door(auth.PolicyConfig{})
	allowed := door(auth.PolicyConfig{
		Policies: map[string]auth.PolicyDocument{"m": {Document: policy.Document{Statement: []policy.Statement{
			{Effect: "Allow", Action: policy.Strings{"topicwire:Metrics"}, Resource: policy.Strings{"*"}},
		}}}},
		Attach: []auth.Attachment{{Everybody: true, Policies: []string{"m"}}},
	})
	for _, c := range []struct {
		what, path  string
		header      [2]string
		proto       int // minor version of HTTP/1
		free, allow int
	}{
		{"this machine", "/metrics", [2]string{}, 1, 200, 200},
		{"a proxy", "/metrics", [2]string{"X-Forwarded-For", "192.0.2.1"}, 1, 401, 401},
		{"a proxy", "/debug/pprof/", [2]string{"X-Forwarded-For", "192.0.2.1"}, 1, 401, 401},
		{"a page of somebody else's", "/debug/pprof/", [2]string{"Sec-Fetch-Site", "cross-site"}, 1, 401, 401},
		{"a page of somebody else's, which a policy allows it", "/metrics", [2]string{"Sec-Fetch-Site", "cross-site"}, 1, 401, 200},
		{"HTTP/1.0, as proxies speak it", "/debug/pprof/", [2]string{}, 0, 401, 401},
	} {
		for h, want := range map[http.Handler]int{free: c.free, allowed: c.allow} {
			r := httptest.NewRequest(http.MethodGet, c.path, http.NoBody)
			r.RemoteAddr, r.Host, r.ProtoMinor = "127.0.0.1:5", "127.0.0.1:8080", c.proto
			if c.header[0] != "" {
				r.Header.Set(c.header[0], c.header[1])
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("%s, %s: %d, want %d", c.what, c.path, w.Code, want)
			}
		}
	}
}
