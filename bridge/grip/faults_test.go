package grip_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/bridge/grip/wire"
)

// scripted is a handler whose answers a test gives, and which notes what it is asked.
type scripted struct {
	mu     sync.Mutex
	events []string
	reply  func(w http.ResponseWriter, r *http.Request, list []wire.Event)
}

func (s *scripted) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	list := events(r)
	s.mu.Lock()
	for _, e := range list {
		note := e.Type
		if len(e.Content) > 0 {
			note += " " + string(e.Content[:min(len(e.Content), 40)])
		}
		s.events = append(s.events, note)
	}
	if len(list) == 0 {
		s.events = append(s.events, "(empty)")
	}
	s.mu.Unlock()
	if len(list) > 0 && list[0].Type == wire.EventOpen {
		w.Header().Set("Sec-WebSocket-Extensions", "grip")
	}
	s.reply(w, r, list)
}

func (s *scripted) seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.events, ", ")
}

// echoing answers OPEN with OPEN and a channel, and everything else with itself.
func echoing(w http.ResponseWriter, _ *http.Request, list []wire.Event) {
	var out []wire.Event
	for _, e := range list {
		switch e.Type {
		case wire.EventOpen:
			out = append(out, e, control(`{"type":"subscribe","channel":"room"}`))
		case wire.EventText:
			out = append(out, text("m:"+string(e.Content)))
		case wire.EventClose:
			out = append(out, e)
		}
	}
	answer(w, out...)
}

func TestFunctionFailsAtOpen(t *testing.T) {
	for name, c := range map[string]struct {
		reply  func(w http.ResponseWriter, r *http.Request, list []wire.Event)
		status int
	}{
		"throws": {func(http.ResponseWriter, *http.Request, []wire.Event) { panic("boom") }, 502},
		"bad events": {func(w http.ResponseWriter, _ *http.Request, _ []wire.Event) {
			w.Header().Set("Content-Type", wire.ContentType)
			_, _ = w.Write([]byte("OPEN"))
		}, 502},
		"no OPEN":         {func(w http.ResponseWriter, _ *http.Request, _ []wire.Event) { answer(w, text("m:x")) }, 502},
		"nothing":         {func(w http.ResponseWriter, _ *http.Request, _ []wire.Event) { answer(w) }, 502},
		"another type":    {func(w http.ResponseWriter, _ *http.Request, _ []wire.Event) { _, _ = w.Write([]byte("hi")) }, 200},
		"an early status": {func(w http.ResponseWriter, _ *http.Request, _ []wire.Event) { w.WriteHeader(404) }, 404},
	} {
		t.Run(name, func(t *testing.T) {
			s := start(t, &scripted{reply: c.reply}, grip.Config{}, everything())
			_, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.http.URL, "http")+"/", nil)
			if err == nil || resp == nil || resp.StatusCode != c.status {
				t.Errorf("%v %v, want %d", err, resp, c.status)
			}
			await(t, "the client to be let go", func() bool { return s.metric("held") == 0 })
		})
	}
}

func TestFunctionFailsAtClose(t *testing.T) {
	s := start(t, &scripted{reply: func(w http.ResponseWriter, r *http.Request, list []wire.Event) {
		if list[len(list)-1].Type == wire.EventClose {
			panic("boom")
		}
		echoing(w, r, list)
	}}, grip.Config{}, everything())
	c := dial(t, s.http.URL, nil)
	c.bye(4000, "bye")
	c.wantClose(4000, "bye")
}

func TestCloseThatTheHandlerDoesNotAnswer(t *testing.T) {
	h := &scripted{reply: func(w http.ResponseWriter, r *http.Request, list []wire.Event) {
		if list[0].Type == wire.EventClose {
			answer(w)
			return
		}
		echoing(w, r, list)
	}}
	s := start(t, h, grip.Config{}, everything())
	c := dial(t, s.http.URL, nil)
	c.bye(1000, "")
	c.wantClose(1000, "")
	c = dial(t, s.http.URL, nil)
	_ = c.WriteControl(websocket.CloseMessage, nil, time.Now().Add(patience))
	c.wantClose(1005, "")
	if got := h.seen(); !strings.HasSuffix(got, "OPEN, CLOSE") {
		t.Error(got)
	}
}

