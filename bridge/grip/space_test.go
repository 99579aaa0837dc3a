package grip_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/socket"
	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/message"
)

func everything() grip.RouteConfig { return grip.RouteConfig{Path: "/*", Function: "f"} }

// mqtt collects what a subscriber of the space gets.
func (s *server) mqtt(filter string) <-chan *message.Message {
	s.t.Helper()
	got := make(chan *message.Message, 100)
	l := s.broker.NewLocal(broker.LocalOptions{Receive: func(m *message.Message, _ *any) { got <- m }})
	s.t.Cleanup(l.Close)
	if err := l.Subscribe(filter, false); err != nil {
		s.t.Fatal(err)
	}
	return got
}

func TestMessagesOfTheSpaceReachHolders(t *testing.T) {
	s := start(t, http.HandlerFunc(originHandler), grip.Config{}, grip.RouteConfig{Path: "/*", Function: "f", ChannelPrefix: "chat/", Retained: true})
	s.publishRetained("chat/kept", "retained")
	exact, wild := dial(t, s.http.URL+"/ws?channel=r1", nil), dial(t, s.http.URL+"/ws?channel=%2B", nil)
	wild.want("retained")
	kept := dial(t, s.http.URL+"/ws?channel=kept", nil)
	kept.want("retained")
	s.publish("chat/r1", "hé€")
	s.publish("chat/r1", "\xff\x00")
	s.publish("other/r1", "not for them")
	s.publish("chat/r2", "for the wildcard")
	exact.want("hé€")
	if kind, got, err := exact.ReadMessage(); kind != int(socket.Binary) || string(got) != "\xff\x00" || err != nil {
		t.Errorf("what is no text came as %d %q, %v", kind, got, err)
	}
	wild.want("hé€")
	wild.want("\xff\x00")
	wild.want("for the wildcard")
}

func (s *server) publishRetained(topic, payload string) {
	s.t.Helper()
	if err := s.broker.Publish(s.t.Context(), &message.Message{Topic: topic, Payload: []byte(payload), Retain: true}); err != nil {
		s.t.Fatal(err)
	}
}

func TestItemsReachSubscribersOnce(t *testing.T) {
	s := start(t, http.HandlerFunc(originHandler), grip.Config{}, everything())
	got := s.mqtt("#")
	a := dial(t, s.http.URL+"/ws?channel=room", nil)
	status, body, h := post(t, s.http.URL+"/publish?detail=1", items(
		`{"channel":"room","id":"7","prev-id":"6","meta":{"sender":"al"},"formats":{"ws-message":{"content":"ws"},"http-stream":{"content":"stream"},"http-response":{"body":"response"}}}`,
		`{"channel":"room","formats":{"http-stream":{"content":"stream"},"http-response":{"body":"response"}}}`,
		`{"channel":"room","formats":{"http-response":{"body":"response"}}}`,
		`{"channel":"room","ws-message":{"action":"refresh"}}`,
		`{"channel":"room","ws-message":{"type":"ping"}}`,
		`{"channel":"room","ws-message":{"content-bin":"/w=="}}`,
	), "Accept", "application/json")
	if status != http.StatusOK || !strings.Contains(body, `"reached":4`) || h.Get("Grip-Reached") != "4" {
		t.Errorf("%d %s %v", status, body, h)
	}
	for _, want := range []string{"ws", "stream", "response", "\xff"} {
		m := <-got
		if string(m.Payload) != want || m.Topic != "room" || m.From.Via != message.ViaHTTP {
			t.Errorf("%q: %+v", want, m)
		}
		if want == "ws" {
			if fmt.Sprint(m.Props.User) != "[{grip-id 7} {grip-prev-id 6} {grip-meta-sender al}]" || m.Props.Format != message.FormatUTF8 {
				t.Errorf("%+v", m.Props)
			}
		}
	}
	select {
	case m := <-got:
		t.Errorf("one more: %q", m.Payload)
	default:
	}
	a.want("ws")
	if kind, b, err := a.ReadMessage(); kind != int(socket.Binary) || string(b) != "\xff" || err != nil {
		t.Errorf("%d %q %v", kind, b, err)
	}
}

