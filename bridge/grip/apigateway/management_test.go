package apigateway_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/apigateway"
)

// manage sends a request to @connections of a stage.
func (w *world) manage(method, id, body string) (*http.Response, string) {
	w.Helper()
	r, err := http.NewRequestWithContext(w.Context(), method, w.url+"/dev/%40connections/"+url.QueryEscape(id), strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp, string(text)
}

// dialID connects and returns the connection's id too.
func (w *world) dialID() (*client, string) {
	w.Helper()
	c := w.dial("", nil)
	c.say("id")
	return c, c.hear()
}

func id(e event) (any, error) {
	if e.RequestContext.EventType == "MESSAGE" {
		return answer(200, e.RequestContext.ConnectionID), nil
	}
	return answer(200, ""), nil
}

func TestManagement(t *testing.T) {
	w := serve(t, routes("$default"), map[string]fn{"f": id})
	c, id := w.dialID()

	if resp, _ := w.manage("POST", id, "hello ä"); resp.StatusCode != 200 {
		t.Errorf("POST: %s", resp.Status)
	}
	if got := c.hear(); got != "hello ä" {
		t.Errorf("got %q", got)
	}
	if resp, _ := w.manage("POST", id, "\xff\x00"); resp.StatusCode != 200 {
		t.Errorf("POST of bytes: %s", resp.Status)
	}
	if kind, b, err := c.ReadMessage(); kind != websocket.BinaryMessage || string(b) != "\xff\x00" {
		t.Errorf("%d %q %v", kind, b, err)
	}

	resp, text := w.manage("GET", id, "")
	var info struct {
		ConnectedAt, LastActiveAt time.Time
		Identity                  struct{ SourceIP, UserAgent string }
	}
	if err := json.Unmarshal([]byte(text), &info); err != nil || resp.StatusCode != 200 || info.Identity.SourceIP != "127.0.0.1" || info.LastActiveAt.Before(info.ConnectedAt) || info.ConnectedAt.IsZero() {
		t.Errorf("GET: %s %s %v", resp.Status, text, err)
	}

	if resp, text := w.manage("DELETE", id, ""); resp.StatusCode != 204 || text != "" {
		t.Errorf("DELETE: %s %s", resp.Status, text)
	}
	if code, reason := c.closed(); code != 1000 || reason != "Connection Closed Normally" {
		t.Errorf("%d %q", code, reason)
	}
	if code, reason := w.goneBy(); code != 1000 || reason != "Connection Closed Normally" {
		t.Errorf("the function is told %d %q", code, reason)
	}
	for _, method := range []string{"POST", "GET", "DELETE"} {
		resp, text := w.manage(method, id, "x")
		if resp.StatusCode != 410 || resp.Header.Get("x-amzn-ErrorType") != "GoneException" || !strings.Contains(text, "message") {
			t.Errorf("%s of a connection that has gone: %s %v %s", method, resp.Status, resp.Header, text)
		}
	}
}

func TestManagementRefuses(t *testing.T) {
	c := routes("$default")
	c.APIGateway.Limits = grip.LimitsAWS
	allowed := true
	w := serve(t, c, map[string]fn{"f": id}, func(o *apigateway.Options) {
		o.AuthorizeManagement = func(*http.Request) error {
			if allowed {
				return nil
			}
			return errTest
		}
	})
	_, id := w.dialID()
	for _, c := range []struct {
		method, id, body string
		status           int
		kind             string
	}{
		{"POST", "nobody=", "x", 410, "GoneException"},
		{"POST", "", "x", 410, "GoneException"},
		{"POST", "a/b", "x", 410, "GoneException"},
		{"POST", id, strings.Repeat("x", 128<<10), 200, ""},
		{"POST", id, strings.Repeat("x", 128<<10+1), 413, "PayloadTooLargeException"},
		{"PUT", id, "x", 405, "MethodNotAllowedException"},
	} {
		if resp, text := w.manage(c.method, c.id, c.body); resp.StatusCode != c.status || resp.Header.Get("x-amzn-ErrorType") != c.kind {
			t.Errorf("%s %q: %s %s %s", c.method, c.id, resp.Status, resp.Header.Get("x-amzn-ErrorType"), text)
		}
	}
	allowed = false
	if resp, text := w.manage("POST", id, "x"); resp.StatusCode != 403 || resp.Header.Get("x-amzn-ErrorType") != "ForbiddenException" || !strings.Contains(text, errTest.Error()) {
		t.Errorf("not authorised: %s %s", resp.Status, text)
	}
}

// A client whose queue is full costs the poster a 429 and keeps its connection.
func TestPostToSlowClient(t *testing.T) {
	c := routes("$default")
	c.Queue.MaxBytes = 64 << 10
	w := serve(t, c, map[string]fn{"f": id})
	ws, id := w.dialID()
	body := strings.Repeat("x", 60<<10)
	posted, status := 0, 0
	for ; status != 429 && posted < 2000; posted++ {
		resp, _ := w.manage("POST", id, body)
		status = resp.StatusCode
		if status == 429 && resp.Header.Get("x-amzn-ErrorType") != "LimitExceededException" {
			t.Errorf("%v", resp.Header)
		}
	}
	if status != 429 {
		t.Fatalf("%d posts were taken for a client that reads nothing", posted)
	}
	for range posted - 1 { // what was taken arrives
		if got := ws.hear(); len(got) != len(body) {
			t.Fatalf("got %d bytes", len(got))
		}
	}
	ws.say("still here")
	if got := ws.hear(); got != id {
		t.Errorf("got %q", got)
	}
}

func TestPostDuringConnect(t *testing.T) {
	var w *world
	statuses := make(chan int, 1)
	w = serve(t, routes("$default"), map[string]fn{"f": func(e event) (any, error) {
		if e.RequestContext.EventType == "CONNECT" {
			resp, _ := w.manage("POST", e.RequestContext.ConnectionID, "too early")
			statuses <- resp.StatusCode
		}
		return answer(200, "later"), nil
	}})
	c := w.dial("", nil)
	if status := <-statuses; status != 410 {
		t.Errorf("status %d", status)
	}
	c.say("x")
	if got := c.hear(); got != "later" {
		t.Errorf("got %q", got)
	}
}

// Posts, deletes and closes from all sides at once.
func TestStorm(t *testing.T) {
	w := serve(t, routes("$default"), map[string]fn{"f": id})
	const n = 40
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			c, id := w.dialID()
			var posts sync.WaitGroup
			for range 3 {
				posts.Go(func() {
					for range 20 {
						resp, _ := w.manage("POST", id, "storm")
						if resp.StatusCode != 200 && resp.StatusCode != 410 {
							t.Errorf("POST: %s", resp.Status)
						}
					}
				})
			}
			switch i % 3 {
			case 0:
				w.manage("DELETE", id, "")
			case 1:
				_ = c.NetConn().Close()
			default:
				for range 60 {
					if got := c.hear(); got != "storm" {
						t.Errorf("got %q", got)
					}
				}
				_ = c.Close()
			}
			posts.Wait()
		})
	}
	all.Wait()
	for range n {
		w.goneBy()
	}
	if open := w.value("connections", ""); open != 0 {
		t.Errorf("%v connections are left", open)
	}
	if connected, gone := w.value("invocations_total", `CONNECT"`), w.value("invocations_total", "DISCONNECT"); gone != n || connected != 2*n {
		t.Error(fmt.Sprint("connected ", connected-gone, ", gone ", gone))
	}
}