func TestClientVanishes(t *testing.T) {
	h := &scripted{reply: func(w http.ResponseWriter, r *http.Request, list []wire.Event) {
		if list[0].Type == wire.EventDisconnect {
			panic("Client disconnected unexpectedly.") // as faas-grip does
		}
		echoing(w, r, list)
	}}
	s := start(t, h, grip.Config{}, everything(), grip.RouteConfig{Path: "/quiet", Function: "f", NoDisconnect: true})
	for i, path := range []string{"/", "/quiet"} {
		c := dial(t, s.http.URL+path, nil)
		_ = c.NetConn().Close()
		await(t, "the client to be let go", func() bool { return s.metric("held") == 0 })
		await(t, "the event", func() bool { return s.metric("disconnects_total") == 1 })
		if want := "OPEN, DISCONNECT" + strings.Repeat(", OPEN", i); h.seen() != want {
			t.Errorf("%s, want %s", h.seen(), want)
		}
	}
	s.publish("room", "nobody")
	if n := s.metric("delivered_total"); n != 0 {
		t.Errorf("%g messages went to clients that have gone", n)
	}
}

// One request is in flight at a time, and what comes meanwhile goes together.
func TestBatching(t *testing.T) {
	var inFlight, most atomic.Int32
	first, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	h := &scripted{reply: func(w http.ResponseWriter, r *http.Request, list []wire.Event) {
		most.Store(max(most.Load(), inFlight.Add(1)))
		defer inFlight.Add(-1)
		if list[0].Type == wire.EventText {
			once.Do(func() { close(first); <-goOn })
		}
		echoing(w, r, list)
	}}
	s := start(t, h, grip.Config{}, everything())
	c := dial(t, s.http.URL, nil)
	c.send("0")
	<-first
	for i := 1; i < 100; i++ {
		c.send(fmt.Sprint(i))
	}
	await(t, "the messages", func() bool { return s.metric("websocket_received_total") == 100 })
	close(goOn)
	for i := range 100 {
		c.want(fmt.Sprint(i))
	}
	if most.Load() != 1 || s.metric("requests_total") != 3 {
		t.Errorf("%d requests at once, %g in all", most.Load(), s.metric("requests_total"))
	}
}

func TestContentBytesAccepted(t *testing.T) {
	var replayed []string
	var mu sync.Mutex
	h := &scripted{reply: func(w http.ResponseWriter, r *http.Request, list []wire.Event) {
		if list[0].Type == wire.EventOpen {
			answer(w, list[0])
			return
		}
		mu.Lock()
		defer mu.Unlock()
		replayed = append(replayed, r.Header.Get("Content-Bytes-Replayed"))
		if len(replayed) == 1 {
			w.Header().Set("Content-Bytes-Accepted", "2")
			answer(w)
			return
		}
		echoing(w, r, list)
	}}
	s := start(t, h, grip.Config{}, everything())
	c := dial(t, s.http.URL, nil)
	c.send("hello")
	await(t, "a request", func() bool { return s.metric("requests_total") == 2 })
	c.send("world")
	c.want("llo")
	c.want("world")
	mu.Lock()
	defer mu.Unlock()
	if fmt.Sprint(replayed) != "[ 3]" {
		t.Errorf("%q", replayed)
	}
}

func TestPingsDoNotReachTheFunction(t *testing.T) {
	h := &scripted{reply: echoing}
	s := start(t, h, grip.Config{}, everything(), grip.RouteConfig{Path: "/pings", Function: "f", ForwardPings: true})
	for _, path := range []string{"/", "/pings"} {
		c := dial(t, s.http.URL+path, nil)
		pong := make(chan string, 1)
		c.SetPongHandler(func(s string) error { pong <- s; return nil })
		_ = c.WriteControl(websocket.PingMessage, []byte("pp"), time.Now().Add(patience))
		c.send("x")
		c.want("x")
		if got := <-pong; got != "pp" {
			t.Errorf("%q", got)
		}
	}
	if got := h.seen(); got != "OPEN, TEXT x, OPEN, PING pp, TEXT x" {
		t.Error(got)
	}
}

func TestRefreshAndKeepAlive(t *testing.T) {
	h := &scripted{reply: func(w http.ResponseWriter, r *http.Request, list []wire.Event) {
		if len(list) == 0 {
			answer(w, text("m:refreshed"))
			return
		}
		if list[0].Type == wire.EventOpen {
			answer(w, list[0], control(`{"type":"subscribe","channel":"room"}`), control(`{"type":"keep-alive","content":"tick","timeout":1}`),
				control(`{"type":"send-delayed","content":"delayed","timeout":60}`))
			return
		}
		answer(w, control(`{"type":"flush-delayed"}`))
	}}
	s := start(t, h, grip.Config{}, everything())
	c := dial(t, s.http.URL, nil)
	post(t, s.http.URL+"/publish", items(`{"channel":"room","ws-message":{"action":"refresh"}}`))
	c.want("refreshed")
	c.send("flush")
	c.want("delayed")
	c.want("tick")
}

