package grip_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/wire"
	pushpinproc "github.com/topicwire/topicwire/internal/pushpin"
	"github.com/topicwire/topicwire/internal/testkit"
)

// target is something that speaks GRIP to clients, publishers and an origin.
type target struct {
	name    string
	url     string // for clients
	publish string // for publishers, up to /publish
	pushpin bool
}

// eachTarget runs a test against topicwire, in both modes, and against Pushpin if it is
// there, with the same origin behind all.
func eachTarget(t *testing.T, origin http.Handler, test func(t *testing.T, to target)) {
	t.Helper()
	for _, mode := range []grip.Mode{grip.ModeGrip, grip.ModeProxy} {
		t.Run(string(mode), func(t *testing.T) {
			route := grip.RouteConfig{Path: "/*", Mode: mode, Function: "f"}
			if mode == grip.ModeProxy {
				srv := httptest.NewServer(origin)
				t.Cleanup(srv.Close)
				route.Function, route.URL = "", srv.URL
			}
			s := start(t, origin, grip.Config{}, route)
			test(t, target{name: string(mode), url: s.http.URL, publish: s.http.URL})
			s.stop()
		})
	}
	t.Run("pushpin", func(t *testing.T) {
		p := pushpin(t)
		p.use(origin)
		test(t, target{name: "pushpin", url: p.url, publish: p.control, pushpin: true})
	})
}

// pushpinServer is Debian's pushpin, started once; its origin is whatever use says.
type pushpinServer struct {
	url, control string
	origin       *httptest.Server
	mu           sync.Mutex
	handler      http.Handler
}

func (p *pushpinServer) use(h http.Handler) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.handler = h
}

func (p *pushpinServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	h := p.handler
	p.mu.Unlock()
	h.ServeHTTP(w, r)
}

// pushpin starts Pushpin for one test.
func pushpin(t *testing.T) *pushpinServer {
	t.Helper()
	p := &pushpinServer{}
	p.origin = httptest.NewServer(p)
	t.Cleanup(p.origin.Close)
	clients, control := freePort(t), freePort(t)
	cmd, err := pushpinproc.Command(pushpinproc.Config{
		Dir: t.TempDir(), Origin: strings.TrimPrefix(p.origin.URL, "http://"), Clients: clients, Publish: control,
		MaxConnections: 1000, MessageRate: 10_000, MessageHWM: 25_000,
	})
	if errors.Is(err, pushpinproc.ErrMissing) {
		testkit.Missing(t, err.Error())
	} else if err != nil {
		t.Fatal(err)
	}
	run(t, cmd)
	p.url, p.control = fmt.Sprintf("http://127.0.0.1:%d", clients), fmt.Sprintf("http://127.0.0.1:%d", control)
	// It listens some time before its processes have found one another, and a request
	// that comes in between hangs.
	p.use(http.HandlerFunc(originHandler))
	try := http.Client{Timeout: time.Second}
	await(t, "pushpin to reach its origin", func() bool {
		resp, err := try.Get(p.url + "/stream?channel=ready") // which takes them all
		if err == nil {
			_ = resp.Body.Close()
		}
		return err == nil && resp.StatusCode == http.StatusOK
	})
	return p
}

// run starts a program and ends it with the test.
func run(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	})
}

// freePort finds a port that is free.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, _ := l.Addr().(*net.TCPAddr)
	return a.Port
}

// await polls for what has no event to wait for.
func await(tb testing.TB, what string, ok func() bool) {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			tb.Fatal("waited in vain for ", what)
		}
	}
}

