package broker_test

import (
	"context"
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/message"
)

var (
	someTime    = regexp.MustCompile(`"timestamp":\d{13}`)
	someSession = regexp.MustCompile(`"sessionIdentifier":"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"`)
	someVersion = regexp.MustCompile(`"versionNumber":\d+`)
)

// masked hides what differs from run to run.
func masked(doc string) string {
	doc = someTime.ReplaceAllString(doc, `"timestamp":T`)
	doc = someSession.ReplaceAllString(doc, `"sessionIdentifier":"S"`)
	return someVersion.ReplaceAllString(doc, `"versionNumber":V`)
}

// wantEvent reads the next event.
func (p *peer) wantEvent(topic, doc string) map[string]any {
	p.t.Helper()
	pk := p.want(packets.Publish)
	if d := cmp.Diff(topic+"\n"+doc, pk.TopicName+"\n"+masked(string(pk.Payload))); d != "" {
		p.t.Errorf("event (-want +got):\n%s", d)
	}
	var e map[string]any
	if err := json.Unmarshal(pk.Payload, &e); err != nil {
		p.t.Fatal(err)
	}
	return e
}

// The documents of the lifecycle events, key by key as AWS IoT has them.
func TestLifecycleEvents(t *testing.T) {
	c := policies(allow("iot:*", "*"), deny("iot:Connect", "client/banned"))
	c.Things = map[string]auth.ThingConfig{"lamp": {Principals: []string{"ada"}}}
	s, _ := guarded(t, c)
	watcher := s.connect(5, "watcher")
	watcher.subscribe("$aws/events/#", 0)
	watcher.wantEvent("$aws/events/subscriptions/subscribed/watcher",
		`{"clientId":"watcher","timestamp":T,"eventType":"subscribed","sessionIdentifier":"S","principalIdentifier":"anonymous","topics":["$aws/events/#"]}`)
	lamp := s.connect(4, "lamp", user("ada"))
	came := watcher.wantEvent("$aws/events/presence/connected/lamp",
		`{"clientId":"lamp","thingName":"lamp","timestamp":T,"eventType":"connected","sessionIdentifier":"S","principalIdentifier":"ada","ipAddress":"127.0.0.1","versionNumber":V}`)
	lamp.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe}, PacketID: 1, Filters: packets.Subscriptions{{Filter: "a/+"}, {Filter: "a+"}, {Filter: "b"}}})
	lamp.want(packets.Suback)
	subscribed := watcher.wantEvent("$aws/events/subscriptions/subscribed/lamp",
		`{"clientId":"lamp","timestamp":T,"eventType":"subscribed","sessionIdentifier":"S","principalIdentifier":"ada","topics":["a/+","b"]}`)
	lamp.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe}, PacketID: 2, Filters: packets.Subscriptions{{Filter: "b"}, {Filter: "never"}}})
	lamp.want(packets.Unsuback)
	watcher.wantEvent("$aws/events/subscriptions/unsubscribed/lamp",
		`{"clientId":"lamp","timestamp":T,"eventType":"unsubscribed","sessionIdentifier":"S","principalIdentifier":"ada","topics":["b"]}`)
	lamp.bye()
	left := watcher.wantEvent("$aws/events/presence/disconnected/lamp",
		`{"clientId":"lamp","thingName":"lamp","timestamp":T,"eventType":"disconnected","clientInitiatedDisconnect":true,"sessionIdentifier":"S","principalIdentifier":"ada","disconnectReason":"CLIENT_INITIATED_DISCONNECT","versionNumber":V}`)
	if came["versionNumber"] != left["versionNumber"] || came["sessionIdentifier"] != left["sessionIdentifier"] || came["sessionIdentifier"] != subscribed["sessionIdentifier"] {
		t.Errorf("connected %v, subscribed %v and disconnected %v are not one connection", came, subscribed, left)
	}
	s.tryConnect(5, "banned", user("eve"))
	watcher.wantEvent("$aws/events/presence/connect_failed/banned",
		`{"clientId":"banned","timestamp":T,"eventType":"connect_failed","connectFailureReason":"AUTHORIZATION_FAILED","sessionIdentifier":"S","principalIdentifier":"eve","ipAddress":"127.0.0.1"}`)
	for _, id := range []string{"+", "#", "a+b"} { // no topic can be made of these
		s.connect(5, id).bye()
	}
	watcher.quiet()
	again := s.connect(5, "lamp")
	if next := watcher.wantEvent("$aws/events/presence/connected/lamp",
		`{"clientId":"lamp","timestamp":T,"eventType":"connected","sessionIdentifier":"S","principalIdentifier":"anonymous","ipAddress":"127.0.0.1","versionNumber":V}`); next["versionNumber"].(float64) <= came["versionNumber"].(float64) {
		t.Errorf("version %v after %v", next["versionNumber"], came["versionNumber"])
	}
	_ = again
}