func TestPublishedByAClientAndNotEchoed(t *testing.T) {
	s := start(t, http.HandlerFunc(originHandler), grip.Config{}, grip.RouteConfig{Path: "/*", Function: "f", Publish: "in"})
	got := s.mqtt("in")
	a, b := dial(t, s.http.URL+"/ws?channel=in", nil), dial(t, s.http.URL+"/ws?channel=in", nil)
	a.send("hello")
	a.want("hello") // the handler's echo, and nothing else
	b.want("hello")
	if m := <-got; string(m.Payload) != "hello" || m.From.ClientID == "" {
		t.Errorf("%+v", m)
	}
	a.send("next")
	a.want("next")
}

func TestPollsAndStreamsOfPlainMessages(t *testing.T) {
	sse := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Grip-Hold", r.URL.Query().Get("hold"))
		w.Header().Set("Grip-Channel", "news")
		if r.URL.Query().Get("type") != "" {
			w.Header().Set("Content-Type", r.URL.Query().Get("type"))
		}
	}
	s := start(t, http.HandlerFunc(sse), grip.Config{}, everything(), grip.RouteConfig{Path: "/lines", Function: "f", Stream: grip.StreamLine})
	poll := make(chan string, 1)
	go func() {
		_, body, h := do(t, http.MethodGet, s.http.URL+"/?hold=response&type=text/plain", "")
		poll <- body + h.Get("Content-Type")
	}()
	events, raw, lines := stream(t, s.http.URL+"/?hold=stream&type=text/event-stream"), stream(t, s.http.URL+"/?hold=stream"), stream(t, s.http.URL+"/lines?hold=stream")
	await(t, "four holders", func() bool { return s.metric("held") == 4 })
	s.publish("news", "one\ntwo")
	events.want("data: one\ndata: two\n\n")
	raw.want("one\ntwo")
	lines.want("one\ntwo\n")
	if got := <-poll; got != "one\ntwotext/plain" {
		t.Errorf("the poll was answered with %q", got)
	}
}

// A publish while the handler is being asked reaches the poll, and the handler is asked
// once.
func TestNothingIsLostWhileAPollIsAskedFor(t *testing.T) {
	var s *server
	var asked atomic.Int32
	s = start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if r.URL.Path == "/item" {
			post(t, s.http.URL+"/publish", items(`{"channel":"x","http-response":{"body":"in the window"}}`)) //nolint:contextcheck // the publish is the test's
		} else {
			s.publish("x", "in the window") //nolint:contextcheck // the same
		}
		w.Header().Set("Grip-Hold", "response")
		w.Header().Set("Grip-Channel", "x")
	}), grip.Config{}, everything())
	for i, path := range []string{"/item", "/plain"} {
		if _, body, _ := do(t, http.MethodGet, s.http.URL+path, ""); body != "in the window" || int(asked.Load()) != i+1 {
			t.Errorf("%s: %q after %d invocations", path, body, asked.Load())
		}
	}
}

func TestPollTimeoutAndRecovery(t *testing.T) {
	var asked atomic.Int32
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		if last := r.Header.Get("Grip-Last"); last != "" {
			_, _ = fmt.Fprintf(w, "recovered after %s", last)
			return
		}
		w.Header().Set("Grip-Hold", "response")
		w.Header().Set("Grip-Channel", "c; prev-id="+r.URL.Query().Get("after"))
		w.Header().Set("Grip-Timeout", "1")
		_, _ = w.Write([]byte("nothing"))
	}), grip.Config{}, everything())
	if _, body, _ := do(t, http.MethodGet, s.http.URL+"/?after=1", ""); body != "nothing" {
		t.Errorf("%q", body)
	}
	post(t, s.http.URL+"/publish", items(`{"channel":"c","id":"1","http-response":{"body":"1"}}`, `{"channel":"c","id":"2","prev-id":"1","http-response":{"body":"2"}}`))
	if _, body, _ := do(t, http.MethodGet, s.http.URL+"/?after=1", ""); body != "recovered after c; last-id=1" {
		t.Errorf("%q", body)
	}
	if _, body, _ := do(t, http.MethodGet, s.http.URL+"/?after=2", ""); body != "nothing" || asked.Load() != 4 {
		t.Errorf("%q after %d invocations", body, asked.Load())
	}
}