// originHandler is an origin that speaks GRIP, with a path for each feature.
func originHandler(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/ws"):
		originSocket(w, r)
	case r.URL.Path == "/plain":
		w.Header().Set("X-Own", "1")
		w.Header().Set("X-Sig", fmt.Sprint(r.Header.Get("Grip-Sig") != ""))
		w.WriteHeader(http.StatusTeapot)
		_, _ = fmt.Fprintf(w, "plain %s", r.URL.RawQuery)
	case r.URL.Path == "/poll":
		w.Header().Set("Grip-Hold", "response")
		w.Header().Set("Grip-Channel", r.URL.Query().Get("channel"))
		w.Header().Set("X-Held", "1")
		w.Header().Set("Grip-Timeout", "20")
		_, _ = w.Write([]byte("nothing"))
	case r.URL.Path == "/instruct":
		w.Header().Set("Content-Type", "application/grip-instruct")
		_, _ = fmt.Fprintf(w, `{"hold":{"mode":"stream","channels":[{"name":%q}]},"response":{"code":201,"headers":{"X-From":"instruct"},"body":"hello "}}`, r.URL.Query().Get("channel"))
	case r.URL.Path == "/stream":
		w.Header().Set("Grip-Hold", "stream")
		w.Header().Set("Grip-Channel", r.URL.Query().Get("channel"))
		w.Header().Set("Content-Type", "text/plain")
		if k := r.URL.Query().Get("keep-alive"); k != "" {
			w.Header().Set("Grip-Keep-Alive", k)
		}
		_, _ = w.Write([]byte("hello "))
	case r.URL.Path == "/status":
		w.Header().Set("Grip-Status", "404 Nowhere")
		_, _ = w.Write([]byte("not here"))
	}
}

// originSocket echoes, with commands in between.
func originSocket(w http.ResponseWriter, r *http.Request) {
	var out []wire.Event
	for _, e := range events(r) {
		switch e.Type {
		case wire.EventOpen:
			if r.URL.Path == "/ws/refused" {
				w.Header().Set("X-Why", "denied")
				w.WriteHeader(http.StatusForbidden)
				_, _ = w.Write([]byte("denied\n"))
				return
			}
			ext := "grip"
			if p := r.URL.Query().Get("prefix"); p != "" {
				ext = fmt.Sprintf(`grip; message-prefix="%s"`, strings.TrimSuffix(p, "none"))
			}
			if r.URL.Path != "/ws/raw" {
				w.Header().Set("Sec-WebSocket-Extensions", ext)
			}
			w.Header().Set("X-Own", "1")
			out = append(out, wire.Event{Type: wire.EventOpen})
			if ch := r.URL.Query().Get("channel"); ch != "" {
				out = append(out, control(fmt.Sprintf(`{"type":"subscribe","channel":%q}`, ch)))
			}
		case wire.EventText:
			switch s := string(e.Content); {
			case s == "meta?":
				out = append(out, text("m:"+r.Header.Get("Meta-Nick")))
			case strings.HasPrefix(s, "nick "):
				w.Header().Set("Set-Meta-Nick", s[5:])
				out = append(out, text("m:ok"))
			case strings.HasPrefix(s, "c:"), s == "unprefixed":
				out = append(out, e)
			case s == "close":
				out = append(out, closing(4001, "you asked"))
			case s == "close0":
				out = append(out, wire.Event{Type: wire.EventClose, Content: []byte{0, 0}})
			case s == "drop":
				out = append(out, wire.Event{Type: wire.EventDisconnect})
			case s == "fail":
				w.WriteHeader(http.StatusInternalServerError)
				return
			case s == "headers?":
				out = append(out, text(fmt.Sprintf("m:%s %s %s %q %q %q", r.Method, r.Header.Get("Content-Type"), r.Header.Get("Sec-WebSocket-Extensions"),
					r.Header.Get("X-Client"), r.Header.Get("Grip-Forged"), r.Header.Get("Meta-Forged"))))
			case r.URL.Path == "/ws/raw":
				out = append(out, e)
			default:
				out = append(out, text(r.URL.Query().Get("prefix")+"m:"+s))
				if p := r.URL.Query().Get("prefix"); p != "" {
					out[len(out)-1] = text(strings.TrimSuffix(p, "none") + s)
				}
			}
		case wire.EventBinary:
			out = append(out, wire.Event{Type: wire.EventBinary, Content: append([]byte("m:"), e.Content...)})
		case wire.EventClose:
			out = append(out, e)
		}
	}
	answer(w, out...)
}

// items is the body of a publish.
func items(list ...string) string { return `{"items":[` + strings.Join(list, ",") + `]}` }

func (to target) published(t *testing.T, body string) {
	t.Helper()
	if status, text, _ := post(t, to.publish+"/publish/", body); status != http.StatusOK || text != "Published\n" {
		t.Fatalf("publish was answered with %d %q", status, text)
	}
}

