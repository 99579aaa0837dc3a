package apigateway_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip"
)

// routes makes an API of the given keys, all behind the function "f" and all with a response.
func routes(keys ...string) grip.RouteConfig {
	c := grip.APIGatewayConfig{Routes: make(map[string]grip.APIGatewayRoute)}
	for _, k := range keys {
		c.Routes[k] = grip.APIGatewayRoute{Response: true}
	}
	return grip.RouteConfig{APIGateway: c}
}

// echo answers with the route and the body.
func echo(e event) (any, error) {
	return answer(200, e.RequestContext.RouteKey+" "+e.Body), nil
}

func TestMessagesTakeTheirRoutes(t *testing.T) {
	w := serve(t, routes("$default", "hello", "a/b"), map[string]fn{"f": echo})
	c := w.dial("", nil)
	for _, m := range []struct{ say, hear string }{
		{`{"action":"hello","x":"<&>"}`, `hello {"action":"hello","x":"<&>"}`},
		{`{"action":"unknown"}`, `$default {"action":"unknown"}`},
		{`{"action":"$connect"}`, `$default {"action":"$connect"}`},
		{`{"action":"$disconnect"}`, `$default {"action":"$disconnect"}`},
		{`{"action":"a/b"}`, `a/b {"action":"a/b"}`},
		{`{}`, `$default {}`},
		{`no JSON`, `$default no JSON`},
		{``, `$default `},
		{"ä\u2028\x00", "$default ä\u2028\x00"},
	} {
		c.say(m.say)
		if got := c.hear(); got != m.hear {
			t.Errorf("%s: %q, want %q", m.say, got, m.hear)
		}
	}
}

func TestMessageEvent(t *testing.T) {
	c := grip.APIGatewayConfig{Selection: "${request.body.service}/${request.body.action}", Variables: map[string]string{"v": "1"}, Stage: "prod", DomainName: "ws.example.com", Routes: map[string]grip.APIGatewayRoute{"chat/say": {}}}
	got := make(chan event, 1)
	w := serve(t, grip.RouteConfig{APIGateway: c}, map[string]fn{"f": func(e event) (any, error) {
		if e.RequestContext.EventType == "MESSAGE" {
			got <- e
		}
		return answer(200, "ignored without a route response"), nil
	}})
	w.dial("?name=ada", nil).say(`{"service":"chat","action":"say"}`)
	e := <-got
	x := e.RequestContext
	if x.RouteKey != "chat/say" || x.Stage != "prod" || x.DomainName != "ws.example.com" || x.MessageID == nil || x.DisconnectReason != nil || x.DisconnectStatusCode != 0 || e.StageVariables["v"] != "1" {
		t.Errorf("%+v", e)
	}
	// AWS sends neither headers nor the query with a message.
	if len(e.Headers) != 0 || len(e.QueryStringParameters) != 0 || e.HTTPMethod != "" || e.Path != "" || e.IsBase64Encoded {
		t.Errorf("%+v", e)
	}
}

func TestOneWay(t *testing.T) {
	c := routes("two")
	c.APIGateway.Routes["one"] = grip.APIGatewayRoute{}
	w := serve(t, c, map[string]fn{"f": echo})
	ws := w.dial("", nil)
	ws.say(`{"action":"one"}`)
	ws.say(`{"action":"two"}`)
	if got := ws.hear(); got != `two {"action":"two"}` {
		t.Errorf("the answer of a route without a response: %s", got)
	}
}

func TestFunctionFailsInTheMiddle(t *testing.T) {
	w := serve(t, routes("$default", "status"), map[string]fn{"f": func(e event) (any, error) {
		switch e.Body {
		case "fail":
			return nil, &function.Error{Type: "Error", Message: "broke"}
		case "slow":
			return nil, fmt.Errorf("function f: %w", function.ErrTimeout)
		case "gone":
			return nil, errors.New("connection refused")
		case "nothing":
			return nil, nil
		case "base64":
			return map[string]any{"statusCode": 200, "body": "/w==", "isBase64Encoded": true}, nil
		case "wrong base64":
			return map[string]any{"statusCode": 200, "body": "?", "isBase64Encoded": true}, nil
		case `{"action":"status"}`:
			return answer(500, "my own words"), nil
		}
		return answer(200, "fine"), nil
	}})
	c := w.dial("", nil)
	for _, m := range []struct{ say, hear string }{
		{"fail", `{"message": "Internal server error", "connectionId":"`},
		{"slow", `{"message": "Endpoint request timed out", "connectionId":"`},
		{"gone", `{"message": "Internal server error", "connectionId":"`},
		{"nothing", `{"message": "Internal server error", "connectionId":"`},
		{"wrong base64", `{"message": "Internal server error", "connectionId":"`},
		{"base64", "\xff"},
		{`{"action":"status"}`, "my own words"},
		{"well", "fine"}, // the connection has outlived all that
	} {
		c.say(m.say)
		if got := c.hear(); !strings.HasPrefix(got, m.hear) {
			t.Errorf("%s: %q, want %q", m.say, got, m.hear)
		}
	}
	if n := w.value("error_frames_total", "Internal server error"); n != 4 {
		t.Errorf("%v error frames are counted", n)
	}
}

