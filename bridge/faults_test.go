package bridge_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/emulator"
	"github.com/topicwire/topicwire/bridge/function"
)

// faulty does what its path ends in, as an HTTP function and as a Lambda endpoint.
func faulty(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	lambda := strings.HasPrefix(r.URL.Path, "/2015-03-31/functions/")
	switch what := strings.TrimSuffix(r.URL.Path, "/invocations"); what[strings.LastIndexByte(what, '/')+1:] {
	case "throws":
		if lambda {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			fmt.Fprint(w, `{"errorType":"TypeError","errorMessage":"thrown on purpose"}`)
			return
		}
		http.Error(w, "thrown on purpose", http.StatusInternalServerError)
	case "hangs":
		<-r.Context().Done()
	case "big":
		_, _ = w.Write(bytes.Repeat([]byte("x"), 5<<20))
	case "bigger":
		_, _ = w.Write(bytes.Repeat([]byte("x"), 7<<20))
	case "hangs-up":
		panic(http.ErrAbortHandler)
	default:
		_, _ = w.Write(body)
	}
}

// Real functions that misbehave, over real connections: each failure reaches the error
// action, and the next invocation works.
func TestFaultyFunctions(t *testing.T) {
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"} {
		t.Setenv(k, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
	server := httptest.NewServer(http.HandlerFunc(faulty))
	t.Cleanup(server.Close)
	configs := map[string]function.Config{
		"http-down": {HTTP: "http://127.0.0.1:1/"},
		"aws-down":  {Lambda: "f", Endpoint: "http://127.0.0.1:1/"},
	}
	for _, what := range []string{"throws", "hangs", "big", "bigger", "hangs-up", "well"} {
		limits := emulator.Config{Timeout: 30 * time.Second}
		if what == "hangs" {
			limits.Timeout = 20 * time.Millisecond
		}
		configs["http-"+what] = function.Config{Config: limits, HTTP: server.URL + "/" + what}
		configs["aws-"+what] = function.Config{Config: limits, Lambda: what, Endpoint: server.URL}
	}
	functions, err := function.NewRegistry(configs, function.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(functions.Close)
	r := withError(rule("r", "SELECT * FROM 'call/+'", once(action.Config{Lambda: &action.LambdaConfig{
		FunctionArn: "${topic(2)}", Reply: &action.ReplyConfig{Topic: "answer"},
	}})), republish("errors"))
	direct := withError(rule("direct", "SELECT * FROM 'direct/+'", once(action.Config{HTTP: &action.HTTPConfig{
		URL: server.URL + "/${topic(2)}", Timeout: 5 * time.Second, Reply: &action.ReplyConfig{Topic: "answer"},
	}})), republish("errors"))
	b, out, _ := start(t, bridge.Options{}, compile(t, functions, r, direct))

	for _, c := range []struct{ topic, failure string }{
		{"call/http-throws", "function http-throws: HTTP status 500 Internal Server Error: thrown on purpose"},
		{"call/http-hangs", "function http-hangs: function timed out after 20ms"},
		{"call/http-bigger", "exceeded maximum allowed payload size"},
		{"call/http-hangs-up", "EOF"},
		{"call/http-down", "connection refused"},
		{"call/aws-throws", "function aws-throws: TypeError: thrown on purpose"},
		{"call/aws-hangs", "function aws-hangs: function timed out after 20ms"},
		{"call/aws-bigger", "exceeded maximum allowed payload size"},
		{"call/aws-hangs-up", "EOF"},
		{"call/aws-down", "connection refused"},
		{"call/nobody", "no such function"},
		{"direct/throws", "HTTP status 500"},
		{"direct/bigger", "exceeded maximum allowed payload size"},
	} {
		accept(t, b, msg(c.topic, `{"n":1}`))
		if got := out.next(t); got.Topic != "errors" || !strings.Contains(string(got.Payload), c.failure) {
			t.Errorf("%s: got %s: %.300s", c.topic, got.Topic, got.Payload)
		}
		for _, well := range []string{"call/http-well", "call/aws-well", "direct/well"} {
			accept(t, b, msg(well, `{"n":2}`))
			if got := out.next(t); got.Topic != "answer" || string(got.Payload) != `{"n":2}` {
				t.Fatalf("after %s, %s gave %s: %.300s", c.topic, well, got.Topic, got.Payload)
			}
		}
	}
	for _, topic := range []string{"call/http-big", "call/aws-big", "direct/big"} {
		accept(t, b, msg(topic, "{}"))
		if got := out.next(t); got.Topic != "answer" || len(got.Payload) != 5<<20 {
			t.Errorf("%s: got %s with %d bytes: %.500s", topic, got.Topic, len(got.Payload), got.Payload)
		}
	}
}

// A function that answers after its time is over: the answer that comes too late goes
// nowhere, and the next attempt, under the same request id, gives the one that counts.
func TestAnswerAfterTheTimeout(t *testing.T) {
	ids := make(chan string, 10)
	late := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // net/http notices that the client is gone when it has read all
		id := r.Header.Get("X-Topicwire-Request-Id")
		first := len(ids) == 0
		ids <- id
		if first {
			<-r.Context().Done() // its client has waited long enough
			fmt.Fprint(w, `"too late"`)
			close(late)
			return
		}
		<-late
		fmt.Fprint(w, `"in time"`)
	}))
	t.Cleanup(server.Close)
	a := lambdaReply("slow", "answer")
	a.Retry = &action.RetryConfig{Backoff: &action.Backoff{Min: time.Millisecond, Max: time.Millisecond}}
	functions, err := function.NewRegistry(map[string]function.Config{
		"slow": {Config: emulator.Config{Timeout: time.Second}, HTTP: server.URL},
	}, function.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(functions.Close)
	b, out, stop := start(t, bridge.Options{}, compile(t, functions, rule("r", "SELECT * FROM 'in'", a)))
	accept(t, b, msg("in", "{}"))
	if got := out.next(t); got.Topic != "answer" || string(got.Payload) != `"in time"` {
		t.Errorf("got %s: %s", got.Topic, got.Payload)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := len(out.all()); n != 1 {
		t.Errorf("%d answers were published", n)
	}
	if one, two := <-ids, <-ids; one == "" || one != two {
		t.Errorf("the attempts had the request ids %q and %q", one, two)
	}
}
