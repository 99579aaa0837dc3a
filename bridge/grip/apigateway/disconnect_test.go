package apigateway_test

import (
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip"
)

func TestDisconnect(t *testing.T) {
	w := serve(t, routes("$default"), map[string]fn{"f": ok})
	for _, c := range []struct {
		name   string
		end    func(c *client)
		code   int64
		reason string
	}{
		{"a normal close", func(c *client) { _ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye")) }, 1000, "bye"},
		{"a code of its own", func(c *client) { _ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(4321, "ä")) }, 4321, "ä"},
		{"no code", func(c *client) { _ = c.WriteMessage(websocket.CloseMessage, nil) }, 1005, "Client-side close frame status not set"},
		{"a page that is left", func(c *client) { _ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1001, "")) }, 1001, ""},
		{"it vanishes", func(c *client) { _ = c.NetConn().Close() }, 1006, ""},
		{"it is reset", func(c *client) {
			tcp, _ := c.NetConn().(*net.TCPConn)
			_ = tcp.SetLinger(0)
			_ = tcp.Close()
		}, 1006, ""},
		{"binary", func(c *client) { _ = c.WriteMessage(websocket.BinaryMessage, []byte("x")) }, 1003, "binary messages are not supported"},
		{"not UTF-8", func(c *client) { _ = c.WriteMessage(websocket.TextMessage, []byte("\xff")) }, 1007, "the text is not UTF-8"},
		{"no WebSocket frame", func(c *client) { _, _ = c.NetConn().Write([]byte{0xff, 0xff, 0xff}) }, 1006, ""},
	} {
		c.end(w.dial("", nil))
		if code, reason := w.goneBy(); code != c.code || reason != c.reason {
			t.Errorf("%s: %d %q, want %d %q", c.name, code, reason, c.code, c.reason)
		}
	}
}

func TestDisconnectEvent(t *testing.T) {
	got := make(chan event, 1)
	w := serve(t, routes(), map[string]fn{"f": func(e event) (any, error) {
		if e.RequestContext.RouteKey == "$disconnect" {
			got <- e
		}
		return answer(200, ""), nil
	}})
	_ = w.dial("?a=b", nil).WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
	e := <-got
	if e.Headers["Host"] != strings.TrimPrefix(w.url, "http://") || len(e.Headers) != 4 || len(e.MultiValueHeaders) != 4 || e.QueryStringParameters != nil || e.RequestContext.EventType != "DISCONNECT" {
		t.Errorf("%+v", e)
	}
}

// The messages of a client that has gone are worked off before its end is told.
func TestMessagesComeBeforeTheEnd(t *testing.T) {
	var order []string
	release := make(chan struct{})
	w := serve(t, routes("$default"), map[string]fn{"f": func(e event) (any, error) {
		if e.Body == "0" {
			<-release
		}
		order = append(order, e.RequestContext.EventType+e.Body) // one at a time
		return answer(200, ""), nil
	}})
	c := w.dial("", nil)
	for _, m := range []string{"0", "1", "2"} {
		c.say(m)
	}
	_ = c.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
	if code, _ := c.closed(); code != 1000 { // it need not wait for the function
		t.Errorf("closed with %d", code)
	}
	close(release)
	w.goneBy()
	if got := strings.Join(order, " "); got != "CONNECT MESSAGE0 MESSAGE1 MESSAGE2 DISCONNECT" {
		t.Error(got)
	}
}

func TestFunctionFailsAtDisconnect(t *testing.T) {
	w := serve(t, routes(), map[string]fn{"f": func(e event) (any, error) {
		if e.RequestContext.EventType == "DISCONNECT" {
			return nil, &function.Error{Type: "Error", Message: "broke"}
		}
		return answer(200, ""), nil
	}})
	_ = w.dial("", nil).NetConn().Close()
	w.goneBy()
	w.stop()
	if n := w.value("invocations_total", "function_error"); n != 1 {
		t.Errorf("%v failures are counted: it is told once", n)
	}
}

// A client that has gone while $connect runs is told to have gone if $connect has agreed.
func TestClientVanishesDuringConnect(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	w := serve(t, routes(), map[string]fn{"f": func(e event) (any, error) {
		if e.RequestContext.EventType == "CONNECT" {
			close(asked)
			<-release
		}
		return answer(200, ""), nil
	}})
	conn, err := net.Dial("tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = conn.Write([]byte("GET /dev HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
	<-asked
	tcp, _ := conn.(*net.TCPConn)
	_ = tcp.SetLinger(0)
	_ = conn.Close()
	close(release)
	if code, _ := w.goneBy(); code != 1006 {
		t.Errorf("code %d", code)
	}
}

func TestServerStops(t *testing.T) {
	w := serve(t, routes(), map[string]fn{"f": ok})
	c := w.dial("", nil)
	stopped := make(chan struct{})
	go func() { w.stop(); close(stopped) }()
	if code, reason := c.closed(); code != 1001 || reason != "Going away" {
		t.Errorf("%d %q", code, reason)
	}
	<-stopped
	if code, _ := w.goneBy(); code != 1001 {
		t.Errorf("the function is told %d", code)
	}
	if _, resp, err := w.try("", nil); err == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a client that comes too late: %v", resp)
	}
}