// By default the messages of a connection are worked off one after the other.
func TestOrder(t *testing.T) {
	const n = 300
	var at atomic.Int32
	w := serve(t, routes("$default"), map[string]fn{"f": func(e event) (any, error) {
		if at.Add(1) > 1 && e.RequestContext.EventType == "MESSAGE" {
			t.Error("two messages at once")
		}
		defer at.Add(-1)
		return answer(200, e.Body), nil
	}})
	c := w.dial("", nil)
	go func() {
		for i := range n {
			_ = c.WriteMessage(websocket.TextMessage, fmt.Append(nil, i))
		}
	}()
	for i := range n {
		if got := c.hear(); got != fmt.Sprint(i) {
			t.Fatalf("message %d: %s", i, got)
		}
	}
}

// With max_in_flight, they are with the function at the same time, as at AWS.
func TestAtOnce(t *testing.T) {
	c := routes("$default")
	c.APIGateway.MaxInFlight = 4
	var together sync.WaitGroup
	together.Add(4)
	w := serve(t, c, map[string]fn{"f": func(e event) (any, error) {
		if e.RequestContext.EventType == "MESSAGE" {
			together.Done()
			together.Wait() // until all four are here
		}
		return answer(200, e.Body), nil
	}})
	ws := w.dial("", nil)
	for range 4 {
		ws.say("x")
	}
	for range 4 {
		if got := ws.hear(); got != "x" {
			t.Errorf("got %s", got)
		}
	}
}

// A function that is slow on one connection holds up nobody else, and what waits is bounded.
func TestSlowFunction(t *testing.T) {
	release := make(chan struct{})
	w := serve(t, routes("$default"), map[string]fn{"f": func(e event) (any, error) {
		if e.Body == "block" {
			<-release
		}
		return answer(200, e.Body), nil
	}})
	slow, quick := w.dial("", nil), w.dial("", nil)
	slow.say("block")
	for range 200 {
		slow.say("more")
	}
	quick.say("hello")
	if got := quick.hear(); got != "hello" {
		t.Errorf("got %s", got)
	}
	close(release)
	if got := slow.hear(); got != "block" {
		t.Errorf("got %s", got)
	}
	for range 200 {
		if got := slow.hear(); got != "more" {
			t.Errorf("got %s", got)
		}
	}
}

// What waits for a function is bounded in bytes too: the client is not read any more.
func TestSlowFunctionAndLargeMessages(t *testing.T) {
	const messages, size, rounds = 60, 400 << 10, 2000
	release := make(chan struct{})
	w := serve(t, routes("$default"), map[string]fn{"f": func(e event) (any, error) {
		if e.Body == "block" {
			<-release
		}
		return answer(200, fmt.Sprint(len(e.Body))), nil
	}})
	slow, quick := w.dial("", nil), w.dial("", nil)
	slow.say("block")
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		for range messages {
			slow.say(strings.Repeat("x", size))
		}
	}()
	for range rounds { // far longer than it takes to read them all
		quick.say("hello")
		quick.hear()
	}
	// The one that is worked off, two that wait, and one that finds no room.
	if n := w.value("messages_total", ""); n > rounds+4 {
		t.Errorf("%g messages were read", n-rounds)
	}
	close(release)
	for i := range messages + 1 {
		if got := slow.hear(); i > 0 && got != fmt.Sprint(size) {
			t.Errorf("got %s", got)
		}
	}
	<-sent
}

func TestTimeout(t *testing.T) {
	c := routes("$default")
	c.APIGateway.Timeout = 30 * time.Millisecond
	release := make(chan struct{})
	defer close(release)
	w := serve(t, c, map[string]fn{"f": func(e event) (any, error) {
		if e.Body == "hang" {
			<-release
		}
		return answer(200, ""), nil
	}})
	ws := w.dial("", http.Header{})
	ws.say("hang")
	if got := ws.hear(); !strings.HasPrefix(got, `{"message": "Endpoint request timed out"`) {
		t.Errorf("got %s", got)
	}
}