func TestSlowClientIsAccountedFor(t *testing.T) {
	s := start(t, &scripted{reply: echoing}, grip.Config{}, grip.RouteConfig{Path: "/*", Function: "f", Queue: grip.QueueConfig{MaxBytes: 1 << 20}},
		grip.RouteConfig{Path: "/dropping", Function: "f", Queue: grip.QueueConfig{MaxBytes: 1 << 20, Policy: socket.DropNewest}})
	slow, dropping := dial(t, s.http.URL, nil), dial(t, s.http.URL+"/dropping", nil)
	big := strings.Repeat("x", 500<<10)
	missed := 0
	for range 40 {
		_, _, h := post(t, s.http.URL+"/publish", items(fmt.Sprintf(`{"channel":"room","ws-message":{"content":%q}}`, big)))
		var n int
		_, _ = fmt.Sscan(h.Get("Grip-Missed"), &n)
		missed += n
	}
	if missed < 2 || float64(missed) != s.metric("missed_total") {
		t.Errorf("the answers say that %d were missed, the metric %g", missed, s.metric("missed_total"))
	}
	_ = slow.SetReadDeadline(time.Now().Add(patience))
	var err error
	for err == nil {
		_, _, err = slow.ReadMessage()
	}
	if !websocket.IsCloseError(err, 1013, 1006) { // 1006 if it took longer than the time it is given
		t.Errorf("the slow client was closed with %v", err)
	}
	got := 0
	for range 40 {
		_ = dropping.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
		if _, b, err := dropping.ReadMessage(); err != nil || len(b) != len(big) {
			break
		}
		got++
	}
	if dropped := s.metric("websocket_dropped_total"); float64(got)+dropped != 40 {
		t.Errorf("%d arrived and %g were dropped of 40", got, dropped)
	}
}

func TestBurstToManyIsDeliveredWhole(t *testing.T) {
	const clients, messages = 50, 500
	s := start(t, &scripted{reply: echoing}, grip.Config{}, everything())
	all := make([]*client, clients)
	for i := range all {
		all[i] = dial(t, s.http.URL, nil)
	}
	go func() {
		for i := range messages {
			s.publish("room", fmt.Sprint(i))
		}
	}()
	for _, c := range all {
		for i := range messages {
			c.want(fmt.Sprint(i))
		}
	}
	if n := s.metric("delivered_total"); n != clients*messages {
		t.Errorf("%g deliveries were counted", n)
	}
}

func TestMessagesOfAMegabyte(t *testing.T) {
	s := start(t, &scripted{reply: echoing}, grip.Config{}, everything())
	c := dial(t, s.http.URL, nil)
	big := strings.Repeat("0123456789abcdef", 1<<16)
	for range 3 {
		c.send(big)
		c.want(big)
	}
	c.send(big + "x")
	c.wantClose(1009, "the message is too large")
}

func TestBadFrames(t *testing.T) {
	s := start(t, &scripted{reply: echoing}, grip.Config{}, everything())
	for name, b := range map[string][]byte{
		"unmasked":             {0x81, 1, 'x'},
		"reserved bits":        {0xf1, 0x80, 0, 0, 0, 0},
		"unknown opcode":       {0x83, 0x80, 0, 0, 0, 0},
		"long control frame":   append([]byte{0x89, 0xfe, 0, 126, 0, 0, 0, 0}, make([]byte, 126)...),
		"half a code":          {0x88, 0x81, 0, 0, 0, 0, 3},
		"a length to wait for": append(binary.BigEndian.AppendUint64([]byte{0x81, 0xff}, 1<<62), 0, 0, 0, 0),
	} {
		t.Run(name, func(t *testing.T) {
			c := dial(t, s.http.URL, nil)
			if _, err := c.NetConn().Write(b); err != nil {
				t.Fatal(err)
			}
			_ = c.SetReadDeadline(time.Now().Add(patience))
			_, _, err := c.ReadMessage()
			if !websocket.IsCloseError(err, 1002, 1005, 1009) {
				t.Errorf("%v", err)
			}
		})
	}
	await(t, "the clients to be let go", func() bool { return s.metric("held") == 0 })
}

