package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/rules"
)

// noWorld is the Env of statements that need a clock at most.
type noWorld struct{}

func (noWorld) Now() time.Time { return time.UnixMilli(1000) }

func (noWorld) AccountID() string { return "000000000000" }

func (noWorld) Invoke(context.Context, string, []byte) ([]byte, error) { return nil, errNoWorld }

func (noWorld) Descriptors(context.Context, string, string) ([]byte, error) { return nil, errNoWorld }

var errNoWorld = errors.New("no world")

func TestExplain(t *testing.T) {
	off := rule("off", "SELECT * FROM 'a/+'")
	off.Disabled = true
	p := compile(t, nil,
		rule("ran", "SELECT topic(2) AS t FROM 'a/+'", lambdaReply("f-${topic(2)}", "r/${topic(2)}"), republish("x/${n}/#"+"${missing}")),
		rule("other", "SELECT * FROM 'b'"),
		rule("ingest", "SELECT *"),
		off,
		rule("where", "SELECT * FROM 'a/+' WHERE n > 1"),
		withError(rule("fails", "SELECT aws_lambda('f', 1) AS a FROM 'a/+'", lambda("f")), republish("errors/${topic(2)}")),
	)
	got := explained(p.Explain(t.Context(), msg("a/b", `{"n":1}`), noWorld{}))
	want := []string{
		`ran ran "" output={"t":"b"} lambda={"function":"f-b","reply":{"topic":"r/b"}} republish!topic: topic "x/1/#" contains a wildcard: '#' at byte 5`,
		`other other_topic "FROM 'b' does not take the topic a/b"`,
		`ingest other_topic "it has no FROM, so only Basic Ingest reaches it"`,
		`off disabled "it is disabled"`,
		`where not_true "WHERE is not true"`,
		`fails failed "aws_lambda('f'): no world" error:republish={"qos":1,"topic":"errors/b"}`,
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	got = explained(p.Explain(t.Context(), msg("$aws/rules/ingest/a/b", "{}"), noWorld{}))
	if got[0] != `ran other_topic "the topic is for the rule ingest alone"` || got[2] != `ingest ran "" output={}` {
		t.Errorf("Basic Ingest: got %q, %q", got[0], got[2])
	}
	// Try runs a disabled rule, and only over its topics.
	if e := p.Try(t.Context(), 3, msg("a/b", "{}"), noWorld{}); e.Outcome != bridge.OutcomeRan || e.Rule.Name != "off" {
		t.Errorf("Try of a disabled rule: %v", e.Outcome)
	}
	if e := p.Try(t.Context(), 3, msg("b", "{}"), noWorld{}); e.Outcome != bridge.OutcomeOtherTopic {
		t.Errorf("Try over another topic: %v", e.Outcome)
	}
	if e := p.Explain(t.Context(), msg("a/b", "{}"), noWorld{})[3]; e.Outcome != bridge.OutcomeDisabled {
		t.Errorf("Try has switched a rule on: %v", e.Outcome)
	}
}

// explained writes explanations on one line each.
func explained(all []bridge.Explanation) []string {
	lines := make([]string, len(all))
	for i, e := range all {
		var b strings.Builder
		why, _ := json.Marshal(e.Why())
		b.WriteString(e.Rule.Name + " " + string(e.Outcome) + " " + string(why))
		if e.Outcome == bridge.OutcomeRan {
			b.WriteString(" output=" + string(e.Statement.Output))
		}
		for _, a := range e.Actions {
			b.WriteString(" " + actionLine(a))
		}
		if e.ErrorAction != nil {
			b.WriteString(" error:" + actionLine(*e.ErrorAction))
		}
		lines[i] = b.String()
	}
	return lines
}

func actionLine(a bridge.Rendered) string {
	if a.Err != nil {
		return a.Kind + "!" + a.Err.Error()
	}
	fields, _ := json.Marshal(a.Spec.Fields())
	return a.Kind + "=" + string(fields)
}

// What a job keeps of a rule is everything but its tests and when it is acknowledged,
// which nobody waits for after a restart: whoever adds a field to one
// of the two has to decide for the other.
func TestSourceHasWhatARuleHas(t *testing.T) {
	fields := func(t reflect.Type) map[string]string {
		m := make(map[string]string)
		for f := range t.Fields() {
			m[f.Name] = f.Type.String()
		}
		return m
	}
	want := fields(reflect.TypeFor[bridge.RuleConfig]())
	delete(want, "Tests")
	delete(want, "Ack")
	if d := cmp.Diff(want, fields(reflect.TypeFor[outbox.Source]())); d != "" {
		t.Errorf("RuleConfig and Source (-want +got):\n%s", d)
	}
}

func TestTestMessage(t *testing.T) {
	var payload any = map[string]any{"a": "<"}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m, err := bridge.TestMessage(rules.TestCase{
		Topic: "a", Payload: &payload, ClientID: "c", SourceIP: "192.0.2.1", CorrelationData: "x",
		UserProperties: map[string]string{"b": "2", "a": "1"}, Now: now,
	})
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Payload) != `{"a":"<"}` || !m.From.Via.OverMQTT() || m.From.Addr.Addr().String() != "192.0.2.1" ||
		string(m.Props.Correlation) != "x" || m.Props.User[0].Key != "a" || !m.Received.Equal(now) {
		t.Errorf("got %+v", m)
	}
	m, err = bridge.TestMessage(rules.TestCase{Topic: "a"})
	if err != nil || len(m.Payload) != 0 || m.From.Via.OverMQTT() || m.Props.Correlation != nil || m.Received.IsZero() {
		t.Errorf("the least of a message: got %+v, %v", m, err)
	}
	for _, c := range []rules.TestCase{{SourceIP: "here"}, {PayloadBase64: "?"}} {
		if _, err := bridge.TestMessage(c); err == nil {
			t.Errorf("%+v makes a message", c)
		}
	}
}
