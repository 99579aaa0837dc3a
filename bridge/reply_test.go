package bridge_test

import (
	"context"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/message"
)

func TestAnswerGoesToTheReplyTopic(t *testing.T) {
	var call function.Call
	f := functions{"f": func(ctx context.Context, payload []byte) ([]byte, error) {
		call = function.CallFrom(ctx)
		return append([]byte("seen "), payload...), nil
	}}
	b, out, _ := start(t, bridge.Options{}, compile(t, f, rule("r", "SELECT * FROM 'hello/+'", lambdaReply("f", "${topic()}/reply"))))
	m := msg("hello/ada", `{"n":1}`)
	m.Props.Correlation = []byte("c1")
	m.Props.User = []message.UserProperty{{Key: "k", Value: "v"}}
	accept(t, b, m)
	got := out.next(t)
	if got.Topic != "hello/ada/reply" || string(got.Payload) != `seen {"n":1}` || got.QoS != 1 || got.Hops != 1 ||
		got.From != (message.Origin{Via: message.ViaInternal, Rule: "r"}) || string(got.Props.Correlation) != "c1" {
		t.Errorf("got %+v", got)
	}
	if call.RequestID == "" || call.Rule != "r" || call.Topic != "hello/ada" || call.ClientID != "device-1" || len(call.User) != 1 {
		t.Errorf("the function was called with %+v", call)
	}
}

func TestResponseTopic(t *testing.T) {
	mayReceive := func(o message.Origin, topic string) bool {
		return o.ClientID == "device-1" && strings.HasPrefix(topic, "answers/")
	}
	metrics := prometheus.NewRegistry()
	f := functions{"echo": echo}
	first := func(topic string) action.Config {
		a := lambdaReply("echo", topic)
		a.Lambda.Reply.PreferResponseTopic = true
		return a
	}
	b, out, stop := start(t, bridge.Options{MayReceive: mayReceive, Metrics: metrics}, compile(t, f,
		rule("plain", "SELECT * FROM 'plain'", lambda("echo")),
		rule("own", "SELECT * FROM 'own'", lambdaReply("echo", "own/reply")),
		rule("first", "SELECT * FROM 'first'", first("first/reply")),
	))
	for _, c := range []struct{ topic, response, want string }{
		{"plain", "answers/1", "answers/1"},
		{"plain", "", ""},
		{"plain", "secret/1", ""},       // the client may not receive there
		{"plain", "answers/#", ""},      // no topic name
		{"plain", "$aws/rules/own", ""}, // reserved
		{"own", "answers/1", "own/reply"},
		{"first", "answers/1", "answers/1"},
		{"first", "secret/1", "first/reply"},
		{"first", "", "first/reply"},
	} {
		m := msg(c.topic, `"x"`)
		m.Props.ResponseTopic, m.Props.Correlation = c.response, []byte("id")
		accept(t, b, m)
		if c.want == "" {
			continue
		}
		if got := out.next(t); got.Topic != c.want || string(got.Props.Correlation) != "id" || string(got.Payload) != `"x"` {
			t.Errorf("%s, response topic %q: got %+v, want it at %s", c.topic, c.response, got, c.want)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := len(out.all()); n != 5 {
		t.Errorf("%d answers were published, want 5", n)
	}
	want := `
		# HELP topicwire_bridge_replies_total Answers by what became of them: published, no_answer (the function gave none), no_topic, not_allowed (to receive from the Response Topic).
		# TYPE topicwire_bridge_replies_total counter
		topicwire_bridge_replies_total{outcome="no_topic"} 1
		topicwire_bridge_replies_total{outcome="not_allowed"} 3
		topicwire_bridge_replies_total{outcome="published"} 5
	`
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "topicwire_bridge_replies_total"); err != nil {
		t.Error(err)
	}
}

func TestNothingReturnedIsNoAnswer(t *testing.T) {
	f := functions{"null": returns(" null\n"), "empty": returns(""), "false": returns("false")}
	b, out, stop := start(t, bridge.Options{}, compile(t, f,
		rule("r", "SELECT * FROM 'a'", lambdaReply("null", "t"), lambdaReply("empty", "t"), lambdaReply("false", "t"))))
	accept(t, b, msg("a", "{}"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := out.all(); len(got) != 1 || string(got[0].Payload) != "false" {
		t.Errorf("got %d answers, want false alone", len(got))
	}
}
