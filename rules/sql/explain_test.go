package sql_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/rules/sql"
)

// explain explains a statement over a message with a payload.
func explain(t *testing.T, statement, payload string, env sql.Env) *sql.Explanation {
	t.Helper()
	p, err := sql.Compile(statement, sql.V20160323)
	if err != nil {
		t.Fatal(err)
	}
	in := sql.NewInput(published("a/b", payload), env)
	defer in.Release()
	return p.Explain(context.Background(), in)
}

// lines writes terms as a tree, a line each.
func lines(depth int, terms ...sql.Term) []string {
	var all []string
	for _, t := range terms {
		line := fmt.Sprintf("%s%s = %s %s", strings.Repeat(" ", depth), t.Expression, t.Type, t.Value)
		if t.Name != "" {
			line = t.Name + ": " + line
		}
		if t.Note != "" {
			line += "(" + t.Note + ")"
		}
		all = append(all, line)
		all = append(all, lines(depth+1, t.Parts...)...)
	}
	return all
}

func TestExplainWhere(t *testing.T) {
	for _, c := range []struct {
		where, payload string
		want           []string
	}{
		{"t > 30", `{"t":31.50}`, []string{"t > 30 = Boolean true", " t = Decimal 31.50"}},
		{"t > 30 AND u = 1 AND 2 > 1", `{"t":3,"u":1}`, []string{
			"t > 30 AND u = 1 AND 2 > 1 = Boolean false", " t > 30 AND u = 1 = Boolean false",
			"  t > 30 = Boolean false", "   t = Int 3", "  u = 1 = Boolean true", "   u = Int 1",
		}},
		{"temprature > 30", `{"temperature":31}`, []string{
			"temprature > 30 = Undefined ", ` temprature = Undefined (the payload has no "temprature"; did you mean "temperature"?)`,
		}},
		{"a.b.c = 1", `{"a":{"b":"x"}}`, []string{"a.b.c = 1 = Undefined ", " a.b.c = Undefined (a.b is of type String and has no members)"}},
		{"a.b = 1", `{"a":{}}`, []string{"a.b = 1 = Undefined ", ` a.b = Undefined (a has no "b")`}},
		{"a = 1", "", []string{"a = 1 = Undefined ", " a = Undefined (the payload is empty)"}},
		{"a = 1", "x", []string{"a = 1 = Undefined ", " a = Undefined (the payload is not JSON: invalid character 'x' looking for beginning of value, at byte 1)"}},
		{"a = 1", `{"a":`, []string{"a = 1 = Undefined ", " a = Undefined (the payload is not JSON: unexpected end of JSON input, at byte 5)"}},
		{"a = 1", "{\"a\":\"\xff\"}", []string{"a = 1 = Undefined ", " a = Undefined (the payload is not JSON: it is not UTF-8)"}},
		{"a = 1", strings.Repeat("[", 600) + strings.Repeat("]", 600), []string{"a = 1 = Undefined ", " a = Undefined (the payload is not JSON: it is nested more than 512 deep)"}},
		{"a = 1", "[1]", []string{"a = 1 = Undefined ", " a = Undefined (the payload is of type Array and has no members)"}},
		{"NOT isNull(a)", `{"a":null}`, []string{"NOT isNull(a) = Boolean false", " isNull(a) = Boolean true", "  a = Null null"}},
		{"CASE a WHEN 1 THEN b WHEN 2 THEN c ELSE d END", `{"a":1,"b":true}`, []string{
			"CASE a WHEN 1 THEN b WHEN 2 THEN c ELSE d END = Boolean true", " a = Int 1", " b = Boolean true", " c =  ", " d =  ",
		}},
		{"EXISTS (SELECT * FROM items WHERE n > 1)", `{"items":[{"n":1},{"n":2}]}`, []string{
			"EXISTS (SELECT * FROM items WHERE n > 1) = Boolean true", ` items = Array [{"n":1},{"n":2}]`,
		}},
		{"get(*, 'a')[0].b = -1", `{"a":[{"b":-1}]}`, []string{
			"get(*, 'a')[0].b = -1 = Boolean true", " get(*, 'a')[0].b = Int -1", `  get(*, 'a')[0] = Object {"b":-1}`, `   get(*, 'a') = Array [{"b":-1}]`,
		}},
	} {
		x := explain(t, "SELECT 1 FROM 'a/b' WHERE "+c.where, c.payload, world{})
		if d := cmp.Diff(c.want, lines(0, *x.Where)); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.where, d)
		}
	}
}