func TestControlsThatMakeNoSense(t *testing.T) {
	s := start(t, &scripted{reply: func(w http.ResponseWriter, r *http.Request, list []wire.Event) {
		if list[0].Type == wire.EventText {
			answer(w, control("{"), control(`{"type":"sing"}`), control(`{"type":"subscribe","channel":"a/#/b"}`), text("m:ok"))
			return
		}
		echoing(w, r, list)
	}}, grip.Config{MaxSubscriptions: 1}, everything())
	c := dial(t, s.http.URL, nil)
	c.send("x")
	c.want("ok")
	if n := s.metric("ignored_total"); n != 4 { // the last one twice: as a subscription and as a control message
		t.Errorf("%g were counted as ignored", n)
	}
}

func TestReloadWithConnectionsOpen(t *testing.T) {
	keep, change, gone := grip.RouteConfig{Path: "/keep", Function: "f"}, grip.RouteConfig{Path: "/change", Function: "f"}, grip.RouteConfig{Path: "/gone", Function: "f"}
	s := start(t, &scripted{reply: echoing}, grip.Config{}, keep, change, gone)
	a, b, c := dial(t, s.http.URL+"/keep", nil), dial(t, s.http.URL+"/change", nil), dial(t, s.http.URL+"/gone", nil)
	keep.Retained = true // a setting, not another function
	change.Function = "g"
	s.door.Load([]grip.RouteConfig{keep, change})
	a.send("still here")
	a.want("still here")
	b.wantClose(1012, "the route has changed")
	c.wantClose(1012, "the route has changed")
	if status, _, _ := do(t, http.MethodGet, s.http.URL+"/gone", ""); status != 404 {
		t.Errorf("%d", status)
	}
}

func TestStopEndsEverybody(t *testing.T) {
	h := &scripted{reply: echoing}
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ws" {
			h.ServeHTTP(w, r)
			return
		}
		originHandler(w, r)
	}), grip.Config{}, everything())
	c := dial(t, s.http.URL+"/ws", nil)
	st := stream(t, s.http.URL+"/stream?channel=x")
	st.want("hello ")
	poll := make(chan string, 1)
	go func() {
		_, body, _ := do(t, http.MethodGet, s.http.URL+"/poll?channel=x", "")
		poll <- body
	}()
	await(t, "three holders", func() bool { return s.metric("held") == 3 })
	go s.stop()
	c.wantClose(1001, "the server is shutting down")
	st.wantEnd()
	if got := <-poll; got != "nothing" {
		t.Errorf("the poll was answered with %q", got)
	}
	s.stop()
	if got := h.seen(); got != "OPEN, DISCONNECT" {
		t.Error(got)
	}
}

func TestOriginsAndSubprotocols(t *testing.T) {
	s := start(t, &scripted{reply: echoing}, grip.Config{MaxConnections: 2}, grip.RouteConfig{Path: "/*", Function: "f", AllowedOrigins: []string{"https://*.example.com"}, Subprotocols: []string{"v2", "v1"}})
	for origin, ok := range map[string]bool{"https://a.example.com": true, "https://evil.org": false, "null": false, "http://localhost:3000": true} {
		c, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.http.URL, "http"), http.Header{"Origin": {origin}})
		if (err == nil) != ok {
			t.Errorf("%s: %v %v", origin, err, resp)
		}
		if c != nil {
			_ = c.Close()
		}
	}
	await(t, "the clients to be let go", func() bool { return s.metric("held") == 0 })
	c := dial(t, s.http.URL, http.Header{"Sec-Websocket-Protocol": {"v1, v3"}})
	if c.Subprotocol() != "v1" {
		t.Errorf("subprotocol %q", c.Subprotocol())
	}
	dial(t, s.http.URL, nil)
	_, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.http.URL, "http"), nil)
	if err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one connection too many: %v", err)
	}
}

// A client that is pushed about while its handler is slow, and publishers by the dozen.
func TestPublishStorm(t *testing.T) {
	s := start(t, &scripted{reply: echoing}, grip.Config{}, everything())
	const publishers, each = 8, 100
	c := dial(t, s.http.URL, nil)
	var wg sync.WaitGroup
	for p := range publishers {
		wg.Go(func() {
			for i := range each {
				body := items(fmt.Sprintf(`{"channel":"room","id":"%d-%d","ws-message":{"content":"%d-%d"}}`, p, i, p, i))
				resp, err := http.Post(s.http.URL+"/publish", "application/json", strings.NewReader(body))
				if err != nil {
					t.Error(err)
					return
				}
				_, _ = io.Copy(io.Discard, resp.Body)
				_ = resp.Body.Close()
			}
		})
	}
	next := [publishers]int{}
	for range publishers * each {
		_ = c.SetReadDeadline(time.Now().Add(patience))
		_, b, err := c.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		var p, i int
		if _, err := fmt.Fscanf(bytes.NewReader(b), "%d-%d", &p, &i); err != nil || next[p] != i {
			t.Fatalf("%s came when %d was due, %v", b, next[p], err)
		}
		next[p]++
	}
	wg.Wait()
}

