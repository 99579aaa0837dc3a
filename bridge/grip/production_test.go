package grip_test

import (
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/message"
)

// An origin that compresses what it is asked to: what is published is not, and must not
// be taken for it.
func TestOriginThatCompresses(t *testing.T) {
	eachTarget(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Grip-Hold", strings.TrimPrefix(r.URL.Path, "/"))
		w.Header().Set("Grip-Channel", "squeezed")
		w.Header().Set("Content-Type", "text/plain")
		var out io.Writer = w
		if strings.Contains(r.Header.Get("Accept-Encoding"), "gzip") {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			out = z
		}
		_, _ = io.WriteString(out, "hello ")
	}), func(t *testing.T, to target) {
		t.Helper()
		c := stream(t, to.url+"/stream")
		c.want("hello ")
		poll := make(chan string, 1)
		go func() {
			resp, err := http.Get(to.url + "/response")
			if err != nil {
				poll <- err.Error()
				return
			}
			defer resp.Body.Close()
			b, err := io.ReadAll(resp.Body)
			poll <- fmt.Sprint(string(b), err)
		}()
		got := ""
		await(t, "the poll to be answered", func() bool {
			to.published(t, items(`{"channel":"squeezed","http-stream":{"content":"!"},"http-response":{"body":"published"}}`))
			select {
			case got = <-poll:
				return true
			case <-time.After(200 * time.Millisecond): // Pushpin, when flooded, is slow to hold it
				return false
			}
		})
		if got != "published<nil>" {
			t.Errorf("the poll got %q", got)
		}
		await(t, "what is published", func() bool { return strings.HasPrefix(c.peek(), "!") })
	})
}

// A publisher that does not wait for the answer has published all of its items.
func TestPublisherThatDoesNotWait(t *testing.T) {
	s := start(t, http.HandlerFunc(originHandler), grip.Config{}, everything())
	left := make(chan struct{})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		go func() {
			<-r.Context().Done()
			close(left)
		}()
		s.door.ServeHTTP(w, r)
	}))
	t.Cleanup(front.Close)
	got, first := make(chan string, 10), make(chan struct{})
	l := s.broker.NewLocal(broker.LocalOptions{Receive: func(m *message.Message, _ *any) {
		if string(m.Payload) == "1" {
			close(first)
			<-left
		}
		got <- string(m.Payload)
	}})
	t.Cleanup(l.Close)
	if err := l.Subscribe("room", false); err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", strings.TrimPrefix(front.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	body := items(`{"channel":"room","ws-message":{"content":"1"}}`, `{"channel":"room","ws-message":{"content":"2"}}`)
	_, _ = fmt.Fprintf(c, "POST /publish HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	<-first
	_ = c.Close()
	for _, want := range []string{"1", "2"} {
		select {
		case m := <-got:
			if m != want {
				t.Errorf("%q came, want %q", m, want)
			}
		case <-time.After(patience):
			t.Fatalf("%q did not come", want)
		}
	}
}

// An answer with instructions that is too large to hold is an error, and not cut off.
func TestAnswerTooLargeToHold(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Grip-Hold", "stream")
		w.Header().Set("Grip-Channel", "x")
		_, _ = w.Write(make([]byte, 6<<20+1))
	}))
	t.Cleanup(origin.Close)
	s := start(t, nil, grip.Config{}, grip.RouteConfig{Path: "/*", Mode: grip.ModeProxy, URL: origin.URL})
	if status, body, _ := do(t, http.MethodGet, s.http.URL, ""); status != http.StatusBadGateway {
		t.Errorf("%d with %d bytes", status, len(body))
	}
}

// coded is an error that says how its request is answered.
type coded int

func (c coded) Error() string { return http.StatusText(int(c)) }

func (c coded) HTTPStatus() int { return int(c) }

// Who is not let in is told why: unknown, not allowed, too often, or nobody can say.
func TestRefusals(t *testing.T) {
	s := startWith(t, http.HandlerFunc(originHandler), grip.Options{Authorize: func(r *http.Request) (grip.Grant, error) {
		var status int
		_, _ = fmt.Sscan(r.Header.Get("X-Status"), &status)
		return nil, fmt.Errorf("refused: %w", coded(status))
	}}, grip.RouteConfig{Path: "/*", Function: "f", Auth: true})
	for _, status := range []int{401, 403, 429, 503} {
		for _, method := range []string{http.MethodGet, http.MethodPost} {
			got, _, h := do(t, method, s.http.URL+map[string]string{http.MethodGet: "/plain", http.MethodPost: "/publish"}[method], items(), "X-Status", fmt.Sprint(status))
			if got != status || (h.Get("WWW-Authenticate") != "") != (status == 401) {
				t.Errorf("%s: %d %v, want %d", method, got, h, status)
			}
		}
	}
}

// Without methods and without keys this machine may publish, and with a key nobody may who
// does not show it.
func TestPublishersWithoutMethods(t *testing.T) {
	for _, c := range []struct {
		key    string
		status int
	}{{"", 200}, {"secret", 401}} {
		s := startWith(t, http.HandlerFunc(originHandler), grip.Options{
			Config:    grip.Config{Key: c.key},
			Authorize: asVisitor,
			Asks:      func() bool { return false },
		}, everything())
		if status, body, _ := post(t, s.http.URL+"/publish", items()); status != c.status {
			t.Errorf("with the key %q: %d %s", c.key, status, body)
		}
		if status, _, _ := post(t, s.http.URL+"/publish", items(), "X-Forwarded-For", "192.0.2.1"); status != 401 {
			t.Errorf("with the key %q, over a proxy: %d", c.key, status)
		}
	}
}

// What an authenticated client says carries its name, as over MQTT.
func TestPublishedInTheClientsName(t *testing.T) {
	s := startWith(t, http.HandlerFunc(originHandler), grip.Options{Authorize: asVisitor}, grip.RouteConfig{Path: "/*", Function: "f", Auth: true, Publish: "al/in"})
	got := s.mqtt("al/in")
	c := dial(t, s.http.URL+"/ws", http.Header{"X-Visitor": {"al"}})
	c.send("hello")
	if m := <-got; m.From.Principal != "al" || m.From.ClientID == "" || !m.From.Addr.IsValid() {
		t.Errorf("%+v", m.From)
	}
}

// Clients that offer it get what is worth it compressed, and only on a route that says so.
func TestCompressionOfARoute(t *testing.T) {
	s := start(t, &scripted{reply: echoing}, grip.Config{}, everything(), grip.RouteConfig{Path: "/packed", Function: "f", Compression: true})
	for path, want := range map[string]string{"/": "", "/packed": "permessage-deflate; server_no_context_takeover; client_no_context_takeover"} {
		d := &websocket.Dialer{EnableCompression: true}
		ws, resp, err := d.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.http.URL, "http")+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := resp.Header.Get("Sec-Websocket-Extensions"); got != want {
			t.Errorf("%s answers %q", path, got)
		}
		c := &client{t, ws, resp}
		big := strings.Repeat("again and ", 1000)
		c.send(big)
		c.want(big)
		s.publish("room", big)
		c.want(big)
		_ = ws.Close()
	}
}
