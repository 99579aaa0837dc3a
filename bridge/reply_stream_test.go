package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/message"
)

// piece is a message of a streamed answer in short: sequence, what else it says, payload.
func piece(m *message.Message) string {
	var s []string
	for _, p := range m.Props.User {
		if p.Key != "stream" {
			s = append(s, p.Key+"="+p.Value)
		}
	}
	return strings.Join(s, " ") + ": " + string(m.Payload)
}

func streamed(name string) action.Config {
	a := lambdaReply(name, "out/"+name)
	a.Lambda.Reply.Stream = true
	a.Retry = &action.RetryConfig{MaxAttempts: 1}
	return a
}

func TestAnswerIsPublishedAsItIsWritten(t *testing.T) {
	said := func(chunks ...string) func(ctx context.Context) error {
		return func(ctx context.Context) error {
			for _, c := range chunks {
				if err := function.CallFrom(ctx).Stream(function.Chunk{Data: []byte(c)}); err != nil {
					return err
				}
			}
			return nil
		}
	}
	goOn := make(chan struct{})
	f := functions{
		"good": func(ctx context.Context, _ []byte) ([]byte, error) {
			_ = said("one")(ctx)
			<-goOn
			return nil, said("two", "")(ctx)
		},
		"events": func(ctx context.Context, _ []byte) ([]byte, error) {
			return nil, function.CallFrom(ctx).Stream(function.Chunk{Data: []byte("x"), Event: "delta", ID: "7"})
		},
		"whole": returns(`"all"`),
		"none":  returns("null"),
		"throws": func(ctx context.Context, _ []byte) ([]byte, error) {
			_ = said("some")(ctx)
			return nil, &function.Error{Type: "TypeError", Message: "no", Payload: []byte(`{"errorType":"TypeError"}`)}
		},
		"cut": func(ctx context.Context, _ []byte) ([]byte, error) {
			_ = said("some")(ctx)
			return nil, errDown
		},
		"down": throws(errDown),
	}
	var rules []bridge.RuleConfig
	for name := range f {
		rules = append(rules, rule(name, "SELECT * FROM 'in/"+name+"'", streamed(name)))
	}
	b, out, stop := start(t, bridge.Options{}, compile(t, f, rules...))
	read := func(name string, want ...string) {
		t.Helper()
		m := msg("in/"+name, "{}")
		m.Props.Correlation = []byte("c")
		accept(t, b, m)
		stream := ""
		for i, w := range want {
			if name == "good" && i == 1 {
				close(goOn) // the first piece is out while the function still works
			}
			got := out.next(t)
			if piece(got) != w || got.Topic != "out/"+name || string(got.Props.Correlation) != "c" || got.Hops != 1 {
				t.Errorf("%s: got %q on %s, want %q", name, piece(got), got.Topic, w)
			}
			if id := got.Props.User[0].Value; stream == "" {
				stream = id
			} else if id != stream {
				t.Errorf("%s: one answer has the streams %s and %s", name, stream, id)
			}
		}
	}
	read("good", "sequence=0: one", "sequence=1: two", "sequence=2 end=ok: ")
	read("events", "sequence=0 event=delta event-id=7: x", "sequence=1 end=ok: ")
	read("whole", `sequence=0: "all"`, "sequence=1 end=ok: ")
	read("none", "sequence=0 end=ok: ")
	read("throws", "sequence=0: some", `sequence=1 end=error: {"errorType":"TypeError"}`)
	read("cut", "sequence=0: some", `sequence=1 end=error: {"errorMessage":"connection refused","errorType":"failed"}`)
	read("down")
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := len(out.all()); n != 12 {
		t.Errorf("%d messages in all", n)
	}
}

func TestEventsOfAnHTTPActionArePublished(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: one\n\ndata: two\n\n")
	}))
	t.Cleanup(s.Close)
	b, out, stop := start(t, bridge.Options{}, compile(t, functions{}, rule("r", "SELECT * FROM 'in'",
		action.Config{HTTP: &action.HTTPConfig{URL: s.URL, Reply: &action.ReplyConfig{Topic: "out", Stream: true}}})))
	accept(t, b, msg("in", "{}"))
	for _, want := range []string{"sequence=0: one", "sequence=1: two", "sequence=2 end=ok: "} {
		if got := piece(out.next(t)); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
}

// A piece that cannot be published ends the invocation.
func TestStreamEndsWithItsPublisher(t *testing.T) {
	ended := make(chan error, 1)
	f := functions{"f": func(ctx context.Context, _ []byte) ([]byte, error) {
		err := function.CallFrom(ctx).Stream(function.Chunk{Data: []byte("x")})
		ended <- err
		return nil, err
	}}
	refusing := newBroker()
	refusing.fail = errDown
	b, _, _ := start(t, bridge.Options{Publisher: refusing}, compile(t, f, rule("r", "SELECT * FROM 'in'", streamed("f"))))
	accept(t, b, msg("in", "{}"))
	if err := receive(t, ended, "end of the invocation"); !errors.Is(err, errDown) {
		t.Errorf("the function was told %v", err)
	}
}

func messages(name string) action.Config {
	return action.Config{Lambda: &action.LambdaConfig{Function: name, Reply: &action.ReplyConfig{Format: action.FormatMessages}}}
}