func TestStreamRecoversByItsNextLink(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Grip-Hold", "stream")
		after := r.URL.Query().Get("after")
		if after == "end" {
			w.Header().Del("Grip-Hold")
			_, _ = w.Write([]byte("the end"))
			return
		}
		if last := r.Header.Get("Grip-Last"); last != "" {
			_, _ = fmt.Fprintf(w, "L3;L4;(%s)", last)
			after = "4"
		}
		w.Header().Set("Grip-Channel", "q; prev-id="+after)
		w.Header().Set("Grip-Link", fmt.Sprintf("</?after=%s>; rel=next; timeout=100", after))
	}), grip.Config{}, everything())
	c := stream(t, s.http.URL+"/?after=2")
	await(t, "the stream", func() bool { return s.metric("streams") == 1 })
	post(t, s.http.URL+"/publish", items(`{"channel":"q","id":"3","prev-id":"2","http-stream":{"content":"L3;"}}`))
	c.want("L3;")
	// A message that was never seen here comes before this one.
	post(t, s.http.URL+"/publish", items(`{"channel":"q","id":"5","prev-id":"4","no-seq":true,"http-stream":{"content":"L5;"}}`))
	c.want("L3;L4;(q; last-id=3)")
}

func TestFilters(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var out []wire.Event
		for _, e := range events(r) {
			switch e.Type {
			case wire.EventOpen:
				w.Header().Set("Sec-WebSocket-Extensions", "grip")
				out = append(out, e, control(`{"type":"set-meta","name":"user","value":"`+r.URL.Query().Get("user")+`"}`),
					control(`{"type":"set-meta","name":"id_format","value":"id-%(room)s"}`),
					control(`{"type":"subscribe","channel":"room","filters":["`+r.URL.Query().Get("filter")+`"]}`))
			case wire.EventText:
				out = append(out, text("m:"+string(e.Content)))
			}
		}
		answer(w, out...)
	}), grip.Config{}, everything())
	for _, c := range []struct{ filter, item, al, bo string }{
		{"skip-self", `"meta":{"sender":"al"},"ws-message":{"content":"x"}`, "end", "x"},
		{"skip-users", `"meta":{"skip_users":"cy, bo"},"ws-message":{"content":"x"}`, "x", "end"},
		{"require-sub", `"meta":{"require_sub":"room"},"ws-message":{"content":"x"}`, "x", "x"},
		{"require-sub", `"meta":{"require_sub":"other"},"ws-message":{"content":"x"}`, "end", "end"},
		{"var-subst", `"ws-message":{"content":"hi %(user)s, 100%%"}`, "hi al, 100%", "hi bo, 100%"},
		{"var-subst", `"ws-message":{"content":"hi %(nobody)s"}`, "end", "end"},
		{"build-id", `"id":"7","ws-message":{"content":"%I %(x)I"}`, "id-7 x", "id-7 x"},
		{"skip-self", `"ws-message":{"content":"%(user)s","content-filters":["var-subst"]}`, "al", "bo"},
	} {
		al, bo := dial(t, s.http.URL+"/?user=al&filter="+c.filter, nil), dial(t, s.http.URL+"/?user=bo&filter="+c.filter, nil)
		if status, body, _ := post(t, s.http.URL+"/publish", items(`{"channel":"room",`+c.item+`}`)); status != http.StatusOK {
			t.Fatal(status, body)
		}
		for _, who := range []struct {
			c    *client
			want string
		}{{al, c.al}, {bo, c.bo}} {
			who.c.send("end")
			who.c.want(who.want)
			_ = who.c.Close()
		}
	}
}

func TestHistoryResumesStreamsAndPolls(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Grip-Hold", r.URL.Query().Get("hold"))
		w.Header().Set("Grip-Channel", "feed/a")
		w.Header().Set("Grip-Timeout", "1")
		if r.URL.Query().Get("hold") == "stream" {
			w.Header().Set("Content-Type", "text/event-stream")
		}
	}), grip.Config{History: grip.HistoryConfig{Topics: []string{"feed/#"}}}, everything())
	c := stream(t, s.http.URL+"/?hold=stream")
	await(t, "the stream", func() bool { return s.metric("streams") == 1 })
	s.publish("feed/a", "one")
	var id int64
	c.want("id: ")
	await(t, "an event", func() bool {
		n, _ := fmt.Sscanf(c.peek()+" ", "%d\ndata: one\n\n", &id)
		return n == 1 && strings.HasSuffix(c.got, "\n\n")
	})
	c.close()
	await(t, "the stream to end", func() bool { return s.metric("streams") == 0 })
	s.publish("feed/a", "two")
	s.publish("feed/b", "another's")
	post(t, s.http.URL+"/publish", items(`{"channel":"feed/a","formats":{"http-stream":{"content":"data: three\n\n"},"http-response":{"body":"three"}}}`))
	again := stream(t, s.http.URL+"/?hold=stream", "Last-Event-ID", fmt.Sprint(id))
	again.want(fmt.Sprintf("id: %d\ndata: two\n\nid: %d\ndata: three\n\n", id+1, id+3))
	s.publish("feed/a", "four")
	again.want(fmt.Sprintf("id: %d\ndata: four\n\n", id+4))

	last := fmt.Sprint(id)
	for _, want := range []string{"two", "three", "four", ""} {
		_, body, h := do(t, http.MethodGet, s.http.URL+"/?hold=response", "", "Last-Event-ID", last)
		if body != want {
			t.Errorf("after %s: %q, want %q", last, body, want)
		}
		last = h.Get("Last-Event-ID")
	}
}

