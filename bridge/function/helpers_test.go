package function

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// serve starts a real HTTP server.
func serve(tb testing.TB, h http.HandlerFunc) string {
	tb.Helper()
	s := httptest.NewServer(h)
	tb.Cleanup(s.Close)
	return s.URL
}

// registry makes a Registry that is closed when the test ends.
func registry(tb testing.TB, configs map[string]Config) *Registry {
	tb.Helper()
	r, err := NewRegistry(configs, Options{Drain: time.Second}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(r.Close)
	return r
}

func lookup(tb testing.TB, r *Registry, name string) Function {
	tb.Helper()
	f, err := r.Lookup(name)
	if err != nil {
		tb.Fatal(err)
	}
	return f
}

// invoke calls a function that the configuration c makes.
func invoke(t *testing.T, c Config, payload string) (string, error) {
	t.Helper()
	return invokeFor(t, Call{}, c, payload)
}

// invokeFor calls it on somebody's behalf.
func invokeFor(t *testing.T, call Call, c Config, payload string) (string, error) {
	t.Helper()
	out, err := lookup(t, registry(t, map[string]Config{"f": c}), "f").Invoke(WithCall(t.Context(), call), []byte(payload))
	return string(out), err
}
