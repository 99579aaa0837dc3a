package apigateway_test

import (
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip"
)

func TestConnectEvent(t *testing.T) {
	got := make(chan event, 1)
	w := serve(t, grip.RouteConfig{}, map[string]fn{"f": func(e event) (any, error) {
		if e.RequestContext.RouteKey == "$connect" {
			got <- e
		}
		return answer(200, ""), nil
	}})
	w.dial("?name=ada&name=bob&room=1", http.Header{"User-Agent": {"test/1"}, "X-Forwarded-For": {"6.6.6.6"}, "Cookie": {"a=b"}})
	e := <-got
	c := e.RequestContext
	host := strings.TrimPrefix(w.url, "http://")
	for _, v := range []struct{ what, got, want string }{
		{"routeKey", c.RouteKey, "$connect"},
		{"eventType", c.EventType, "CONNECT"},
		{"messageDirection", c.MessageDirection, "IN"},
		{"stage", c.Stage, "dev"},
		{"domainName", c.DomainName, host},
		{"sourceIp", c.Identity.SourceIP, "127.0.0.1"},
		{"userAgent", c.Identity.UserAgent, "test/1"},
		{"header Host", e.Headers["Host"], host},
		{"header X-Forwarded-For", e.Headers["X-Forwarded-For"], "127.0.0.1"},
		{"header X-Forwarded-Proto", e.Headers["X-Forwarded-Proto"], "http"},
		{"header Sec-WebSocket-Version", e.Headers["Sec-WebSocket-Version"], "13"},
		{"header Cookie", e.Headers["Cookie"], "a=b"},
		{"multiValueHeaders", strings.Join(e.MultiValueHeaders["User-Agent"], ","), "test/1"},
		{"query", e.QueryStringParameters["name"], "bob"},
		{"multiValueQuery", strings.Join(e.MultiValueQueryStringParameters["name"], ","), "ada,bob"},
		{"extendedRequestId", c.ExtendedRequestID, c.RequestID},
	} {
		if v.got != v.want {
			t.Errorf("%s: %q, want %q", v.what, v.got, v.want)
		}
	}
	for what, s := range map[string]string{"connectionId": c.ConnectionID, "requestId": c.RequestID} {
		if !regexp.MustCompile(`^[A-Za-z0-9_-]{15}=$`).MatchString(s) {
			t.Errorf("%s %q does not look like AWS's", what, s)
		}
	}
	if len(c.APIID) != 10 || e.Body != "" || e.Headers["Upgrade"] != "" {
		t.Errorf("%+v", e)
	}
	if at, err := time.Parse("02/Jan/2006:15:04:05 -0700", c.RequestTime); err != nil || at.Unix() != c.RequestTimeEpoch/1000 || c.ConnectedAt > c.RequestTimeEpoch {
		t.Errorf("times: %s, %d, %d", c.RequestTime, c.RequestTimeEpoch, c.ConnectedAt)
	}
}

func TestConnectRefused(t *testing.T) {
	failing := func(err error) fn { return func(event) (any, error) { return nil, err } }
	for _, c := range []struct {
		name   string
		f      fn
		status int
		body   string // a regular expression
	}{
		{"status without a body", func(event) (any, error) { return answer(401, ""), nil }, 401, `^{"message": "Unauthorized", "connectionId":".{16}", "requestId":".{16}"}$`},
		{"status with a body", func(event) (any, error) { return answer(403, "not you\n"), nil }, 403, "^not you\n$"},
		{"server error", func(event) (any, error) { return answer(500, ""), nil }, 500, "Internal Server Error"},
		{"redirect", func(event) (any, error) { return answer(302, ""), nil }, 302, "Found"},
		{"it fails", failing(&function.Error{Type: "Error", Message: "broke"}), 502, `{"message": "Internal server error", `},
		{"it is not there", failing(errors.New("no such host")), 502, "Internal server error"},
		{"it takes too long", failing(function.ErrTimeout), 504, "Endpoint request timed out"},
		{"it is throttled", failing(&function.ThrottledError{}), 429, "Internal server error"},
		{"no answer", func(event) (any, error) { return nil, nil }, 502, "Internal server error"},
		{"no status", func(event) (any, error) { return map[string]any{"body": "x"}, nil }, 502, "Internal server error"},
		{"a body that is no text", func(event) (any, error) { return map[string]any{"statusCode": 200, "body": map[string]int{}}, nil }, 502, "Internal server error"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := serve(t, grip.RouteConfig{}, map[string]fn{"f": c.f})
			_, resp, err := w.try("", nil)
			if err == nil {
				t.Fatal("the client is connected")
			}
			body, _ := io.ReadAll(resp.Body)
			if resp.StatusCode != c.status || !regexp.MustCompile(c.body).Match(body) {
				t.Errorf("%d %s", resp.StatusCode, body)
			}
			w.stop()
			if len(w.left) != 0 {
				t.Error("a client that was refused is told to have gone")
			}
		})
	}
}

func TestConnectAnswersHeaders(t *testing.T) {
	w := serve(t, grip.RouteConfig{Subprotocols: []string{"b"}}, map[string]fn{"f": func(e event) (any, error) {
		h := map[string]any{"Set-Cookie": "a=1", "Content-Type": "x/y", "X-Number": 5, "Sec-WebSocket-Accept": "forged", "Topicwire-Subscribe": "a/b"}
		if e.QueryStringParameters["mine"] != "" {
			h["Sec-WebSocket-Protocol"] = "c"
		}
		return map[string]any{"statusCode": 200, "headers": h}, nil
	}})
	for query, want := range map[string]string{"": "b", "?mine=1": "c"} {
		ws, resp, err := w.try(query, http.Header{"Sec-Websocket-Protocol": {"a,b,c"}})
		if err != nil {
			t.Fatal(err)
		}
		if ws.Subprotocol() != want || resp.Header.Get("Set-Cookie") != "a=1" || resp.Header.Get("X-Number") != "5" || resp.Header.Get("Content-Type") != "" || resp.Header.Get("Topicwire-Subscribe") != "" {
			t.Errorf("%q: %q, %v", query, ws.Subprotocol(), resp.Header)
		}
	}
}

func TestWhoIsNotAsked(t *testing.T) {
	w := serve(t, grip.RouteConfig{AllowedOrigins: []string{"https://app.example.com"}}, map[string]fn{"f": func(event) (any, error) {
		t.Error("the function is asked")
		return answer(200, ""), nil
	}})
	if _, resp, err := w.try("", http.Header{"Origin": {"https://evil.example.com"}}); err == nil || resp.StatusCode != 403 {
		t.Errorf("a page of somebody else: %v", resp)
	}
	resp, err := http.Get(w.url + "/dev")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusUpgradeRequired {
		t.Errorf("a plain request: %s", resp.Status)
	}
}

// A $connect route is optional.
func TestNoConnectRoute(t *testing.T) {
	w := serve(t, grip.RouteConfig{APIGateway: grip.APIGatewayConfig{Routes: map[string]grip.APIGatewayRoute{
		"echo": {Function: "echo", Response: true},
	}}}, map[string]fn{"echo": func(e event) (any, error) { return answer(200, e.Body), nil }})
	c := w.dial("", nil)
	c.say(`{"action":"echo"}`)
	if got := c.hear(); got != `{"action":"echo"}` {
		t.Errorf("got %s", got)
	}
	c.say(`{"action":"other"}`)
	if got := c.hear(); !strings.HasPrefix(got, `{"message": "Forbidden", "connectionId":"`) {
		t.Errorf("a message without a route: %s", got)
	}
}
