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
// went in, and comes out the second time too.
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
		defer in.Release()
		if lower := strings.ToLower(source); strings.Contains(lower, "rand") || strings.Contains(lower, "uuid") || strings.Contains(lower, "trace") {
			return
		}
		if again, _, err := p.Run(context.Background(), in); err == nil && string(again) != string(out) {
			t.Fatalf("%q over %q gave %q, and over the same input %q", source, payload, out, again)
		}
		other := sql.NewInput(published("a/b/c", payload), world{})
		defer other.Release()
		out2, matched2, err2 := q.Run(context.Background(), other)
		if string(out2) != string(out) || matched2 != matched || (err2 == nil) != (err == nil) {
			t.Fatalf("%q gave %q, %v, %v; printed as %q it gave %q, %v, %v", source, out, matched, err, printed, out2, matched2, err2)
		}
	})
}

// FuzzTemplate does the same for templates.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{"a/${topic(2)}/b", "$$aws/${x}", "${{'a': 1}}", "${", "${}", "$", "${a}${b}", "${'}'}", "${a}/${transform('enrichArray', {'x': a}, [{'y': 1}])}/${a}", "${time_to_epoch('2020 CET', 'yyyy z')}"} {
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

// FuzzRegexp runs patterns over texts. The three functions agree: a text matches exactly
// if it has a first match, and where nothing matches nothing is replaced.
func FuzzRegexp(f *testing.F) {
	for _, c := range allCases(f)["regexp.case"] {
		for i, quoted := range strings.Split(c.title, "'") {
			if i%2 == 1 {
				f.Add(quoted, "aab\r\n", "<$0>")
			}
		}
	}
	p, err := sql.Compile("SELECT regexp_matches(s, p) AS m, regexp_substr(s, p) AS f, regexp_replace(s, p, r) AS r, s FROM 't'", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, pattern, text, by string) {
		payload, err := json.Marshal(map[string]string{"p": pattern, "s": text, "r": by})
		if err != nil {
			t.Fatal(err)
		}
		in := sql.NewInput(published("t", string(payload)), world{})
		defer in.Release()
		out, _, err := p.Run(context.Background(), in)
		if err != nil {
			return // too much work
		}
		var got struct {
			M       *bool
			F, R, S *string
		}
		if err := json.Unmarshal(out, &got); err != nil {
			t.Fatalf("%s gave %s: %v", payload, out, err)
		}
		if (got.M != nil && *got.M) != (got.F != nil) || got.M == nil && (got.F != nil || got.R != nil) {
			t.Fatalf("%s gave %s", payload, out)
		}
		if got.M != nil && !*got.M && got.R != nil && *got.R != *got.S {
			t.Fatalf("%s gave %s", payload, out)
		}
	})
}

// FuzzTimes writes and reads times in any pattern.
func FuzzTimes(f *testing.F) {
	for _, c := range allCases(f)["times.case"] {
		if quoted := strings.Split(c.title, "'"); len(quoted) > 3 {
			f.Add(quoted[1], quoted[3], "Europe/Berlin", int64(1481825251155))
		}
	}
	p, err := sql.Compile("SELECT time_to_epoch(s, p) AS a, parse_time(p, n, z) AS b, time_to_epoch(parse_time('yyyy-MM-dd HH:mm:ss.SSS ZZ', n, z), 'yyyy-MM-dd HH:mm:ss.SSS xxx') AS c, n FROM 't'", "")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, text, pattern, zone string, ms int64) {
		payload, err := json.Marshal(map[string]any{"p": pattern, "s": text, "z": zone, "n": ms})
		if err != nil {
			t.Fatal(err)
		}
		in := sql.NewInput(published("t", string(payload)), world{})
		defer in.Release()
		out, _, err := p.Run(context.Background(), in)
		var got struct{ C, N *int64 }
		if err != nil || json.Unmarshal(out, &got) != nil {
			t.Fatalf("%s gave %s, %v", payload, out, err)
		}
		const recent = 10 * 365 * 24 * 3600 * 1000 // before, offsets had seconds, which ZZ does not tell
		if got.C != nil && *got.C != *got.N && *got.N > recent {
			t.Fatalf("%s: what was written is read as %d: %s", payload, *got.C, out)
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
