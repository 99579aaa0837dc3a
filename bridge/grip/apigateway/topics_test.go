package apigateway_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/apigateway"
	"github.com/topicwire/topicwire/message"
)

// publish publishes as an MQTT client would.
func (w *world) publish(topic, payload string) {
	_ = w.space.Publish(w.Context(), &message.Message{Topic: topic, Payload: []byte(payload)})
}

// waitFor waits until a topic has so many subscribers.
func (w *world) waitFor(topic string, n int) {
	w.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for range int(patience / time.Millisecond) {
		if w.space.Subscribers(topic) == n {
			return
		}
		<-tick.C
	}
	w.Fatalf("%s has %d subscribers, not %d", topic, w.space.Subscribers(topic), n)
}

// A room without a function and without a table: two routes of the configuration.
func TestRoomWithoutFunction(t *testing.T) {
	c := grip.RouteConfig{ChannelPrefix: "chat/", APIGateway: grip.APIGatewayConfig{Routes: map[string]grip.APIGatewayRoute{
		"join":  {Subscribe: []string{"rooms/${request.body.room}"}},
		"leave": {Unsubscribe: []string{"rooms/${request.body.room}"}},
		"say":   {Publish: "rooms/${request.body.room}"},
	}}}
	w := serve(t, c, map[string]fn{})
	ada, bob := w.dial("", nil), w.dial("", nil)
	ada.say(`{"action":"join","room":"a"}`)
	bob.say(`{"action":"join","room":"a"}`)
	w.waitFor("chat/rooms/a", 2)
	bob.say(`{"action":"say","room":"a","text":"hi"}`)
	for _, c := range []*client{ada, bob} {
		if got := c.hear(); got != `{"action":"say","room":"a","text":"hi"}` {
			t.Errorf("got %s", got)
		}
	}
	w.publish("chat/rooms/a", "from a device")
	for _, c := range []*client{ada, bob} {
		if got := c.hear(); got != "from a device" {
			t.Errorf("got %s", got)
		}
	}
	ada.say(`{"action":"leave","room":"a"}`)
	w.waitFor("chat/rooms/a", 1)
	_ = bob.Close()
	w.waitFor("chat/rooms/a", 0)
}

// What a client sends cannot reach topics that were not meant.
func TestValuesOfClients(t *testing.T) {
	c := grip.RouteConfig{APIGateway: grip.APIGatewayConfig{Routes: map[string]grip.APIGatewayRoute{
		"join": {Subscribe: []string{"${request.body.room}"}}, "say": {Publish: "rooms/${request.body.room}/x"},
	}}}
	w := serve(t, c, map[string]fn{})
	ws := w.dial("", nil)
	for _, room := range []string{`"#"`, `"+"`, `"a/b"`, `"a+"`, `"$SYS"`, `""`, `null`, `"\u0000"`} {
		for _, action := range []string{"join", "say"} {
			if room == `"$SYS"` && action == "say" {
				continue // it is not at the beginning there
			}
			ws.say(`{"action":"` + action + `","room":` + room + `}`)
			if got := ws.hear(); !strings.HasPrefix(got, `{"message": "Forbidden"`) {
				t.Errorf("%s %s: %s", action, room, got)
			}
		}
	}
	if n := len(w.space.published); n != 0 {
		t.Errorf("%d messages were published", n)
	}
}

func TestSubscribeAtConnect(t *testing.T) {
	c := grip.RouteConfig{APIGateway: grip.APIGatewayConfig{
		Subscribe: []string{"rooms/${query.room}", "clients/${connectionId}", "all"},
		Routes:    map[string]grip.APIGatewayRoute{"$connect": {Publish: "joined/${query.room}", Subscribe: []string{"agents/${header.User-Agent}"}}},
	}}
	w := serve(t, c, map[string]fn{"f": ok})
	ws := w.dial("?room=a", http.Header{"User-Agent": {"x"}})
	for _, topic := range []string{"rooms/a", "all", "agents/x"} {
		w.publish(topic, topic)
		if got := ws.hear(); got != topic {
			t.Errorf("%s: %s", topic, got)
		}
	}
	if m := w.space.published[0]; m.Topic != "joined/a" {
		t.Errorf("published %+v", m)
	}
	for _, query := range []string{"", "?room=", "?room=%23", "?room=a/b"} {
		if _, resp, err := w.try(query, http.Header{"User-Agent": {"x"}}); err == nil || resp.StatusCode != 403 {
			t.Errorf("%q: %v", query, resp)
		}
	}
}