func TestAnswerOfSeveralMessages(t *testing.T) {
	f := functions{"f": returns(`{"publish":[
		{"topic":"a","payload":{"n":1}},
		{"topic":"b/c","payload":"text","qos":0,"retain":true,"properties":{"contentType":"text/plain","responseTopic":"r","correlationData":"AQI=",
			"messageExpiry":60,"payloadFormatIndicator":"UTF8_DATA","userProperties":[{"key":"k","value":"v"},{"key":"k","value":"w"}]}},
		{"payloadBase64":"AAE="}
	]}`)}
	b, out, _ := start(t, bridge.Options{MayReceive: func(message.Origin, string) bool { return true }}, compile(t, f, rule("r", "SELECT * FROM 'in'", messages("f"))))
	m := msg("in", "{}")
	m.Props.ResponseTopic, m.Props.Correlation = "answers/1", []byte("c")
	accept(t, b, m)
	first, second, third := out.next(t), out.next(t), out.next(t)
	if first.Topic != "a" || string(first.Payload) != `{"n":1}` || first.QoS != 1 || first.Retain || first.Hops != 1 {
		t.Errorf("first: %+v", first)
	}
	p := second.Props
	if second.Topic != "b/c" || string(second.Payload) != "text" || second.QoS != 0 || !second.Retain || p.ContentType != "text/plain" ||
		p.ResponseTopic != "r" || string(p.Correlation) != "\x01\x02" || p.Expiry != 60 || p.Format != message.FormatUTF8 || len(p.User) != 2 {
		t.Errorf("second: %+v", second)
	}
	if third.Topic != "answers/1" || string(third.Payload) != "\x00\x01" || string(third.Props.Correlation) != "c" {
		t.Errorf("third: %+v", third)
	}
}

func TestWrongMessagesPublishNothing(t *testing.T) {
	good := `{"topic":"a","payload":1},`
	for _, c := range []struct{ answer, want string }{
		{`[]`, "the answer is not"},
		{`{"publish":[],"other":1}`, `unknown field "other"`},
		{`{"publish":[]} 2`, "there is more behind it"},
		{`{"publish":[` + good + `{"topic":"a/#"}]}`, "publish[1]: topic \"a/#\" contains a wildcard"},
		{`{"publish":[` + good + `{"topic":"$SYS/x"}]}`, "publish[1]: the topic begins with $"},
		{`{"publish":[` + good + `{"payload":1}]}`, "publish[1]: topic is missing"},
		{`{"publish":[` + good + `{"topic":"a","qos":3}]}`, "publish[1]: qos is 3"},
		{`{"publish":[` + good + `{"topic":"a","qos":"1"}]}`, "publish[1]: json: cannot unmarshal string"},
		{`{"publish":[` + good + `{"topic":"a","pay":1}]}`, `publish[1]: json: unknown field "pay"`},
		{`{"publish":[` + good + `{"topic":"a","payload":1,"payloadBase64":""}]}`, "publish[1]: payload and payloadBase64"},
		{`{"publish":[` + good + `{"topic":"a","properties":{"messageExpiry":-1}}]}`, "publish[1]: properties: messageExpiry is -1"},
		{`{"publish":[` + good + `{"topic":"a","properties":{"responseTopic":"+"}}]}`, "publish[1]: properties: responseTopic: "},
		{`{"publish":[` + good + `{"topic":"a","properties":{"correlationData":"!"}}]}`, "publish[1]: properties: correlationData: "},
		{`{"publish":[` + good + `{"topic":"a","properties":{"payloadFormatIndicator":"x"}}]}`, `publish[1]: properties: "x" is not`},
		{`{"publish":[` + strings.Repeat(good, 1000) + `{"topic":"a"}]}`, "more than 1000 messages"},
		{`{"publish":[` + good + `{"topic":"secret","payload":1}]}`, `publish[1]: topic "secret": the function's policies`},
	} {
		var watch events
		b, out, stop := start(t, bridge.Options{
			Observe:    watch.observe,
			MayPublish: func(f, topic string, _ bool) bool { return f == "f" && topic != "secret" },
		}, compile(t, functions{"f": returns(c.answer)}, rule("r", "SELECT * FROM 'in'", messages("f"))))
		accept(t, b, msg("in", "{}"))
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(watch.lines(), "\n"); !strings.Contains(got, c.want) {
			t.Errorf("%.80s:\n%s\nwant %s", c.answer, got, c.want)
		}
		if n := len(out.all()); n > 0 {
			t.Errorf("%.80s: %d messages were published", c.answer, n)
		}
	}
}

func TestReplyChecks(t *testing.T) {
	for _, c := range []struct {
		reply action.ReplyConfig
		want  string
	}{
		{action.ReplyConfig{Format: "list"}, "lambda.reply.format is neither payload nor messages"},
		{action.ReplyConfig{Format: action.FormatMessages, Stream: true}, "lambda.reply.format messages are read"},
		{action.ReplyConfig{Stream: true, Retain: "true"}, "lambda.reply.retain of a streamed answer"},
		{action.ReplyConfig{Stream: true, Format: action.FormatPayload}, ""},
	} {
		got := ""
		action.Config{Lambda: &action.LambdaConfig{Function: "f", Reply: &c.reply}}.Check(func(path, problem, _ string) { got += path + " " + problem })
		if !strings.HasPrefix(got, c.want) || c.want == "" && got != "" {
			t.Errorf("%+v: reported %q, want %q", c.reply, got, c.want)
		}
	}
}

func TestBatchesAreNotStreamed(t *testing.T) {
	got := ""
	a := streamed("f")
	a.Batch = &action.BatchConfig{}
	a.Check(func(path, problem, _ string) { got += path + " " + problem })
	if !strings.HasPrefix(got, "batch one answer") {
		t.Errorf("reported %q", got)
	}
}
