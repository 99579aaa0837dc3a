package bridge_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/message"
)

func TestErrorAction(t *testing.T) {
	f := functions{"throws": throws(fmt.Errorf("function throws: %w", errThrown)), "down": throws(errDown), "well": echo}
	r := withError(rule("r", "SELECT * FROM 'in/+'", lambda("throws"), lambdaReply("well", "out"), lambda("down"), republish("${t}")), republish("errors/${topic()}"))
	b, out, stop := start(t, bridge.Options{}, compile(t, f, r))
	m := msg("in/1", `{"t":"a/#"}`) // no topic name: the republish action cannot be rendered
	accept(t, b, m)
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, p := range out.all() {
		if _, twice := got[p.Topic]; twice {
			t.Errorf("two messages on %s: the error action runs once a message", p.Topic)
		}
		got[p.Topic] = string(p.Payload)
	}
	document := got["errors/in/1"]
	for _, failure := range []string{
		`{"failedAction":"LambdaAction","failedResource":"throws","errorMessage":"function throws: TypeError: x is not a function"}`,
		`{"failedAction":"LambdaAction","failedResource":"down","errorMessage":"connection refused"}`,
		`{"failedAction":"RepublishAction","failedResource":"${t}","errorMessage":"topic: topic \"a/#\" contains a wildcard: '#' at byte 3"}`,
	} {
		before, after, found := strings.Cut(document, failure)
		if !found {
			t.Errorf("%s\nlacks %s", document, failure)
		}
		document = before + "F" + after
	}
	want := map[string]string{
		"out":         `{"t":"a/#"}`,
		"errors/in/1": `{"ruleName":"r","topic":"in/1","cloudwatchTraceId":"` + m.ID + `","clientId":"device-1","base64OriginalPayload":"eyJ0IjoiYS8jIn0=","failures":[F,F,F]}`,
	}
	got["errors/in/1"] = document
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestErrorActionWhenNothingCanBeRendered(t *testing.T) {
	r := withError(rule("r", "SELECT * FROM 'in'", republish("${t}")), republish("errors"))
	b, out, _ := start(t, bridge.Options{}, compile(t, functions{}, r))
	m := msg("in", `{"t":"+"}`)
	m.From = message.Origin{Via: message.ViaHTTP}
	accept(t, b, m)
	got := out.next(t)
	if got.Topic != "errors" || !strings.Contains(string(got.Payload), `"clientId":"n/a"`) || !strings.Contains(string(got.Payload), `"failedAction":"RepublishAction"`) {
		t.Errorf("got %s: %s", got.Topic, got.Payload)
	}
}

func TestFailingErrorActionIsLoggedAndCountedOnce(t *testing.T) {
	var log lockedBuffer
	metrics := prometheus.NewRegistry()
	f := functions{"throws": throws(errThrown)}
	r := withError(rule("r", "SELECT * FROM 'in'", lambda("throws")), lambda("throws"))
	b, out, stop := start(t, bridge.Options{Log: zerolog.New(&log), Metrics: metrics}, compile(t, f, r))
	accept(t, b, msg("in", "{}"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := len(out.all()); n != 0 {
		t.Errorf("%d messages were published", n)
	}
	if s := log.String(); strings.Count(s, `"message":"action failed"`) != 1 || strings.Count(s, `"message":"error action failed"`) != 1 || !strings.Contains(s, "x is not a function") {
		t.Errorf("the log is %s", s)
	}
	want := `
		# HELP topicwire_bridge_error_actions_failed_total Error actions that failed themselves.
		# TYPE topicwire_bridge_error_actions_failed_total counter
		topicwire_bridge_error_actions_failed_total{rule="r"} 1
	`
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "topicwire_bridge_error_actions_failed_total"); err != nil {
		t.Error(err)
	}
}

func TestReplyThatCannotBePublishedIsAFailure(t *testing.T) {
	f := functions{"echo": echo}
	out := newBroker()
	out.fail = errDown
	var seen events
	b, _, stop := start(t, bridge.Options{Publisher: out, Observe: seen.observe}, compile(t, f, rule("r", "SELECT * FROM 'in'", lambdaReply("echo", "out"))))
	out.bridge = b
	accept(t, b, msg("in", "{}"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	lines := seen.lines()
	if last := lines[len(lines)-1]; last != "failed in r lambda echo: cannot publish to out: connection refused" {
		t.Errorf("got %s", last)
	}
}

func TestPanicInAnActionIsAFailure(t *testing.T) {
	f := functions{"panics": func(context.Context, []byte) ([]byte, error) { panic("oops") }, "well": echo}
	b, out, _ := start(t, bridge.Options{}, compile(t, f, withError(rule("r", "SELECT * FROM 'in'", lambda("panics")), republish("errors"))))
	accept(t, b, msg("in", "{}"))
	if got := out.next(t); !strings.Contains(string(got.Payload), "internal error: oops") {
		t.Errorf("got %s", got.Payload)
	}
}
