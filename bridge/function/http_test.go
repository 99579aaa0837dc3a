package function

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestHTTPSendsTheEventAndTheCall(t *testing.T) {
	var got *http.Request
	var body []byte
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write([]byte("answer"))
	})
	call := Call{RequestID: "id-1", Rule: "r", Topic: "ä/b%\n", ClientID: "c 1"}
	out, err := invokeFor(t, call, Config{
		HTTP: url + "/x?y=1", Headers: map[string]string{"x-own": "v"},
		Auth: &Auth{Basic: &BasicAuth{Username: "u", Password: "p:q"}},
	}, `{"a":1}`)
	if err != nil || out != "answer" {
		t.Fatalf("got %q, %v", out, err)
	}
	if got.Method != http.MethodPost || got.URL.String() != "/x?y=1" || string(body) != `{"a":1}` {
		t.Errorf("got %s %s %s", got.Method, got.URL, body)
	}
	for k, want := range map[string]string{
		"X-Topicwire-Topic": "%C3%A4/b%25%0A", "X-Topicwire-Client-Id": "c 1", "X-Topicwire-Rule": "r",
		"X-Topicwire-Request-Id": "id-1", "Content-Type": "application/json", "X-Own": "v", "Authorization": "Basic dTpwOnE=",
	} {
		if got.Header.Get(k) != want {
			t.Errorf("header %s is %q, want %q", k, got.Header.Get(k), want)
		}
	}
}

func TestHTTPContentTypeAndBearer(t *testing.T) {
	var header http.Header
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) { header = r.Header })
	if _, err := invoke(t, Config{HTTP: url, Auth: &Auth{Bearer: "tok"}}, "\x00binary"); err != nil {
		t.Fatal(err)
	}
	if header.Get("Content-Type") != "application/octet-stream" || header.Get("Authorization") != "Bearer tok" {
		t.Errorf("got %v", header)
	}
	if _, err := invoke(t, Config{HTTP: url, Headers: map[string]string{"content-type": "text/csv"}}, "{}"); err != nil {
		t.Fatal(err)
	}
	if header.Get("Content-Type") != "text/csv" {
		t.Errorf("the configured content type was overridden by %s", header.Get("Content-Type"))
	}
}

func TestHTTPFailures(t *testing.T) {
	target := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a redirect was followed") })
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/500":
			http.Error(w, "it broke", http.StatusInternalServerError)
		case "/302":
			http.Redirect(w, r, target, http.StatusFound)
		case "/429":
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		case "/5mb":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 5<<20))
		case "/7mb":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 7<<20))
		case "/7mb-chunked":
			for range 7 {
				_, _ = w.Write(bytes.Repeat([]byte("x"), 1<<20))
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
	at := func(path string) (string, error) { return invoke(t, Config{HTTP: url + path}, "{}") }

	var status *StatusError
	if _, err := at("/500"); !errors.As(err, &status) || status.Status != 500 || status.Message != "it broke" {
		t.Errorf("500: got %v", err)
	}
	if _, err := at("/302"); !errors.As(err, &status) || status.Status != 302 {
		t.Errorf("302: got %v", err)
	}
	var throttled *ThrottledError
	if _, err := at("/429"); !errors.As(err, &throttled) || throttled.RetryAfter != 7*time.Second || !errors.Is(err, ErrThrottled) {
		t.Errorf("429: got %v", err)
	}
	if out, err := at("/5mb"); err != nil || len(out) != 5<<20 {
		t.Errorf("5 MB: got %d bytes, %v", len(out), err)
	}
	for _, path := range []string{"/7mb", "/7mb-chunked"} {
		if out, err := at(path); !errors.Is(err, ErrResponseTooLarge) || out != "" {
			t.Errorf("%s: got %d bytes, %v", path, len(out), err)
		}
	}
	if _, err := invoke(t, Config{HTTP: url}, strings.Repeat("x", MaxPayload+1)); !errors.Is(err, ErrPayloadTooLarge) {
		t.Errorf("an event of 6 MB and a byte: got %v", err)
	}
	if _, err := invoke(t, Config{HTTP: "http://127.0.0.1:1"}, "{}"); Outcome(err) != "unreachable" {
		t.Errorf("nobody there: got %v, outcome %s", err, Outcome(err))
	}
}

func TestHTTPTimeout(t *testing.T) {
	url := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // lets the server notice that the client has gone
		<-r.Context().Done()
	})
	c := Config{HTTP: url}
	c.Timeout = time.Millisecond
	_, err := invoke(t, c, "{}")
	if !errors.Is(err, ErrTimeout) || Outcome(err) != "timeout" {
		t.Errorf("got %v", err)
	}
}

func TestHTTPReusesConnections(t *testing.T) {
	var opened atomic.Int32
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("{}")) }))
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	f := lookup(t, registry(t, map[string]Config{"f": {HTTP: s.URL}}), "f")
	for range 20 {
		if _, err := f.Invoke(t.Context(), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
	if n := opened.Load(); n != 1 {
		t.Errorf("20 invocations one after the other opened %d connections", n)
	}
}
