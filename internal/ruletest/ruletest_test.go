package ruletest

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/rules"
	"github.com/topicwire/topicwire/rules/sql"
)

// world is a clock that stands, and no functions.
type world struct{ now time.Time }

var errNothing = errors.New("nothing is called here")

func (w world) Now() time.Time                                            { return w.now }
func (world) AccountID() string                                           { return "000000000000" }
func (world) Invoke(context.Context, string, []byte) ([]byte, error)      { return nil, errNothing }
func (world) Descriptors(context.Context, string, string) ([]byte, error) { return nil, errNothing }

func TestRun(t *testing.T) {
	p, err := bridge.Compile([]bridge.RuleConfig{{
		Definition: rules.Definition{Name: "one", SQL: "SELECT n, timestamp() AS ts FROM 'a/+' WHERE n > 1", Disabled: true},
		Actions:    []action.Config{{Republish: &action.RepublishConfig{Topic: "b/${topic(2)}/${s}"}}},
	}, {
		Definition: rules.Definition{Name: "calls", SQL: "SELECT aws_lambda('f', 1) AS a FROM 'a'"},
	}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	base := rules.TestCase{Topic: "a/x", Payload: new(any(map[string]any{"n": int64(2), "s": "y"})), Now: time.UnixMilli(7)}
	for _, c := range []struct {
		name   string
		rule   int
		topic  string
		expect rules.Expectation
		want   []string // what is wrong
	}{
		{"payload", 0, "a/x", rules.Expectation{Payload: new(any(map[string]any{"ts": 7.0, "n": int64(2)}))}, nil},
		{"another payload", 0, "a/x", rules.Expectation{Payload: new(any("x"))}, []string{"another payload"}},
		{"text", 0, "a/x", rules.Expectation{PayloadText: new(`{"n":2,"ts":7}`)}, nil},
		{"another text", 0, "a/x", rules.Expectation{PayloadText: new(`{"n":2, "ts":7}`)}, []string{"another payload"}},
		{"action", 0, "a/x", rules.Expectation{Actions: []map[string]any{{"republish": map[string]any{"topic": "b/x/y"}}}}, nil},
		{"a kind", 0, "a/x", rules.Expectation{Actions: []map[string]any{{"lambda": map[string]any{}}}}, []string{"action 1 is another"}},
		{"no actions", 0, "a/x", rules.Expectation{Actions: []map[string]any{}}, []string{"action 1 was not expected"}},
		{"no match", 0, "a", rules.Expectation{NoMatch: true}, nil},
		{"a match", 0, "a/x", rules.Expectation{NoMatch: true}, []string{"expected no match, and the rule ran"}},
		{"another topic", 0, "a", rules.Expectation{Payload: new(any(1))}, []string{"the rule did not run: FROM 'a/+' does not take the topic a"}},
		{"error", 1, "a", rules.Expectation{Error: "nothing is called"}, nil},
		{"another error", 1, "a", rules.Expectation{Error: "boom"}, []string{"another error"}},
		{"no error", 0, "a/x", rules.Expectation{Error: "boom"}, []string{"expected an error, and there was none"}},
		{"no error and no match", 0, "b", rules.Expectation{Error: "boom"}, []string{"expected an error, and the rule did not run: FROM 'a/+' does not take the topic b"}},
		{"a failure", 1, "a", rules.Expectation{NoMatch: true}, []string{"the rule failed: aws_lambda('f'): nothing is called here"}},
	} {
		test := base
		test.Topic, test.Expect = c.topic, c.expect
		r := Run(t.Context(), p, c.rule, []rules.TestCase{test}, func(now time.Time) sql.Env { return world{now} })[0]
		var got []string
		for _, p := range r.Problems {
			got = append(got, p.What)
		}
		if d := cmp.Diff(c.want, got); d != "" || r.Test != "test 1" {
			t.Errorf("%s: %s (-want +got):\n%s", c.name, r.Test, d)
		}
	}
}

func TestNumber(t *testing.T) {
	for text, want := range map[string]json.Number{
		"1": "1", "1.0": "1", "-1.50": "-1.5", "15e-1": "1.5", "0": "0", "-0.0": "0", "0e5": "0", "100": "100", "1E2": "100",
		"0.001": "0.001", "1e-3": "0.001", "1e40": "1e40", "10e39": "1e40", "1.5e-50": "15e-51",
		"123456789012345678901234567890.10": "123456789012345678901234567890.1", "1e99999999999999999999": "1e99999999999999999999",
	} {
		if got := number(text); got != want {
			t.Errorf("number(%s) = %s, want %s", text, got, want)
		}
	}
}

// Two numbers are written the same exactly if they are equal.
func TestNumberIsCanonical(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		draw := func(label string) string {
			s := fmt.Sprintf("%d", rapid.IntRange(-2000, 2000).Draw(t, label))
			if rapid.Bool().Draw(t, "fraction") {
				s += fmt.Sprintf(".%02d", rapid.IntRange(0, 99).Draw(t, "digits"))
			}
			if rapid.Bool().Draw(t, "power") {
				s += fmt.Sprintf("e%d", rapid.IntRange(-45, 45).Draw(t, "exponent"))
			}
			return s
		}
		a, b := draw("a"), draw("b")
		x, _ := new(big.Rat).SetString(a)
		y, _ := new(big.Rat).SetString(b)
		z, ok := new(big.Rat).SetString(string(number(a)))
		if !ok || x.Cmp(z) != 0 {
			t.Fatalf("%s is written %s", a, number(a))
		}
		if (x.Cmp(y) == 0) != (number(a) == number(b)) {
			t.Fatalf("%s and %s: %s and %s", a, b, number(a), number(b))
		}
	})
}

