package sql_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/topicwire/topicwire/rules/sql"
)

// seeds adds the sources of the case files, the examples and the refused pairs.
func seeds(f *testing.F, add func(source, payload string)) {
	f.Helper()
	for _, cases := range allCases(f) {
		for _, c := range cases {
			add(c.statement, bytesOf(c.payload))
		}
	}
	for _, fn := range sql.Functions() {
		for _, e := range fn.Examples {
			add("SELECT VALUE "+e.Expression+" FROM 't'", `{"a":[1,{"b":"x"}]}`)
		}
	}
	for _, c := range pairs(f, "testdata/refused.pairs") {
		add(c[0], "{}")
	}
}

// FuzzStatement compiles and runs anything. Nothing panics; what compiles prints, and
// compiles again to a program that prints the same; what comes out is JSON, or what
// went in.
func FuzzStatement(f *testing.F) {
	seeds(f, func(source, payload string) { f.Add(source, payload, false) })
	f.Fuzz(func(t *testing.T, source, payload string, old bool) {
		v := sql.V20160323
		if old {
			v = sql.V20151008
		}
		p, err := sql.Compile(source, v)
		if err != nil {
			return
		}
		printed := p.String()
		q, err := sql.Compile(printed, v)
		if err != nil {
			t.Fatalf("%q printed as %q, which does not compile: %v", source, printed, err)
		}
		if again := q.String(); again != printed {
			t.Fatalf("%q printed as %q, and that as %q", source, printed, again)
		}
		in := sql.NewInput(published("a/b/c", payload), world{})
		out, matched, err := p.Run(context.Background(), in)
		if err == nil && matched && len(out) > 0 && string(out) != payload && !json.Valid(out) {
			t.Fatalf("%q over %q gave %q", source, payload, out)
		}
		in.Release()
		if strings.Contains(source, "rand") || strings.Contains(source, "uuid") || strings.Contains(strings.ToLower(source), "trace") {
			return
		}
		in = sql.NewInput(published("a/b/c", payload), world{})
		out2, matched2, err2 := q.Run(context.Background(), in)
		if string(out2) != string(out) || matched2 != matched || (err2 == nil) != (err == nil) {
			t.Fatalf("%q gave %q, %v, %v; printed as %q it gave %q, %v, %v", source, out, matched, err, printed, out2, matched2, err2)
		}
		in.Release()
	})
}

// FuzzTemplate does the same for templates.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"a/${topic(2)}/b", "$$aws/${x}", "${{'a': 1}}", "${", "${}", "$", "${a}${b}", "${'}'}"} {
		f.Add(s, `{"a":1}`)
	}
	f.Fuzz(func(t *testing.T, source, payload string) {
		tpl, err := sql.CompileTemplate(source, "", nil)
		if err != nil {
			return
		}
		in := sql.NewInput(published("a/b/c", payload), world{})
		defer in.Release()
		out, err := tpl.Render(context.Background(), in)
		if err == nil && utf8.ValidString(source) && !utf8.ValidString(out) {
			t.Fatalf("%q over %q gave %q", source, payload, out)
		}
	})
}

// FuzzPayload compares the scanner with encoding/json: both take the same payloads for
// JSON, but for what is no UTF-8 or nested deeper than the limit.
func FuzzPayload(f *testing.F) {
	for _, s := range []string{
		`{}`, `{"a":1}`, `{"a":1,"a":2}`, `{"a":{"b":[1,2,{"c":null}]},"d":"\u00e9\n"}`, ` [1, -0.5e+10, "x", true, false, null] `,
		`{"a":1,}`, `{"a"}`, `[1,]`, `01`, `-`, `1.`, `.5`, `"\x"`, "\"\x01\"", "\"\xff\"", `"\ud800"`, `{"a":1} x`, "", " ", `nul`, `"abcdefgh\"ijklmnop"`, `{"":0}`,
	} {
		f.Add(s)
	}
	star, err := sql.Compile("SELECT {'p': *} AS v, a, a.b AS ab, get(a, 1) AS g, *, 1 AS one FROM 't'", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, payload string) {
		if strings.Count(payload, "[")+strings.Count(payload, "{") > 500 {
			return
		}
		in := sql.NewInput(published("t", payload), world{})
		defer in.Release()
		out, _, err := star.Run(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := unmarshal(string(out), &got); err != nil {
			t.Fatalf("%q gave %q: %v", payload, out, err)
		}
		v, _ := got["v"].(map[string]any)
		if valid := json.Valid([]byte(payload)) && utf8.ValidString(payload); valid != (len(v) == 1) && got["v"] == nil {
			t.Fatalf("%q: JSON is %v, gave %q", payload, valid, out)
		}
		var want map[string]any
		if unmarshal(payload, &want) != nil || !utf8.ValidString(payload) || want == nil {
			return
		}
		b, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		if _, overwritten := want["v"]; overwritten {
			return
		}
		c, err := json.Marshal(v["p"])
		if err != nil {
			t.Fatal(err)
		}
		if string(b) != string(c) {
			t.Fatalf("%q came out as %s, want %s", payload, c, b)
		}
	})
}

// unmarshal keeps the text of numbers, so that none is out of range.
func unmarshal(s string, to any) error {
	if !json.Valid([]byte(s)) {
		return errors.New("not JSON")
	}
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	return d.Decode(to)
}