func TestBlackBox(t *testing.T) {
	eachTarget(t, http.HandlerFunc(originHandler), func(t *testing.T, to target) {
		t.Helper()
		for _, c := range []struct {
			name string
			test func(t *testing.T, to target)
		}{
			{"echo", boxEcho},
			{"binary and empty", boxBinary},
			{"refusal", boxRefusal},
			{"meta", boxMeta},
			{"raw", boxRaw},
			{"prefix", boxPrefix},
			{"closes", boxCloses},
			{"headers", boxHeaders},
			{"channels", boxChannels},
			{"publish actions", boxActions},
			{"detach", boxDetach},
			{"plain", boxPlain},
			{"poll", boxPoll},
			{"stream", boxStream},
			{"instruct", boxInstruct},
			{"publish door", boxDoor},
			{"ids", boxIDs},
		} {
			t.Run(c.name, func(t *testing.T) { c.test(t, to) })
		}
	})
}

func boxEcho(t *testing.T, to target) {
	t.Helper()
	c := dial(t, to.url+"/ws", nil)
	if got := c.resp.Header.Get("X-Own"); got != "1" {
		t.Errorf("the handler's header X-Own came as %q", got)
	}
	for i := range 50 {
		s := fmt.Sprintf("message %d, hé€", i)
		c.send(s)
		c.want(s)
	}
	for i := range 50 { // all at once: batched, in order
		c.send(fmt.Sprint("burst ", i))
	}
	for i := range 50 {
		c.want(fmt.Sprint("burst ", i))
	}
	c.bye(4000, "bye")
	c.wantClose(4000, "bye")
}

func boxBinary(t *testing.T, to target) {
	t.Helper()
	c := dial(t, to.url+"/ws", nil)
	for _, s := range []string{"\x00\xff\x01", ""} {
		if err := c.WriteMessage(websocket.BinaryMessage, []byte(s)); err != nil {
			t.Fatal(err)
		}
		kind, got, err := c.ReadMessage()
		if err != nil || kind != websocket.BinaryMessage || string(got) != s {
			t.Fatalf("%d %q %v", kind, got, err)
		}
	}
	c.send("")
	c.want("")
}

func boxRefusal(t *testing.T, to target) {
	t.Helper()
	_, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(to.url, "http")+"/ws/refused", nil)
	if err == nil || resp == nil {
		t.Fatal("it was not refused", err)
	}
	defer resp.Body.Close()
	body := make([]byte, 100)
	n, _ := resp.Body.Read(body)
	if resp.StatusCode != http.StatusForbidden || resp.Header.Get("X-Why") != "denied" || string(body[:n]) != "denied\n" {
		t.Errorf("%s %v %q", resp.Status, resp.Header, body[:n])
	}
}

func boxMeta(t *testing.T, to target) {
	t.Helper()
	c := dial(t, to.url+"/ws", nil)
	for _, nick := range []string{"Al", "Bo"} {
		c.send("nick " + nick)
		c.want("ok")
		c.send("meta?")
		c.want(nick)
	}
	c.send("nick ")
	c.want("ok")
	c.send("meta?")
	c.want("")
}

func boxRaw(t *testing.T, to target) {
	t.Helper()
	c := dial(t, to.url+"/ws/raw", nil)
	c.send("m:as it is")
	c.want("m:as it is")
	c.send("c:{}")
	c.want("c:{}")
}

func boxPrefix(t *testing.T, to target) {
	t.Helper()
	for _, prefix := range []string{"p-", "none"} {
		c := dial(t, to.url+"/ws?prefix="+prefix, nil)
		c.send("hello")
		c.want("hello")
	}
	c := dial(t, to.url+"/ws", nil)
	c.send("unprefixed") // is dropped
	c.send("next")
	c.want("next")
}

func boxCloses(t *testing.T, to target) {
	t.Helper()
	c := dial(t, to.url+"/ws", nil)
	c.send("close")
	c.wantClose(4001, "you asked")
	c = dial(t, to.url+"/ws", nil)
	c.send("drop")
	c.wantClose(1006, "")
	c = dial(t, to.url+"/ws", nil)
	c.send("fail")
	c.wantClose(1006, "")
	if !to.pushpin { // which sends code 0
		c = dial(t, to.url+"/ws", nil)
		c.send("close0")
		c.wantClose(1000, "")
	}
}

func boxHeaders(t *testing.T, to target) {
	t.Helper()
	c := dial(t, to.url+"/ws", http.Header{"X-Client": {"yes"}, "Grip-Forged": {"1"}, "Meta-Forged": {"1"}})
	c.send("headers?")
	c.want(`POST application/websocket-events grip "yes" "" ""`)
}

