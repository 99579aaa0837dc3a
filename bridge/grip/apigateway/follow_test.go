package apigateway_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/apigateway"
	"github.com/topicwire/topicwire/bridge/grip/socket"
)

// lasting is a grant that a test ends.
type lasting struct {
	grant
	mu      sync.Mutex
	denied  bool
	end     func(code int, reason string)
	changed func()
	stopped chan struct{}
}

func (l *lasting) MaySubscribe(filter string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.denied && l.grant.MaySubscribe(filter)
}

func (l *lasting) Watch(end func(code int, reason string), changed func()) (stop func()) {
	l.end, l.changed = end, changed
	changed()
	return func() { close(l.stopped) }
}

// A connection ends with the grant of its client, and its function is told why.
func TestGrantEnds(t *testing.T) {
	for _, c := range []struct {
		name   string
		end    func(*lasting)
		code   int
		reason string
	}{
		{"expired", func(l *lasting) { l.end(socket.CloseUnauthorized, "the credentials have expired") }, socket.CloseUnauthorized, "the credentials have expired"},
		{"denied", func(l *lasting) {
			l.mu.Lock()
			l.denied = true
			l.mu.Unlock()
			l.changed()
		}, socket.CloseForbidden, "the subscription is not allowed any more"},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := &lasting{stopped: make(chan struct{})}
			route := grip.RouteConfig{Auth: true, APIGateway: grip.APIGatewayConfig{Subscribe: []string{"mine/#"}}}
			w := serve(t, route, map[string]fn{"f": ok}, func(o *apigateway.Options) {
				o.Authorize = func(*http.Request) (grip.Grant, error) { return l, nil }
			})
			ws := w.dial("", nil)
			c.end(l)
			if code, reason := ws.closed(); code != c.code || reason != c.reason {
				t.Errorf("closed with %d %q", code, reason)
			}
			if code, reason := w.goneBy(); code != int64(c.code) || reason != c.reason {
				t.Errorf("the function was told %d %q", code, reason)
			}
			<-l.stopped
		})
	}
}