// A handler subscribes the connection with a header of its answer.
func TestHandlerSubscribes(t *testing.T) {
	w := serve(t, routes("join", "leave", "wrong"), map[string]fn{"f": func(e event) (any, error) {
		h := map[string]string{}
		switch e.RequestContext.RouteKey {
		case "$connect":
			h["topicwire-subscribe"] = "first"
		case "join":
			h["Topicwire-Subscribe"] = "rooms/a, rooms/b/#"
		case "leave":
			h["Topicwire-Unsubscribe"] = "rooms/a"
		case "wrong":
			h["Topicwire-Subscribe"] = "rooms/#/x"
		}
		return map[string]any{"statusCode": 200, "headers": h, "body": "done"}, nil
	}})
	ws := w.dial("", nil)
	w.publish("first", "1")
	if got := ws.hear(); got != "1" {
		t.Error(got)
	}
	ws.say(`{"action":"join"}`)
	if got := ws.hear(); got != "done" {
		t.Error(got)
	}
	w.publish("rooms/b/c", "2")
	w.publish("rooms/a", "3")
	if a, b := ws.hear(), ws.hear(); a+b != "23" {
		t.Error(a, b)
	}
	ws.say(`{"action":"leave"}`)
	ws.hear()
	w.publish("rooms/a", "no")
	w.publish("rooms/b", "4")
	if got := ws.hear(); got != "4" {
		t.Error(got)
	}
	ws.say(`{"action":"wrong"}`)
	if got := ws.hear(); !strings.HasPrefix(got, `{"message": "Forbidden"`) {
		t.Error(got)
	}
}

func TestTopicOfAConnection(t *testing.T) {
	w := serve(t, routes("$default"), map[string]fn{"f": id})
	ws, id := w.dialID()
	w.publish(apigateway.TopicPrefix+id, "from MQTT")
	if got := ws.hear(); got != "from MQTT" {
		t.Error(got)
	}
	w.publish(apigateway.TopicPrefix+"nobody", "x")
	if n := w.value("gone_total", ""); n != 1 {
		t.Errorf("%v messages to nobody are counted", n)
	}
}

// grant allows what begins with "mine/".
type grant struct{}

func (grant) Name() string               { return "me" }
func (grant) MayPublish(t string) bool   { return strings.HasPrefix(t, "mine/") }
func (grant) MaySubscribe(t string) bool { return strings.HasPrefix(t, "mine/") }
func (grant) MayReceive(t string) bool   { return t != "mine/secret" }

func TestPolicies(t *testing.T) {
	c := grip.RouteConfig{APIGateway: grip.APIGatewayConfig{Routes: map[string]grip.APIGatewayRoute{
		"join": {Subscribe: []string{"${request.body.whose}/#"}}, "say": {Publish: "${request.body.whose}/x"},
	}}}
	c.Auth = true
	w := serve(t, c, map[string]fn{}, func(o *apigateway.Options) {
		o.Authorize = func(r *http.Request) (grip.Grant, error) {
			if r.Header.Get("Authorization") == "" {
				return nil, errors.New("who are you?")
			}
			return grant{}, nil
		}
	})
	if _, resp, err := w.try("", nil); err == nil || resp.StatusCode != 401 {
		t.Errorf("a stranger: %v", resp)
	}
	ws := w.dial("", http.Header{"Authorization": {"me"}})
	for _, m := range []string{`{"action":"join","whose":"yours"}`, `{"action":"say","whose":"yours"}`} {
		ws.say(m)
		if got := ws.hear(); !strings.HasPrefix(got, `{"message": "Forbidden"`) {
			t.Error(got)
		}
	}
	ws.say(`{"action":"join","whose":"mine"}`)
	w.waitFor("mine/x", 1)
	w.publish("mine/secret", "not for the client")
	ws.say(`{"action":"say","whose":"mine"}`)
	if got := ws.hear(); got != `{"action":"say","whose":"mine"}` {
		t.Error(got)
	}
	if m := w.space.published[len(w.space.published)-1]; m.From.Principal != "me" || m.From.ClientID == "" {
		t.Errorf("published by %+v", m.From)
	}
}

func TestTooManyTopics(t *testing.T) {
	c := grip.RouteConfig{APIGateway: grip.APIGatewayConfig{Routes: map[string]grip.APIGatewayRoute{"join": {Subscribe: []string{"r/${request.body.room}"}}}}}
	w := serve(t, c, map[string]fn{}, func(o *apigateway.Options) { o.MaxSubscriptions = 2 })
	ws := w.dial("", nil)
	for _, room := range []string{"a", "b", "a", "c"} { // a counts once
		ws.say(`{"action":"join","room":"` + room + `"}`)
	}
	if got := ws.hear(); !strings.HasPrefix(got, `{"message": "Forbidden"`) {
		t.Error(got)
	}
	w.waitFor("r/c", 0)
	w.waitFor("r/b", 1)
}

// publish of the route itself is for every message, whatever route of the API it takes.
func TestEveryMessageIsPublished(t *testing.T) {
	c := routes("$default")
	c.Publish = "all/in"
	w := serve(t, c, map[string]fn{"f": echo})
	ws := w.dial("", nil)
	for _, m := range []string{"one", `{"action":"two"}`} {
		ws.say(m)
		ws.hear()
	}
	if p := w.space.published; len(p) != 2 || p[0].Topic != "all/in" || string(p[0].Payload) != "one" || string(p[1].Payload) != `{"action":"two"}` {
		t.Errorf("%+v", p)
	}
}

func TestNoDisconnect(t *testing.T) {
	c := routes()
	c.NoDisconnect = true
	w := serve(t, c, map[string]fn{"f": ok})
	_ = w.dial("", nil).NetConn().Close()
	_ = w.dial("", nil).Close()
	closing := w.dial("", nil)
	_ = closing.WriteMessage(websocket.CloseMessage, websocket.FormatCloseMessage(1000, ""))
	if code, _ := w.goneBy(); code != 1000 {
		t.Errorf("the function is told of %d", code)
	}
}