func boxChannels(t *testing.T, to target) {
	t.Helper()
	a, b := dial(t, to.url+"/ws?channel=room", nil), dial(t, to.url+"/ws?channel=room", nil)
	other := dial(t, to.url+"/ws?channel=other", nil)
	to.subscribed(t, a, b, other)
	to.published(t, items(`{"channel":"room","ws-message":{"content":"hi all"}}`, `{"channel":"room","formats":{"ws-message":{"content-bin":"AAE="}}}`))
	for _, c := range []*client{a, b} {
		c.want("hi all")
		c.want("\x00\x01")
	}
	a.send(`c:{"type":"unsubscribe","channel":"room"}`)
	to.subscribed(t, a)
	to.published(t, items(`{"channel":"room","ws-message":{"content":"without a"}}`, `{"channel":"other","ws-message":{"content":"for the other"}}`))
	b.want("without a")
	other.want("for the other")
	a.send("still here")
	a.want("still here")
}

// subscribed waits until what clients have asked for has happened.
func (to target) subscribed(t *testing.T, list ...*client) {
	t.Helper()
	for _, c := range list {
		c.send("ready?")
		c.want("ready?")
	}
	if to.pushpin { // its parts tell one another a little later
		<-time.After(200 * time.Millisecond)
	}
}

func boxActions(t *testing.T, to target) {
	t.Helper()
	c := dial(t, to.url+"/ws?channel=actions", nil)
	to.subscribed(t, c)
	to.published(t, items(`{"channel":"actions","ws-message":{"content":"last"}}`, `{"channel":"actions","ws-message":{"action":"close","code":4002,"reason":"over"}}`))
	c.want("last")
	c.wantClose(4002, "over")
}

func boxDetach(t *testing.T, to target) {
	t.Helper()
	c := dial(t, to.url+"/ws?channel=detached", nil)
	to.subscribed(t, c)
	c.send(`c:{"type":"detach"}`)
	<-time.After(200 * time.Millisecond) // nothing tells the client: or the two go together
	c.send("nobody listens")
	to.published(t, items(`{"channel":"detached","ws-message":{"content":"still bound"}}`))
	c.want("still bound")
}

func boxPlain(t *testing.T, to target) {
	t.Helper()
	status, body, h := do(t, http.MethodGet, to.url+"/plain?a=b", "")
	if status != http.StatusTeapot || body != "plain a=b" || h.Get("X-Own") != "1" || h.Get("X-Sig") != "true" {
		t.Errorf("%d %q %v", status, body, h)
	}
	status, body, h = do(t, http.MethodGet, to.url+"/status", "")
	if status != http.StatusNotFound || body != "not here" || h.Get("Grip-Status") != "" {
		t.Errorf("%d %q %v", status, body, h)
	}
}

func boxPoll(t *testing.T, to target) {
	t.Helper()
	type result struct {
		status int
		body   string
		header http.Header
	}
	got := make(chan result, 1)
	go func() {
		status, body, h := do(t, http.MethodGet, to.url+"/poll?channel=polled", "")
		got <- result{status, body, h}
	}()
	var r result
	await(t, "the answer to a poll", func() bool {
		select {
		case r = <-got:
			return true
		default:
			to.published(t, items(`{"channel":"polled","http-response":{"code":202,"headers":{"X-Item":"1"},"body":"news"}}`))
			<-time.After(20 * time.Millisecond)
			return false
		}
	})
	if r.status != 202 || r.body != "news" || r.header.Get("X-Held") != "1" || r.header.Get("X-Item") != "1" || r.header.Get("Grip-Hold") != "" {
		t.Errorf("%+v", r)
	}
}

func boxStream(t *testing.T, to target) {
	t.Helper()
	s := stream(t, to.url+"/stream?channel=streamed")
	s.want("hello ")
	if to.pushpin {
		<-time.After(200 * time.Millisecond)
	}
	to.published(t, items(`{"channel":"streamed","http-stream":{"content":"one "}}`, `{"channel":"streamed","http-stream":{"content-bin":"AAE="}}`))
	s.want("one \x00\x01")
	to.published(t, items(`{"channel":"streamed","http-stream":{"action":"close"}}`))
	s.wantEnd()
	k := stream(t, to.url+"/stream?channel=quiet&keep-alive=tick%3Btimeout%3D1")
	k.want("hello ticktick")
}

