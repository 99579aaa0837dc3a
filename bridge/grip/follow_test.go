package grip_test

import (
	"net/http"
	"sync"
	"testing"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/socket"
)

// passes are grants that a test ends, and changes.
type passes struct {
	mu      sync.Mutex
	denied  bool
	watches map[*pass]bool
}

// pass is one of them.
type pass struct {
	visitor
	all     *passes
	end     func(code int, reason string)
	changed func()
}

func (p *pass) MaySubscribe(filter string) bool {
	p.all.mu.Lock()
	defer p.all.mu.Unlock()
	return !p.all.denied && p.visitor.MaySubscribe(filter)
}

func (p *pass) Watch(end func(code int, reason string), changed func()) (stop func()) {
	p.end, p.changed = end, changed
	p.all.mu.Lock()
	p.all.watches[p] = true
	p.all.mu.Unlock()
	changed()
	return func() {
		p.all.mu.Lock()
		defer p.all.mu.Unlock()
		delete(p.all.watches, p)
	}
}

func (p *passes) each(do func(*pass)) {
	p.mu.Lock()
	list := make([]*pass, 0, len(p.watches))
	for w := range p.watches {
		list = append(list, w)
	}
	p.mu.Unlock()
	for _, w := range list {
		do(w)
	}
}

func (p *passes) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.watches)
}

// Clients of every kind leave when their grant ends, and when it no longer covers what
// they are subscribed to.
func TestGrantsThatEnd(t *testing.T) {
	for _, c := range []struct {
		name   string
		end    func(*passes)
		code   int
		reason string
		status int
	}{
		{"expired", func(p *passes) {
			p.each(func(w *pass) {
				w.end(socket.CloseUnauthorized, "the credentials have expired")
				w.end(socket.CloseUnauthorized, "a second time")
			})
		}, socket.CloseUnauthorized, "the credentials have expired", http.StatusUnauthorized},
		{"denied", func(p *passes) {
			p.mu.Lock()
			p.denied = true
			p.mu.Unlock()
			p.each(func(w *pass) { w.changed() })
		}, socket.CloseForbidden, "the subscription is not allowed any more", http.StatusForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := &passes{watches: make(map[*pass]bool)}
			s := startWith(t, http.HandlerFunc(originHandler), grip.Options{Authorize: func(r *http.Request) (grip.Grant, error) {
				return &pass{visitor: visitor(r.Header.Get("X-Visitor")), all: all}, nil
			}}, grip.RouteConfig{Path: "/*", Function: "f", Auth: true})
			ws := dial(t, s.http.URL+"/ws?channel=al/x", http.Header{"X-Visitor": {"al"}})
			st := stream(t, s.http.URL+"/stream?channel=al/x", "X-Visitor", "al")
			st.want("hello ")
			poll := make(chan int, 1)
			go func() {
				status, _, _ := do(t, http.MethodGet, s.http.URL+"/poll?channel=al/x", "", "X-Visitor", "al")
				poll <- status
			}()
			await(t, "three holders", func() bool { return s.metric("held") == 3 && all.count() == 3 })
			s.publish("al/x", "not an end")
			ws.want("not an end")
			st.want("not an end")
			<-poll
			go func() {
				status, _, _ := do(t, http.MethodGet, s.http.URL+"/poll?channel=al/x", "", "X-Visitor", "al")
				poll <- status
			}()
			await(t, "three holders", func() bool { return s.metric("held") == 3 && all.count() == 3 })
			c.end(all)
			ws.wantClose(c.code, c.reason)
			st.wantEnd()
			if status := <-poll; status != c.status {
				t.Errorf("the poll was answered with %d, want %d", status, c.status)
			}
			await(t, "everybody to be let go", func() bool { return s.metric("held") == 0 && all.count() == 0 })
			if n := s.metric("revoked_total"); n != 3 {
				t.Errorf("%g were counted", n)
			}
		})
	}
}

// A route that asks who comes from now on keeps nobody who was not asked.
func TestReloadThatAsksWhoItIs(t *testing.T) {
	open := grip.RouteConfig{Path: "/*", Function: "f"}
	s := startWith(t, &scripted{reply: echoing}, grip.Options{Authorize: func(*http.Request) (grip.Grant, error) { return visitor("al"), nil }}, open)
	c := dial(t, s.http.URL, nil)
	closed := open
	closed.Auth = true
	s.door.Load([]grip.RouteConfig{closed})
	c.wantClose(websocket.CloseServiceRestart, "the route has changed")
	again := dial(t, s.http.URL, nil)
	s.door.Load([]grip.RouteConfig{open})
	again.send("still here")
	again.want("still here")
}