func TestExplainColumnsAndVariables(t *testing.T) {
	x := explain(t, "SET @v = a.b SELECT *, @v AS x.y, n.*, missing FROM 'a/b'", `{"a":{"b":"z"},"n":{"m":1}}`, world{})
	want := []string{
		"@v: a.b = String \"z\"",
		"x.y: @v = String \"z\"", `n.*: n = Object {"m":1}`, `missing: missing = Undefined (the payload has no "missing")`,
	}
	if d := cmp.Diff(want, append(lines(0, x.Variables...), lines(0, x.Columns...)...)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if got := string(x.Output); !x.Matched || got != `{"a":{"b":"z"},"n":{"m":1},"x":{"y":"z"},"m":1}` {
		t.Errorf("got %v, %s", x.Matched, got)
	}
	if x := explain(t, "SELECT a FROM 'a/b' WHERE FALSE", `{}`, world{}); x.Columns != nil || x.Matched {
		t.Errorf("columns of a statement that did not match: %v", x.Columns)
	}
}

// What is called outside is called as often as by Run, and what follows a false part
// of WHERE is not called.
func TestExplainCallsOnce(t *testing.T) {
	calls := 0
	x := explain(t, "SELECT aws_lambda('double', *).n + 1 AS n FROM 'a/b'", `{"n":2}`, world{&calls})
	if calls != 1 || string(x.Output) != `{"n":5}` {
		t.Errorf("%d calls, %s", calls, x.Output)
	}
	x = explain(t, "SELECT 1 FROM 'a/b' WHERE n > 2 AND aws_lambda('double', *).n > 1", `{"n":2}`, world{&calls})
	if calls != 1 || x.Where.Parts[1].Type != "" || x.Where.Type != "" {
		t.Errorf("%d calls, %v", calls, lines(0, *x.Where))
	}
}

// A template sees the variables that the explanation showed.
func TestExplainKeepsVariablesForTemplates(t *testing.T) {
	p, err := sql.Compile("SET @id = newuuid() SELECT @id AS id FROM 'a/b'", sql.V20160323)
	if err != nil {
		t.Fatal(err)
	}
	tmpl, err := sql.CompileTemplate("${@id}", sql.V20160323, p)
	if err != nil {
		t.Fatal(err)
	}
	in := sql.NewInput(published("a/b", "{}"), world{})
	defer in.Release()
	x := p.Explain(context.Background(), in)
	got, err := tmpl.Render(context.Background(), in)
	if want := `{"id":"` + got + `"}`; err != nil || want != string(x.Output) {
		t.Errorf("got %s, %v, want the id of %s", got, err, x.Output)
	}
}

// An explanation's result is that of Run, and it can be written as JSON.
func TestExplainAgreesWithRun(t *testing.T) {
	for file, cases := range allCases(t) {
		for _, c := range cases {
			p, err := sql.Compile(c.statement, c.version)
			if err != nil {
				continue
			}
			m := published(c.topic, bytesOf(c.payload))
			in := sql.NewInput(m, world{})
			x := p.Explain(context.Background(), in)
			got := string(x.Output)
			switch {
			case x.Err != nil:
				got = "failed: " + x.Err.Error()
			case !x.Matched:
				got = "no match"
			}
			if got != bytesOf(c.want) {
				t.Errorf("%s: %s: %s: got %s, want %s", file, c.title, c.statement, got, c.want)
			}
			if _, err := json.Marshal(x); err != nil {
				t.Errorf("%s: %s: %v", file, c.statement, err)
			}
			in.Release()
		}
	}
}

// An explanation divides as the statement does.
func TestExplainWithOptions(t *testing.T) {
	p, err := sql.Compile("SELECT n / 2 AS half FROM 't' WHERE n / 2 > 3", "", sql.DecimalDivision)
	if err != nil {
		t.Fatal(err)
	}
	in := sql.NewInput(published("t", `{"n":7}`), world{})
	defer in.Release()
	if x := p.Explain(context.Background(), in); string(x.Output) != `{"half":3.5}` || x.Err != nil {
		t.Errorf("got %s, %v", x.Output, x.Err)
	}
}

// A key that is nearly as long as the payload is not compared letter by letter.
func TestExplainLongNames(t *testing.T) {
	name := strings.Repeat("n", 100_000)
	x := explain(t, "SELECT 1 AS a FROM 't' WHERE "+name+"a = 1", `{"`+name+`b":1}`, world{})
	if x.Matched || !strings.HasPrefix(x.Where.Parts[0].Note, "the payload has no") {
		t.Errorf("got %v, %.100s", x.Matched, x.Where.Parts[0].Note)
	}
}