func TestReload(t *testing.T) {
	c := routes("$default")
	w := serve(t, c, map[string]fn{"f": echo, "g": echo})
	stays := w.dial("", nil)
	c.Path, c.Mode, c.Function = "/dev", grip.ModeAPIGateway, "f"
	c.APIGateway.MaxInFlight = 2
	w.door.Load([]grip.RouteConfig{c}) // another setting, the same function
	stays.say("hello")
	if got := stays.hear(); got != "$default hello" {
		t.Errorf("got %s", got)
	}
	c.Function = "g"
	w.door.Load([]grip.RouteConfig{c})
	if code, _ := stays.closed(); code != websocket.CloseServiceRestart {
		t.Errorf("when another function comes: %d", code)
	}
	if code, _ := w.goneBy(); code != 1012 {
		t.Errorf("the function is told %d", code)
	}
	next := w.dial("", nil)
	next.say("hello")
	next.hear()
	w.door.Load(nil)
	if code, _ := next.closed(); code != websocket.CloseServiceRestart {
		t.Errorf("when the route goes: %d", code)
	}
	if _, resp, err := w.try("", nil); err == nil || resp.StatusCode != 404 {
		t.Errorf("the route that has gone: %v", resp)
	}
}

func TestLimits(t *testing.T) {
	c := routes("$default")
	c.APIGateway.Limits = grip.LimitsAWS
	w := serve(t, c, map[string]fn{"f": func(e event) (any, error) { return answer(200, string(rune('0'+len(e.Body)/50_000))), nil }})
	fragments := func(c *websocket.Conn, n, size int) {
		next, err := c.NextWriter(websocket.TextMessage)
		if err != nil {
			t.Fatal(err)
		}
		for range n {
			_, _ = next.Write(make([]byte, size)) // gorilla sends frames of its buffer's size
		}
		_ = next.Close()
	}
	// small dials with a buffer that makes frames of 4 KB.
	small := func() *client {
		d := websocket.Dialer{WriteBufferSize: 4 << 10}
		ws, _, err := d.Dial("ws"+strings.TrimPrefix(w.url, "http")+"/dev", nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ws.Close() })
		return &client{ws, w}
	}
	within := small()
	fragments(within.Conn, 25, 5000)
	if got := within.hear(); got != "2" {
		t.Errorf("125 KB in small frames: %s", got)
	}
	above := small()
	fragments(above.Conn, 27, 5000)
	if code, _ := above.closed(); code != 1009 {
		t.Errorf("135 KB: %d", code)
	}
	if code, _ := w.goneBy(); code != 1009 {
		t.Errorf("the function is told %d", code)
	}
	frame := w.dial("", nil)
	_ = frame.WriteMessage(websocket.TextMessage, make([]byte, 33<<10))
	if code, _ := frame.closed(); code != 1009 {
		t.Errorf("one frame of 33 KB: %d", code)
	}
}

func TestIdle(t *testing.T) {
	c := routes("$default")
	c.APIGateway.IdleTimeout = 250 * time.Millisecond
	w := serve(t, c, map[string]fn{"f": echo})
	idle, busy := w.dial("", nil), w.dial("", nil)
	done := make(chan struct{})
	go func() { // pings are activity too
		defer close(done)
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for range 12 {
			<-tick.C
			_ = busy.WriteControl(websocket.PingMessage, []byte("x"), time.Now().Add(time.Second))
		}
	}()
	if code, reason := idle.closed(); code != 1001 || reason != "Going away" {
		t.Errorf("%d %q", code, reason)
	}
	if code, reason := w.goneBy(); code != 1001 || reason != "Going away" {
		t.Errorf("the function is told %d %q", code, reason)
	}
	<-done
	busy.say("still here")
	if got := busy.hear(); got != "$default still here" {
		t.Error(got)
	}
}

func TestLifetime(t *testing.T) {
	c := routes("$default")
	c.APIGateway.MaxLifetime = 50 * time.Millisecond
	w := serve(t, c, map[string]fn{"f": echo})
	if code, _ := w.dial("", nil).closed(); code != 1001 {
		t.Errorf("code %d", code)
	}
}

// A client that reads nothing is closed, and nobody else notices.
func TestSlowClient(t *testing.T) {
	c := routes("$default")
	c.Queue.MaxBytes = 100 << 10
	big := strings.Repeat("x", 50<<10)
	w := serve(t, c, map[string]fn{"f": func(e event) (any, error) { return answer(200, big), nil }})
	slow := w.dial("", nil)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range 2000 { // 100 MB of answers: more than any socket holds
			if slow.WriteMessage(websocket.TextMessage, []byte("more")) != nil {
				return
			}
		}
	}()
	select {
	case e := <-w.left:
		if e.RequestContext.DisconnectStatusCode != 1013 {
			t.Errorf("the function is told %d", e.RequestContext.DisconnectStatusCode)
		}
	case <-time.After(3 * patience):
		t.Error("it stays")
	}
	_ = slow.NetConn().Close()
	<-sent
	quick := w.dial("", nil)
	quick.say("hello")
	if got := quick.hear(); len(got) != len(big) {
		t.Errorf("got %d bytes", len(got))
	}
}

var errTest = errors.New("as the test wants it")