// Half a handshake, and clients that leave while the handler thinks.
func TestClientLeavesBeforeItIsAccepted(t *testing.T) {
	asked, goOn := make(chan struct{}), make(chan struct{})
	h := &scripted{reply: func(w http.ResponseWriter, r *http.Request, list []wire.Event) {
		if list[0].Type == wire.EventOpen {
			close(asked)
			<-goOn
		}
		echoing(w, r, list)
	}}
	s := start(t, h, grip.Config{}, everything())
	c, err := net.Dial("tcp", strings.TrimPrefix(s.http.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.WriteString(c, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
	<-asked
	_ = c.Close()
	close(goOn)
	await(t, "the client to be let go", func() bool { return s.metric("held") == 0 })
	await(t, "the handler to be told", func() bool { return h.seen() == "OPEN, DISCONNECT" })
}

// An origin that breaks off in the middle of an ordinary answer: so does ours, and
// nothing is left behind.
func TestOriginBreaksOff(t *testing.T) {
	origin := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "half")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	}))
	t.Cleanup(origin.Close)
	s := start(t, nil, grip.Config{}, grip.RouteConfig{Path: "/*", Mode: grip.ModeProxy, URL: origin.URL}, grip.RouteConfig{Path: "/gone", Mode: grip.ModeProxy, URL: "http://127.0.0.1:1"})
	resp, err := http.Get(s.http.URL)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	if string(b) != "half" || err == nil {
		t.Errorf("%q, %v", b, err)
	}
	if status, _, _ := do(t, http.MethodGet, s.http.URL+"/gone", ""); status != http.StatusBadGateway {
		t.Errorf("an origin that is not there: %d", status)
	}
	if s.door.Watching() {
		t.Error("the window is still open")
	}
}

// The headers of the proxy event and of the request to an origin.
func TestProxyEvent(t *testing.T) {
	got := make(chan string, 1)
	s := startWith(t, nil, grip.Options{}, grip.RouteConfig{Path: "/app/*", Function: "f", Headers: grip.ForwardSet})
	s.door.SetInvoker(invoker(func(payload []byte) ([]byte, error) {
		got <- string(payload)
		return []byte(`{"statusCode":"201","headers":{"x-n":5,"X-B":true,"bad name":"x"},"multiValueHeaders":{"Set-Cookie":["a=1","b=2"]},"body":null}`), nil
	}))
	status, body, h := post(t, s.http.URL+"/app/x%20y/z?a=1&a=2&b=", "hé\"\x00", "X-Forwarded-For", "203.0.113.7", "Meta-X", "1", "Cookie", "c=d")
	if status != 201 || body != "" || h.Get("X-N") != "5" || h.Get("X-B") != "true" || len(h["Set-Cookie"]) != 2 {
		t.Errorf("%d %q %v", status, body, h)
	}
	e := <-got
	for _, want := range []string{
		`{"resource":"/app/{proxy+}","path":"/app/x y/z","httpMethod":"POST","headers":{"Host":"127.0.0.1:`, `"X-Forwarded-For":"203.0.113.7, 127.0.0.1"`,
		`"queryStringParameters":{"a":"2","b":""},"multiValueQueryStringParameters":{"a":["1","2"],"b":[""]},"pathParameters":{"proxy":"x y/z"},"stageVariables":null`,
		`"resourcePath":"/app/{proxy+}","protocol":"HTTP/1.1"`, `"identity":{"sourceIp":"127.0.0.1","userAgent":"Go-http-client/1.1"}}`,
		`"body":"hé\"\u0000","isBase64Encoded":false}`, `"multiValueHeaders":{"Host":["127.0.0.1:`,
	} {
		if !strings.Contains(e, want) {
			t.Errorf("%s\nlacks %s", e, want)
		}
	}
	if strings.Contains(e, "Meta-X") || !json.Valid([]byte(e)) {
		t.Error(e)
	}
}

type invoker func(payload []byte) ([]byte, error)

func (f invoker) Invoke(_ context.Context, _ string, payload []byte) ([]byte, error) {
	return f(payload)
}