func TestWhoMayPublish(t *testing.T) {
	cfg := grip.Config{Path: "/realm/my", Iss: "my", Key: "secret", Keys: []grip.KeyConfig{{Key: "base64:AAEC", Topics: []string{"shop/#"}}}}
	s := start(t, http.HandlerFunc(originHandler), cfg, everything())
	url := s.http.URL + "/realm/my/publish/"
	token := func(iss, secret string, exp int64) string { return grip.TokenForTest(iss, secret, exp) }
	const far, past = 4e9, 1e9
	for _, c := range []struct {
		auth, channel string
		status        int
	}{
		{"", "a", 401},
		{"Bearer secret", "a", 200},
		{"Bearer wrong", "a", 401},
		{"Bearer \x00", "a", 0},
		{"Bearer " + token("my", "secret", far), "a", 200},
		{"Bearer " + token("my", "secret", past), "a", 401},
		{"Bearer " + token("other", "secret", far), "a", 401},
		{"Bearer " + token("my", "other", far), "a", 401},
		{"Bearer \x01\x02", "shop/x", 0},
		{"Basic c2VjcmV0", "a", 401},
	} {
		if c.status == 0 {
			continue
		}
		status, body, _ := post(t, url, items(fmt.Sprintf(`{"channel":%q,"ws-message":{"content":"x"}}`, c.channel)), "Authorization", c.auth)
		if status != c.status {
			t.Errorf("%s: %d %s, want %d", c.auth, status, body, c.status)
		}
	}
	if status, _, _ := post(t, s.http.URL+"/publish/", "{}"); status == 401 || status == 400 {
		t.Errorf("the door is at %d without its path", status)
	}
	open := start(t, http.HandlerFunc(originHandler), grip.Config{}, everything())
	for _, h := range [][]string{nil, {"X-Forwarded-For", "203.0.113.1"}, {"Origin", "https://evil.example"}, {"Host", "x"}} {
		status, _, _ := post(t, open.http.URL+"/publish", `{"items":[]}`, h...)
		if want := map[bool]int{true: 200, false: 401}[h == nil || h[0] == "Host"]; status != want {
			t.Errorf("%v: %d, want %d", h, status, want)
		}
	}
	if status, body, _ := post(t, open.http.URL+"/publish", items(`{"channel":"a/#","ws-message":{"content":"x"}}`)); status != 400 {
		t.Errorf("a wildcard was published to: %d %s", status, body)
	}
	if status, body, _ := post(t, open.http.URL+"/publish", items(`{"channel":"a","ws-message":{"content":"x"}}`, `{"channel":"$SYS/x","ws-message":{"content":"x"}}`)); status != 403 || !strings.HasPrefix(body, "1 of 2 items were not published: ") {
		t.Errorf("of two items one was published: %d %s", status, body)
	}
	if status, body, _ := post(t, open.http.URL+"/publish", items(`{"channel":"$SYS/x","ws-message":{"content":"x"}}`)); status != 403 {
		t.Errorf("$SYS was published to: %d %s", status, body)
	}
}

func TestSignature(t *testing.T) {
	s := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(r.Header.Get("Grip-Sig")))
	}), grip.Config{Key: "secret"}, everything())
	_, sig, _ := do(t, http.MethodGet, s.http.URL+"/", "", "Grip-Sig", "forged")
	if iss, ok := grip.VerifyForTest(sig, "secret"); !ok || iss != "pushpin" {
		t.Errorf("%s: %q %v", sig, iss, ok)
	}
	if url := s.door.GripURL("http://127.0.0.1:1"); url != "http://127.0.0.1:1?iss=topicwire&key=secret" {
		t.Error(url)
	}
}
