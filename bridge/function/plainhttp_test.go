//go:build unix

package function

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

func newPlain() *plainTransport {
	return &plainTransport{
		other: &http.Transport{DialContext: (&net.Dialer{}).DialContext}, idleN: 10, idleT: time.Minute, peek: alive(),
	}
}

func post(tb testing.TB, t http.RoundTripper, address, body string) (*http.Response, string, error) {
	tb.Helper()
	req, err := http.NewRequestWithContext(tb.Context(), http.MethodPost, address, strings.NewReader(body))
	if err != nil {
		tb.Fatal(err)
	}
	req.Header.Set("X-One", "1")
	resp, err := t.RoundTrip(req)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp, string(b), err
}

// What comes back is what net/http's transport gives.
func TestPlainAgreesWithNetHTTP(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		switch r.URL.Path {
		case "/chunked":
			for _, part := range []string{"one ", "two ", "three"} {
				_, _ = io.WriteString(w, part)
				_ = http.NewResponseController(w).Flush()
			}
		case "/early":
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
		case "/close":
			w.Header().Set("Connection", "close")
			_, _ = w.Write(body)
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/redirect":
			http.Redirect(w, r, "/elsewhere", http.StatusFound)
		case "/large":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 300_000))
		case "/abort":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "short")
			panic(http.ErrAbortHandler)
		default:
			w.Header().Set("X-Two", r.Header.Get("X-One")+r.Host+r.Method+r.Header.Get("User-Agent"))
			_, _ = w.Write(body)
		}
	}))
	defer server.Close()
	server.Config.ErrorLog = nil
	plain := newPlain()
	defer plain.CloseIdleConnections()
	for range 2 { // a second time on connections that were kept
		for _, path := range []string{"/", "/chunked", "/early", "/close", "/none", "/redirect", "/large", "/abort", "/?a=b%20c"} {
			want, wantBody, wantErr := post(t, plain.other, server.URL+path, `{"n":1}`)
			got, gotBody, err := post(t, plain, server.URL+path, `{"n":1}`)
			if (err == nil) != (wantErr == nil) || err != nil && err.Error() != wantErr.Error() {
				t.Fatalf("%s: error %v, want %v", path, err, wantErr)
			}
			if err != nil {
				continue
			}
			if got.StatusCode != want.StatusCode || gotBody != wantBody || got.Header.Get("X-Two") != want.Header.Get("X-Two") ||
				got.ContentLength != want.ContentLength || got.Header.Get("Location") != want.Header.Get("Location") {
				t.Errorf("%s: %v %.100q, want %v %.100q", path, got, gotBody, want, wantBody)
			}
		}
	}
}

// Connections are used again, unless the server has closed them, has said that it will,
// has sent what nobody asked for, or the answer was not read to its end.
func TestPlainConnectionsAreReused(t *testing.T) {
	var opened atomic.Int32
	hang := make(chan struct{})
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/close":
			w.Header().Set("Connection", "close")
		case "/more":
			conn, rw, _ := http.NewResponseController(w).Hijack()
			_, _ = rw.WriteString("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n")
			_ = rw.Flush()
			<-hang
			_ = conn.Close()
		case "/large":
			_, _ = w.Write(make([]byte, 1<<20))
		}
	}))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			opened.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	defer close(hang)
	plain := newPlain()
	defer plain.CloseIdleConnections()
	do := func(path string, want int32) {
		t.Helper()
		if _, _, err := post(t, plain, server.URL+path, "x"); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if n := opened.Load(); n != want {
			t.Fatalf("after %s: %d connections, want %d", path, n, want)
		}
	}
	do("/", 1)
	do("/", 1)
	do("/close", 1)
	do("/", 2)
	server.CloseClientConnections() // while it is idle: the next request notices
	do("/", 3)
	do("/more", 3)
	do("/", 4)
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/large", strings.NewReader("x"))
	resp, err := plain.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	do("/", 5)
	do(strings.Repeat("/x", 3), 5)
}