// Why a connection has ended.
func TestDisconnectReasons(t *testing.T) {
	c := policies(allow("iot:Connect iot:Subscribe iot:Receive", "*"))
	c.OnDenied = auth.CloseDenied
	s, a := guarded(t, c)
	watcher := s.connect(5, "watcher")
	watcher.subscribe("$aws/events/presence/disconnected/#", 0)
	for _, e := range []struct {
		want string
		end  func(p *peer)
	}{
		{"CONNECTION_LOST", func(p *peer) { p.lose() }},
		{"DUPLICATE_CLIENTID", func(*peer) { s.connect(5, "c") }},
		{"CLIENT_INITIATED_DISCONNECT", func(p *peer) { p.bye() }},
		{"AUTH_ERROR", func(p *peer) { p.send(publishPacket("no", "x", 0, 0)) }},
		{"CLIENT_ERROR", func(p *peer) { p.write([]byte{0xF0, 0}) }},
		{"MQTT_KEEP_ALIVE_TIMEOUT", func(*peer) {}},
		{"API_INITIATED_DISCONNECT", func(*peer) { _ = s.Kick("c", false, false) }},
		{"FORBIDDEN_ACCESS", func(*peer) {
			a.Load(policies(allow("iot:Connect", "client/watcher"), allow("iot:Subscribe iot:Receive", "*")), auth.AuthorityOptions{})
			s.Reauthorize()
		}},
	} {
		p := s.connect(5, "c", func(pk *packets.Packet) {
			if e.want == "MQTT_KEEP_ALIVE_TIMEOUT" {
				pk.Connect.Keepalive = 1
			}
		})
		if e.want == "CLIENT_INITIATED_DISCONNECT" { // the connection of the step before has to go first
			watcher.want(packets.Publish)
		}
		e.end(p)
		var doc struct {
			Reason    string `json:"disconnectReason"`
			Initiated bool   `json:"clientInitiatedDisconnect"`
		}
		if err := json.Unmarshal(watcher.want(packets.Publish).Payload, &doc); err != nil {
			t.Fatal(err)
		}
		if doc.Reason != e.want || doc.Initiated != (e.want == "CLIENT_INITIATED_DISCONNECT") {
			t.Errorf("%+v, want %s", doc, e.want)
		}
	}
}

// Events go through Accept, so that rules see them, and only if a rule wants them;
// clients cannot make any.
func TestEventsAreForRules(t *testing.T) {
	taken := make(chan string, 100)
	accept := func(_ context.Context, m *message.Message) (broker.Pending, error) {
		if strings.HasPrefix(m.Topic, "$aws/events/") {
			taken <- m.Topic
		}
		return nil, nil //nolint:nilnil // nothing to wait for
	}
	s := serve(t, setup{accept: accept, opts: broker.Options{Listens: func(topic string) bool {
		return strings.HasPrefix(topic, "$aws/events/presence/disconnected/")
	}}})
	p := s.connect(5, "c")
	p.send(publishPacket("$aws/events/presence/disconnected/other", "x", 1, 1))
	p.wantCode(packets.Puback, 0x87)
	if err := s.Publish(t.Context(), &message.Message{Topic: "$aws/events/presence/disconnected/other"}); err == nil {
		t.Error("a rule may publish an event")
	}
	p.bye()
	if got := <-taken; got != "$aws/events/presence/disconnected/c" {
		t.Errorf("%s, want the one event that a rule wants", got)
	}
	select {
	case got := <-taken:
		t.Errorf("and %s", got)
	default:
	}
}
