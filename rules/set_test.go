package rules_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules"
	"github.com/topicwire/topicwire/rules/sql"
)

func compile(tb testing.TB, name, from string) *rules.Rule {
	tb.Helper()
	statement := "SELECT *"
	if from != "" {
		statement += " FROM '" + from + "'"
	}
	r, err := rules.Compile(rules.Definition{Name: name, SQL: statement})
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func newSet(tb testing.TB, rs ...*rules.Rule) *rules.Set {
	tb.Helper()
	s, err := rules.NewSet(rs)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func names(rs []*rules.Rule) []string {
	out := []string{}
	for _, r := range rs {
		out = append(out, r.Name)
	}
	return out
}

func TestSetMatch(t *testing.T) {
	disabled := compile(t, "disabled", "a/b")
	disabled.Disabled = true
	set := newSet(t,
		compile(t, "exact", "a/b"),
		compile(t, "plus", "a/+"),
		compile(t, "hash", "a/#"),
		compile(t, "all", "#"),
		compile(t, "sys", "$aws/events/#"),
		compile(t, "same", "a/b"),
		compile(t, "ingestOnly", ""),
		disabled,
	)
	for _, c := range []struct {
		topic string
		want  []string
	}{
		{"a/b", []string{"exact", "plus", "hash", "all", "same"}},
		{"a/c", []string{"plus", "hash", "all"}},
		{"a/", []string{"plus", "hash", "all"}},
		{"a", []string{"all"}}, // AWS: a/# does not match its parent
		{"a/b/c", []string{"hash", "all"}},
		{"$aws/events/presence", []string{"sys"}},
		{"$SYS/x", []string{}},
		{"$aws/rules/exact/anything", []string{"exact"}},
		{"$aws/rules/ingestOnly", []string{"ingestOnly"}},
		{"$aws/rules/disabled/x", []string{}},
		{"$aws/rules/nobody/x", []string{}},
	} {
		if diff := cmp.Diff(c.want, names(set.Match(nil, c.topic))); diff != "" {
			t.Errorf("%s: %s", c.topic, diff)
		}
	}
}

// The index finds what a walk over all filters finds, but for the parent level,
// which MQTT has and AWS has not.
func TestSetMatchesLikeTheWalk(t *testing.T) {
	level := rapid.SampledFrom([]string{"a", "b", "", "$x", "+"})
	rapid.Check(t, func(rt *rapid.T) {
		var rs []*rules.Rule
		for i := range rapid.IntRange(0, 12).Draw(rt, "rules") {
			f := strings.Join(rapid.SliceOfN(level, 1, 4).Draw(rt, "filter"), "/")
			if rapid.Bool().Draw(rt, "hash") {
				f += "/#"
			}
			if message.ValidateFilter(f) == nil {
				rs = append(rs, compile(t, fmt.Sprintf("r%d", i), f))
			}
		}
		set := newSet(t, rs...)
		topic := strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{"a", "b", "", "$x"}), 1, 5).Draw(rt, "topic"), "/")
		want := []string{}
		for _, r := range rs {
			parent, isHash := strings.CutSuffix(r.Filter(), "/#")
			if message.Match(r.Filter(), topic) && (!isHash || message.Levels(topic) > message.Levels(parent)) {
				want = append(want, r.Name)
			}
		}
		if diff := cmp.Diff(want, names(set.Match(nil, topic))); diff != "" {
			rt.Fatalf("topic %q: %s", topic, diff)
		}
	})
}

func TestCompileErrors(t *testing.T) {
	for _, c := range []struct {
		def  rules.Definition
		want error
	}{
		{rules.Definition{SQL: "SELECT * FROM 'a'"}, rules.ErrNoName},
		{rules.Definition{Name: "no-hyphens", SQL: "SELECT * FROM 'a'"}, rules.ErrName},
		{rules.Definition{Name: strings.Repeat("x", 129), SQL: "SELECT * FROM 'a'"}, rules.ErrName},
		{rules.Definition{Name: "r"}, rules.ErrNoSQL},
	} {
		if _, err := rules.Compile(c.def); !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v, want %v", c.def, err, c.want)
		}
	}
	_, err := rules.Compile(rules.Definition{Name: "r", SQL: "SELECT FROM 'a'"})
	var place *sql.Error
	if !errors.As(err, &place) || place.Line != 1 || place.Column != 8 {
		t.Errorf("got %v, want an *sql.Error at 1:8", err)
	}
}

func TestTwoRulesOfOneName(t *testing.T) {
	if _, err := rules.NewSet([]*rules.Rule{compile(t, "r", "a"), compile(t, "r", "b")}); err == nil {
		t.Error("a set took two rules of one name")
	}
}

func BenchmarkSetMatch(b *testing.B) {
	for _, n := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("rules=%d", n), func(b *testing.B) {
			rs := make([]*rules.Rule, n)
			for i := range rs {
				rs[i] = compile(b, fmt.Sprintf("r%d", i), fmt.Sprintf("site/%d/+/data", i))
			}
			set := newSet(b, rs...)
			dst := make([]*rules.Rule, 0, 8)
			b.ReportAllocs()
			for b.Loop() {
				dst = set.Match(dst[:0], "site/0/machine7/data")
			}
			if len(dst) != 1 {
				b.Fatalf("%d rules matched", len(dst))
			}
		})
	}
}