func boxInstruct(t *testing.T, to target) {
	t.Helper()
	s := stream(t, to.url+"/instruct?channel=instructed")
	if s.resp.StatusCode != 201 || s.resp.Header.Get("X-From") != "instruct" {
		t.Errorf("%s %v", s.resp.Status, s.resp.Header)
	}
	s.want("hello ")
	if to.pushpin {
		<-time.After(200 * time.Millisecond)
	}
	to.published(t, items(`{"channel":"instructed","http-stream":{"content":"you"}}`))
	s.want("you")
}

func boxDoor(t *testing.T, to target) {
	t.Helper()
	for _, c := range []struct {
		method, path, body, accept string
		status                     int
		want                       string
	}{
		{"POST", "/publish", `{"items":[]}`, "", 200, "Published\n"},
		{"POST", "/publish/", `{"items":[]}`, "application/json", 200, "{\"message\":\"Published\"}\n"},
		{"POST", "/publish/", `{"items":[]}`, "text/html", 406, "Not Acceptable. Supported formats are text/plain and application/json.\n"},
		{"POST", "/publish/", `{"items":5}`, "application/json", 400, "Invalid format: object contains 'items' with wrong type\n"},
		{"POST", "/publish/", `x`, "", 400, "Body is not valid JSON.\n"},
		{"GET", "/publish/", ``, "", 405, "Method not allowed: GET.\n"},
	} {
		var header []string
		if c.accept != "" {
			header = []string{"Accept", c.accept}
		}
		status, body, _ := do(t, c.method, to.publish+c.path, c.body, header...)
		if status != c.status || body != c.want {
			t.Errorf("%s %s %s: %d %q, want %d %q", c.method, c.path, c.body, status, body, c.status, c.want)
		}
	}
}

func boxIDs(t *testing.T, to target) {
	t.Helper()
	c := dial(t, to.url+"/ws?channel=ids", nil)
	to.subscribed(t, c)
	item := func(id, prev, content string) string {
		return fmt.Sprintf(`{"channel":"ids","id":%q,"prev-id":%q,"ws-message":{"content":%q}}`, id, prev, content)
	}
	to.published(t, items(`{"channel":"ids","id":"1","ws-message":{"content":"first"}}`))
	c.want("first")
	to.published(t, items(item("3", "2", "third"), item("1", "0", "again")))
	to.published(t, items(item("2", "1", "second")))
	c.want("second")
	c.want("third")
}

// streamClient reads a response as it comes.
type streamClient struct {
	t    testing.TB
	resp *http.Response
	got  string
	more chan string // closed at the end
	err  error

	close context.CancelFunc
}

func stream(tb testing.TB, url string, header ...string) *streamClient {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	tb.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		tb.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		tb.Fatal(err)
	}
	s := &streamClient{t: tb, resp: resp, more: make(chan string), close: cancel}
	go func() {
		defer close(s.more)
		defer resp.Body.Close()
		buf := make([]byte, 64<<10)
		for {
			n, err := resp.Body.Read(buf)
			if n > 0 {
				select {
				case s.more <- string(buf[:n]):
				case <-ctx.Done():
					return
				}
			}
			if err != nil {
				s.err = err
				return
			}
		}
	}()
	return s
}

// want reads on until what has come is text.
func (s *streamClient) want(text string) {
	s.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for len(s.got) < len(text) {
		select {
		case more, ok := <-s.more:
			if !ok {
				s.t.Fatalf("the stream has ended with %q, want %q", s.got, text)
			}
			s.got += more
		case <-limit.C:
			s.t.Fatalf("received %q, want %q", s.got, text)
		}
	}
	if s.got[:len(text)] != text {
		s.t.Fatalf("received %q, want %q", s.got, text)
	}
	s.got = s.got[len(text):]
}

func (s *streamClient) wantEnd() {
	s.t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	select {
	case more, ok := <-s.more:
		if ok {
			s.t.Fatalf("received %q, want the end", more)
		}
		if s.err.Error() != "EOF" {
			s.t.Fatalf("the stream was cut: %v", s.err)
		}
	case <-limit.C:
		s.t.Fatal("the stream has not ended")
	}
}

// peek takes in what has come so far.
func (s *streamClient) peek() string {
	select {
	case more := <-s.more:
		s.got += more
	default:
	}
	return s.got
}
