package grip_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/topicwire/topicwire/bridge/grip"
)

// What is published while a next link is followed comes after its answer, once, and the
// link is not followed again for it.
func TestWhatComesWhileANextLinkIsFollowed(t *testing.T) {
	asked, goOn := make(chan string, 10), make(chan struct{})
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Grip-Hold", "stream")
		after := r.URL.Query().Get("after")
		if last := r.Header.Get("Grip-Last"); last != "" {
			asked <- last
			<-goOn
			_, _ = fmt.Fprint(w, "L3;L4;")
			after = "4"
		}
		w.Header().Set("Grip-Channel", "q; prev-id="+after)
		w.Header().Set("Grip-Link", fmt.Sprintf("</?after=%s>; rel=next; timeout=100", after))
	}), grip.Config{}, everything())
	c := stream(t, s.http.URL+"/?after=2")
	await(t, "the stream", func() bool { return s.metric("streams") == 1 })
	item := func(id, prev string) {
		post(t, s.http.URL+"/publish", items(fmt.Sprintf(`{"channel":"q","id":%q,"prev-id":%q,"no-seq":true,"http-stream":{"content":"L%s;"}}`, id, prev, id)))
	}
	item("4", "3") // the 3 was never seen here
	if last := <-asked; last != "q; last-id=2" {
		t.Errorf("asked for what comes after %q", last)
	}
	item("5", "4")
	item("6", "5")
	close(goOn)
	c.want("L3;L4;L5;L6;")
	item("7", "6")
	c.want("L7;")
	if n := len(asked); n != 0 {
		t.Errorf("the link was followed %d times more", n)
	}
}

// A handler that always has one more link and never a hold: the server stops all the same.
func TestStopEndsAStreamOfLinks(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("n") == "" {
			w.Header().Set("Grip-Hold", "stream")
			w.Header().Set("Grip-Channel", "q")
		}
		w.Header().Set("Grip-Link", "</?n=1>; rel=next; timeout=1")
		_, _ = w.Write([]byte("more;"))
	}), grip.Config{}, everything())
	c := stream(t, s.http.URL)
	c.want("more;more;more;")
	stops(t, s)
	for range c.more { // to the end
	}
	if c.err.Error() != "EOF" {
		t.Errorf("the stream was cut: %v", c.err)
	}
}

// A handler that does not answer does not keep the server from stopping.
func TestStopDoesNotWaitForHandlers(t *testing.T) {
	asked := make(chan struct{}, 10)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Grip-Last") != "" {
			asked <- struct{}{}
			<-r.Context().Done()
			panic("the function was cut")
		}
		w.Header().Set("Grip-Hold", "response")
		w.Header().Set("Grip-Channel", "c; prev-id=1")
	}), grip.Config{}, everything())
	post(t, s.http.URL+"/publish", items(`{"channel":"c","id":"2","http-response":{"body":"2"}}`))
	answered := make(chan int, 1)
	go func() {
		status, _, _ := do(t, http.MethodGet, s.http.URL, "")
		answered <- status
	}()
	<-asked
	stops(t, s)
	if status := <-answered; status != http.StatusBadGateway {
		t.Errorf("%d", status)
	}
}

// stops fails a test whose server does not stop.
func stops(t *testing.T, s *server) {
	t.Helper()
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		s.stop()
	}()
	select {
	case <-stopped:
	case <-time.After(patience):
		t.Fatal("the server does not stop")
	}
}

// The gone link is told when the client leaves, and when it is made to.
func TestGoneLink(t *testing.T) {
	told := make(chan string, 10)
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/app/gone" {
			told <- r.Method + " " + r.URL.RawQuery + " " + r.Header.Get("Grip-Last")
			return
		}
		w.Header().Set("Grip-Hold", "stream")
		w.Header().Set("Grip-Channel", "q; prev-id=1")
		w.Header().Set("Grip-Link", `<gone?who=al>; rel=gone`)
	}), grip.Config{}, everything())
	for _, leave := range []func(*streamClient){
		func(c *streamClient) { c.close() },
		func(*streamClient) { go s.stop() },
	} {
		c := stream(t, s.http.URL+"/app/stream")
		await(t, "the stream", func() bool { return s.metric("streams") == 1 })
		leave(c)
		select {
		case got := <-told:
			if got != "POST who=al q; last-id=1" {
				t.Errorf("told %q", got)
			}
		case <-time.After(patience):
			t.Fatal("nobody was told")
		}
		await(t, "the stream to end", func() bool { return s.metric("streams") == 0 })
	}
}