// A difference tells both texts: its lines without one mark are the one, those without
// the other the other.
func TestDifferenceTellsBoth(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "c"}), 1, 5)
		want, got := text.Draw(t, "want"), text.Draw(t, "got")
		var a, b []string
		for line := range strings.Lines(difference(strings.Join(want, "\n"), strings.Join(got, "\n"))) {
			mark, rest := line[:2], strings.TrimSuffix(line[2:], "\n")
			if rest == "..." {
				t.Skip("lines are left out")
			}
			if mark != "+ " {
				a = append(a, rest)
			}
			if mark != "- " {
				b = append(b, rest)
			}
		}
		if d := cmp.Diff(want, a) + cmp.Diff(got, b); d != "" {
			t.Fatal(d)
		}
	})
}

func TestDifferenceLeavesOutWhatIsFar(t *testing.T) {
	same := strings.Repeat("x\n", 10)
	got := difference(same+"a\n"+same+"c", same+"b\n"+same+"c")
	want := "  ...\n  x\n  x\n  x\n- a\n+ b\n  x\n  x\n  x\n  ...\n"
	if got != want {
		t.Errorf("got:\n%s", got)
	}
	long := strings.Repeat("a\n", 3000)
	if got := difference(long, strings.Repeat("b\n", 3000)); strings.Count(got, "\n- a") != 2999 || strings.Count(got, "\n+ b") != 3000 {
		t.Error("a long difference is not shown whole")
	}
}

func TestMentioned(t *testing.T) {
	for _, c := range []struct{ want, got, part string }{
		{`{"a":1}`, `{"a":2,"b":3}`, `{"a":2}`},
		{`{"a":{"b":1}}`, `{"a":{"b":2,"c":3},"d":4}`, `{"a":{"b":2}}`},
		{`[{"a":1}]`, `[{"a":1,"b":2}]`, `[{"a":1}]`},
		{`[{"a":1}]`, `[{"b":2},3]`, `[{"b":2},3]`},
		{`{"a":null}`, `{"b":1}`, `{"b":1}`},
		{`{}`, `{"b":1}`, `{}`},
		{`1`, `{"b":1}`, `{"b":1}`},
	} {
		want, _ := parse([]byte(c.want))
		got, _ := parse([]byte(c.got))
		part, _ := json.Marshal(mentioned(want, got))
		if string(part) != c.part {
			t.Errorf("%s of %s: got %s, want %s", c.want, c.got, part, c.part)
		}
	}
}

func TestJUnitReadsBack(t *testing.T) {
	var b bytes.Buffer
	err := WriteJUnit(&b, []Result{
		{Rule: "a", Test: "1", Took: time.Millisecond},
		{Rule: "a", Test: "2 <&\x00>", Problems: []Problem{{"bad", "- 1\n+ 2\n"}, {"worse", ""}}},
		{Rule: "b", Test: "1"},
	})
	if err != nil {
		t.Fatal(err)
	}
	var s junitSuites
	if err := xml.Unmarshal(b.Bytes(), &s); err != nil {
		t.Fatal(err)
	}
	if s.Tests != 3 || s.Failures != 1 || len(s.Suites) != 2 || s.Suites[0].Tests != 2 || s.Suites[0].Failures != 1 || s.Suites[0].Time != "0.001000" {
		t.Errorf("got %+v", s)
	}
	if f := s.Suites[0].Cases[1].Failure; f == nil || f.Message != "bad; worse" || f.Text != "bad\n- 1\n+ 2\nworse\n" {
		t.Errorf("got %+v", f)
	}
}

func TestShown(t *testing.T) {
	for in, want := range map[string]string{"": `""`, "a\nä": "a\nä", "\x00": `"\x00"`, "\xff": `"\xff"`} {
		if got := Shown([]byte(in)); got != want {
			t.Errorf("Shown(%q) = %s, want %s", in, got, want)
		}
	}
}
