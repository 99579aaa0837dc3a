package rules_test

import (
	"math"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/rules"
)

func TestTestCaseBytes(t *testing.T) {
	for want, c := range map[string]rules.TestCase{
		`{"a":[1,1.5,null,"<&>"]}`: {Payload: new(any(map[string]any{"a": []any{int64(1), 1.5, nil, "<&>"}}))},
		`"text"`:                   {Payload: new(any("text"))},
		"text":                     {PayloadText: "text"},
		"\xff\x00":                 {PayloadBase64: "/wA="},
		"":                         {},
	} {
		if got, err := c.Bytes(); err != nil || string(got) != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	for _, c := range []rules.TestCase{{Payload: new(any(math.Inf(1)))}, {PayloadBase64: "?"}} {
		if got, err := c.Bytes(); err == nil {
			t.Errorf("%+v gives %q", c, got)
		}
	}
}

func TestTestCaseCheck(t *testing.T) {
	good := rules.Expectation{NoMatch: true}
	text := "x"
	for _, c := range []struct {
		name string
		test rules.TestCase
		want []string // the paths
	}{
		{"good", rules.TestCase{Topic: "a", Expect: good}, nil},
		{"all results", rules.TestCase{Topic: "a", Expect: rules.Expectation{Payload: new(any(1)), Actions: []map[string]any{{"lambda": nil}}}}, nil},
		{"a filter", rules.TestCase{Topic: "a/#", Expect: good}, []string{"topic"}},
		{"two payloads", rules.TestCase{Topic: "a", PayloadText: "x", PayloadBase64: "eA==", Expect: good}, []string{""}},
		{"no base64", rules.TestCase{Topic: "a", PayloadBase64: "?", Expect: good}, []string{"payload_base64"}},
		{"nothing expected", rules.TestCase{Topic: "a"}, []string{"expect"}},
		{"no match and a result", rules.TestCase{Topic: "a", Expect: rules.Expectation{NoMatch: true, PayloadText: &text}}, []string{"expect.no_match"}},
		{"an error and a result", rules.TestCase{Topic: "a", Expect: rules.Expectation{Error: "x", Payload: new(any(1))}}, []string{"expect.error"}},
		{"two results", rules.TestCase{Topic: "a", Expect: rules.Expectation{PayloadText: &text, Payload: new(any(1))}}, []string{"expect.payload_text"}},
		{"two kinds", rules.TestCase{Topic: "a", Expect: rules.Expectation{Actions: []map[string]any{{"a": 1, "b": 2}, {}}}}, []string{"expect.actions[0]", "expect.actions[1]"}},
	} {
		var got []string
		c.test.Check(func(path, problem, remedy string) {
			if problem == "" || remedy == "" {
				t.Errorf("%s: %s: a problem without words", c.name, path)
			}
			got = append(got, path)
		})
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}
