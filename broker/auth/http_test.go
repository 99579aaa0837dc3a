package auth_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/listen"
)

func TestAuthenticateHTTP(t *testing.T) {
	t.Parallel()
	b := start(t, auth.Config{Methods: []auth.MethodConfig{
		{JWT: &auth.JWTConfig{Secret: hmacSecret}}, {Password: &auth.PasswordConfig{File: passwords(t, "ada", "right")}},
	}}, auth.Options{OriginAllowed: listen.WebSocketConfig{AllowedOrigins: []string{"https://app.example.com"}}.AllowsOrigin})
	token := sign(t, "HS256", []byte(hmacSecret), nil, claims(map[string]any{"sub": "grace"}))
	for _, c := range []struct {
		what   string
		change func(r *http.Request)
		status int
		name   string
	}{
		{"nothing", func(*http.Request) {}, 401, ""},
		{"bearer", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token) }, 200, "grace"},
		{"a bad bearer", func(r *http.Request) { r.Header.Set("Authorization", "Bearer "+token[:len(token)-5]) }, 403, ""},
		{"basic", func(r *http.Request) { r.SetBasicAuth("ada", "right") }, 200, "ada"},
		{"a token as basic's password", func(r *http.Request) { r.SetBasicAuth("x", token) }, 200, "grace"},
		{"a wrong password", func(r *http.Request) { r.SetBasicAuth("ada", "wrong") }, 403, ""},
		{"a page that may", func(r *http.Request) {
			r.SetBasicAuth("ada", "right")
			r.Header.Set("Origin", "https://app.example.com")
		}, 200, "ada"},
		{"a page of the same host", func(r *http.Request) {
			r.SetBasicAuth("ada", "right")
			r.Header.Set("Origin", "http://broker.example.com")
		}, 200, "ada"},
		{"another page", func(r *http.Request) {
			r.SetBasicAuth("ada", "right")
			r.Header.Set("Origin", "https://evil.example.com")
		}, 403, ""},
		{"two origins", func(r *http.Request) {
			r.SetBasicAuth("ada", "right")
			r.Header["Origin"] = []string{"https://app.example.com", "https://evil.example.com"}
		}, 403, ""},
		{"a page without an origin", func(r *http.Request) {
			r.SetBasicAuth("ada", "right")
			r.Header.Set("Origin", "null")
		}, 403, ""},
	} {
		r := httptest.NewRequest(http.MethodPost, "http://broker.example.com/publish", nil)
		c.change(r)
		p, err := b.AuthenticateHTTP(r)
		if got := auth.HTTPStatus(err); got != c.status {
			t.Errorf("%s: %d (%v), want %d", c.what, got, err, c.status)
		}
		if err == nil && p.Name != c.name {
			t.Errorf("%s: %q, want %q", c.what, p.Name, c.name)
		}
	}
}

// Without methods everybody on this machine is anonymous, but no web page that only
// pretends to be of this machine.
func TestAnonymousHTTP(t *testing.T) {
	t.Parallel()
	b := start(t, auth.Config{}, auth.Options{OriginAllowed: listen.WebSocketConfig{}.AllowsOrigin})
	for _, c := range []struct {
		host, origin string
		status       int
	}{
		{"127.0.0.1:8080", "", 200},
		{"localhost:8080", "", 200},
		{"[::1]:8080", "", 200},
		{"app.localhost", "", 200},
		{"localhost:8080", "http://localhost:8080", 200},
		{"127.0.0.1:8080", "http://evil.example.com", 403},
		{"evil.example.com:8080", "http://evil.example.com:8080", 403}, // DNS rebinding
		{"evil.example.com:8080", "", 403},
		{"localhost.evil.example.com", "", 403},
		{"127.0.0.1.evil.example.com", "", 403},
	} {
		r := httptest.NewRequest(http.MethodPost, "http://x/publish", nil)
		r.Host = c.host
		if c.origin != "" {
			r.Header.Set("Origin", c.origin)
		}
		if p, err := b.AuthenticateHTTP(r); auth.HTTPStatus(err) != c.status {
			t.Errorf("host %s, origin %s: %v, %v, want %d", c.host, c.origin, p, err, c.status)
		}
	}
}

// Nor whoever comes through a proxy on this machine: it serves others.
func TestAnonymousThroughAProxy(t *testing.T) {
	t.Parallel()
	b := start(t, auth.Config{}, auth.Options{})
	for _, name := range []string{"Forwarded", "X-Forwarded-For", "X-Real-IP", "Via"} {
		r := httptest.NewRequest(http.MethodGet, "http://127.0.0.1:8080/mqtt", nil)
		r.Header.Set(name, "192.0.2.1")
		if p, err := b.AuthenticateHTTP(r); auth.HTTPStatus(err) != http.StatusForbidden {
			t.Errorf("%s: %v, %v", name, p, err)
		}
	}
}

func TestHTTPStatus(t *testing.T) {
	t.Parallel()
	for err, want := range map[error]int{
		nil: 200, auth.ErrNotMine: 401, auth.ErrRefused: 403, auth.ErrTooMany: 429, auth.ErrOrigin: 403,
		errors.New("down"): 503, fmt.Errorf("read: %w", &http.MaxBytesError{Limit: 1}): 413,
	} {
		if got := auth.HTTPStatus(err); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
}
