package grip_test

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/bridge/grip"
)

// asVisitor lets in whoever says who he is.
func asVisitor(r *http.Request) (grip.Grant, error) {
	if name := r.Header.Get("X-Visitor"); name != "" {
		return visitor(name), nil
	}
	return nil, errors.New("nobody")
}

// holding holds as the query says: hold, channel.
func holding(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	w.Header().Set("Grip-Hold", q.Get("hold"))
	w.Header().Set("Grip-Channel", q.Get("channel"))
	w.Header().Set("Grip-Timeout", "1")
	if q.Get("hold") == "stream" {
		w.Header().Set("Content-Type", "text/event-stream")
	} else {
		_, _ = w.Write([]byte("nothing"))
	}
}

// What is kept, and what came while the handler was asked, is given to nobody who may
// not have it.
func TestWhatWasMissedAsksThePoliciesToo(t *testing.T) {
	var s *server
	s = startWith(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/window" {
			s.publish("al/secret", "a secret") //nolint:contextcheck // the publish is the test's
		}
		holding(w, r)
	}), grip.Options{Authorize: asVisitor, Config: grip.Config{History: grip.HistoryConfig{Topics: []string{"al/#"}}}},
		grip.RouteConfig{Path: "/*", Function: "f", Auth: true})
	if _, body, _ := do(t, http.MethodGet, s.http.URL+"/window?hold=response&channel=al/%23", "", "X-Visitor", "al"); body != "nothing" {
		t.Errorf("a poll was answered with %q", body)
	}
	s.publish("al/room", "hello")
	if _, body, _ := do(t, http.MethodGet, s.http.URL+"/?hold=response&channel=al/%23", "", "X-Visitor", "al", "Last-Event-ID", "0"); body != "hello" {
		t.Errorf("a poll that comes back was answered with %q", body)
	}
	c := stream(t, s.http.URL+"/?hold=stream&channel=al/%23", "X-Visitor", "al", "Last-Event-ID", "0")
	await(t, "the message", func() bool { return strings.HasSuffix(c.peek(), "data: hello\n\n") })
	if strings.Contains(c.got, "secret") {
		t.Errorf("a stream that comes back got %q", c.got)
	}
}

// A client may remember an id that is higher than all of ours: the publisher's own, or
// another server's. It gets what is published from then on.
func TestPlaceOfAnotherServer(t *testing.T) {
	s := start(t, http.HandlerFunc(holding), grip.Config{History: grip.HistoryConfig{Topics: []string{"feed/#"}}},
		grip.RouteConfig{Path: "/*", Function: "f", Retained: true})
	s.publishRetained("plain", "retained")
	c := stream(t, s.http.URL+"/?hold=stream&channel=feed/a", "Last-Event-ID", "9000000000000000000")
	await(t, "the stream", func() bool { return s.metric("streams") == 1 })
	c.want(": some messages are no longer kept\n\n")
	s.publish("feed/a", "live")
	await(t, "the message", func() bool { return strings.HasSuffix(c.peek(), "data: live\n\n") })
	// On a channel without a history it means nothing.
	p := stream(t, s.http.URL+"/?hold=stream&channel=plain", "Last-Event-ID", "42")
	p.want("data: retained\n\n")
}

// A poll that comes back gets the first message that is for it.
func TestPollPassesOverWhatIsNotForIt(t *testing.T) {
	s := start(t, http.HandlerFunc(holding), grip.Config{History: grip.HistoryConfig{Topics: []string{"feed/#"}}}, everything())
	for i := range 100 {
		post(t, s.http.URL+"/publish", items(fmt.Sprintf(`{"channel":"feed/a","http-stream":{"content":"data: %d\n\n"}}`, i)))
	}
	s.publish("feed/a", "for all")
	if _, body, _ := do(t, http.MethodGet, s.http.URL+"/?hold=response&channel=feed/a", "", "Last-Event-ID", "1"); body != "for all" {
		t.Errorf("%q", body)
	}
}