// What is larger, or goes over TLS, or another way, is net/http's.
func TestPlainLeavesTheRestToNetHTTP(t *testing.T) {
	plain := newPlain()
	for _, c := range []struct {
		method, url string
		size        int
		plain       bool
	}{
		{http.MethodPost, "http://x/", largestPlain, true},
		{http.MethodPost, "http://x/", largestPlain + 1, false},
		{http.MethodPost, "https://x/", 1, false},
		{http.MethodGet, "http://x/", 1, false},
	} {
		req, _ := http.NewRequestWithContext(t.Context(), c.method, c.url, bytes.NewReader(make([]byte, c.size)))
		if got := plain.takes(req); got != c.plain {
			t.Errorf("%s %s of %d bytes: %v", c.method, c.url, c.size, got)
		}
	}
	plain.other.Proxy = func(r *http.Request) (*url.URL, error) { return r.URL, nil }
	req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://x/", strings.NewReader("x"))
	if plain.takes(req) {
		t.Error("a request that goes through a proxy is taken")
	}
}

// The context ends a call at every stage, and its error is what comes back.
func TestPlainHonoursTheContext(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.URL.Path == "/body" {
			_, _ = io.WriteString(w, "begun")
			_ = http.NewResponseController(w).Flush()
		}
		<-release
	}))
	defer server.Close()
	defer close(release)
	plain := newPlain()
	defer plain.CloseIdleConnections()
	for _, path := range []string{"/head", "/body"} {
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		req, _ := http.NewRequestWithContext(ctx, http.MethodPost, server.URL+path, strings.NewReader("x"))
		resp, err := plain.RoundTrip(req)
		if path == "/body" {
			if err != nil {
				t.Fatal(err)
			}
			_, err = io.ReadAll(resp.Body)
			_ = resp.Body.Close()
		}
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", path, err)
		}
		cancel()
	}
	if len(plain.idle) > 0 {
		t.Error("a connection that was cut off is kept")
	}
}

// A server cannot make us hold a head without end.
func TestPlainBoundsTheHead(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = http.ReadRequest(bufio.NewReader(conn))
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
		for i := 0; ; i++ {
			if _, err := fmt.Fprintf(conn, "X-%d: %s\r\n", i, strings.Repeat("x", 1000)); err != nil {
				return
			}
		}
	}()
	if _, _, err := post(t, newPlain(), "http://"+l.Addr().String(), "x"); !errors.Is(err, errAnswerHeader) {
		t.Errorf("got %v", err)
	}
}

// Idle connections end after their time, and when there are too many.
func TestPlainIdleConnectionsEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		plain := newPlain()
		ends := make([]net.Conn, 12)
		for i := range ends {
			a, b := net.Pipe()
			ends[i] = b
			c := &plainConn{Conn: a, host: "h"}
			c.expiry = time.AfterFunc(plain.idleT, func() { plain.expire(c) })
			c.expiry.Stop()
			plain.put(c)
		}
		closed := func(c net.Conn) bool {
			_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
			_, err := c.Read(make([]byte, 1))
			return errors.Is(err, io.EOF)
		}
		if !closed(ends[11]) || closed(ends[9]) {
			t.Error("not ten are kept")
		}
		time.Sleep(2 * plain.idleT) //nolint:forbidigo // in a bubble, where it takes no time
		synctest.Wait()
		for i, c := range ends {
			if !closed(c) {
				t.Errorf("connection %d is still open", i)
			}
		}
		if len(plain.idle) != 0 {
			t.Error("they are still listed")
		}
	})
}

// Many calls at once, on one transport.
func TestPlainManyAtOnce(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(w, r.Body)
	}))
	defer server.Close()
	plain := newPlain()
	defer plain.CloseIdleConnections()
	var wg sync.WaitGroup
	for g := range 30 {
		wg.Go(func() {
			for i := range 50 {
				want := fmt.Sprint(g, i)
				if _, got, err := post(t, plain, server.URL, want); err != nil || got != want {
					t.Errorf("got %q, %v, want %q", got, err, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkPost(b *testing.B) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	defer server.Close()
	plain := newPlain()
	defer plain.CloseIdleConnections()
	plain.other.MaxIdleConnsPerHost = 10
	for name, t := range map[string]http.RoundTripper{"plain": plain, "net-http": plain.other} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := post(b, t, server.URL, `{"n":1}`); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
