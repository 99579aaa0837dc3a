package sql_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/rules/sql"
)

func TestSourceLimits(t *testing.T) {
	for _, c := range []struct{ name, source, want string }{
		{"long", "SELECT '" + strings.Repeat("x", 300<<10) + "'", "1:1: the source has 307209 bytes, more than 262144"},
		{"parentheses", "SELECT " + strings.Repeat("(", 200) + "1" + strings.Repeat(")", 200), "1:108: nested more than 100 deep"},
		{"calls", "SELECT " + strings.Repeat("abs(", 200) + "1" + strings.Repeat(")", 200), "1:408: nested more than 100 deep"},
		{"signs", "SELECT " + strings.Repeat("- ", 200) + "1", "1:208: nested more than 100 deep"},
		{"NOT", "SELECT " + strings.Repeat("NOT ", 200) + "a", "1:408: nested more than 100 deep"},
		{"arrays", "SELECT " + strings.Repeat("[", 200), "1:108: nested more than 100 deep"},
		{"queries", "SELECT " + strings.Repeat("(SELECT a FROM ", 200), "1:1501: nested more than 100 deep"},
		{"sums", "SELECT a" + strings.Repeat(" + a", 2000), "1:4006: the expression has more than 1000 operators below each other"},
		{"path", "SELECT a" + strings.Repeat(".a", 2000), "1:211: more than 100 steps behind each other"},
		{"alias", "SELECT a AS a" + strings.Repeat(".a", 100), "1:77: an alias has at most 32 parts"},
		{"variable", "SET @" + strings.Repeat("v", 65) + " = 1 SELECT 1", "1:5: a variable's name has at most 64 characters, this one has 65"},
		{"pattern", "SELECT regexp_matches(a, '((x{100}){100}){100}')", "1:26: the regular expression is too large: invalid repeat count"},
	} {
		_, err := sql.Compile(c.source, "")
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: got %v, want %s", c.name, err, c.want)
		}
	}
	if _, err := sql.Compile("SELECT a"+strings.Repeat(", a + 1 AS a", 5000)+" FROM 't'", ""); err != nil {
		t.Errorf("many columns: %v", err)
	}
}

// TestWork runs statements that try to take more than their share.
func TestWork(t *testing.T) {
	big := `{"s":"` + strings.Repeat("a", 100_000) + `","e":[` + strings.TrimSuffix(strings.Repeat(`{"v":1},`, 10_000), ",") + `]}`
	for _, c := range []struct {
		name, statement string
		want            error
	}{
		{"replace grows", "SELECT VALUE replace(s, 'a', s) FROM 't'", sql.ErrTooMuchWork},
		{"replace of nothing grows", "SELECT VALUE replace(s, '', s) FROM 't'", sql.ErrTooMuchWork},
		{"queries multiply", "SELECT (SELECT (SELECT VALUE v FROM e) AS x FROM e) AS y FROM 't'", sql.ErrTooMuchWork},
		{"the payload in every row", "SELECT (SELECT s AS x, v FROM e) AS y FROM 't'", sql.ErrTooMuchWork},
		{"variables double", "SET @a = s + s, @b = @a + @a SELECT length(@b) AS n FROM 't'", sql.ErrVariableSize},
		{"a variable is too large", "SET @a = * SELECT 1 AS n FROM 't'", sql.ErrVariableSize},
		{"transform grows", "SELECT transform('enrichArray', {'s': substring(s, 0, 100)}, e) AS x FROM 't'", sql.ErrTransformSize},
		{"transform grows much", "SELECT transform('enrichArray', {'s': s}, e) AS x FROM 't'", sql.ErrTooMuchWork},
		{"get in every row", "SELECT (SELECT VALUE get(e, 9999).v FROM e) AS x FROM 't'", sql.ErrTooMuchWork},
		{"IN in every row", "SELECT (SELECT VALUE 5 IN e FROM e) AS x FROM 't'", sql.ErrTooMuchWork},
		{"a match in every character", "SELECT VALUE length(regexp_replace(s, '(a.*z)|a', 'b')) FROM 't'", sql.ErrTooMuchWork},
		{"and what is caught stays", "SELECT VALUE get_or_default(replace(s, '', s), 1) FROM 't'", sql.ErrTooMuchWork},
		{"pads are bounded", "SELECT VALUE length(lpad(s, 1e30)) FROM 't'", nil},
		{"much is fine", "SELECT upper(s) AS s, (SELECT v FROM e) AS e FROM 't'", nil},
	} {
		p, err := sql.Compile(c.statement, "")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		in := sql.NewInput(published("t", big), world{})
		_, _, err = p.Run(context.Background(), in)
		if !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
		in.Release()
	}
}

func TestTemplateWork(t *testing.T) {
	tpl, err := sql.CompileTemplate(strings.Repeat("${s}", 2000), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	in := sql.NewInput(published("t", `{"s":"`+strings.Repeat("a", 100_000)+`"}`), world{})
	defer in.Release()
	if _, err := tpl.Render(context.Background(), in); !errors.Is(err, sql.ErrTooMuchWork) {
		t.Errorf("got %v, want %v", err, sql.ErrTooMuchWork)
	}
}

func TestPayloadDepth(t *testing.T) {
	nested := func(n int) string {
		return `{"a":` + strings.Repeat("[", n) + strings.Repeat("]", n) + `,"b":1}`
	}
	for n, want := range map[int]string{10: `{"b":1}`, 511: `{"b":1}`, 512: `{}`, 100_000: `{}`} {
		if got := outcome("SELECT b FROM 't'", "", published("t", nested(n))); got != want {
			t.Errorf("%d deep: got %s, want %s", n, got, want)
		}
		if got := outcome("SELECT * FROM 't'", "", published("t", nested(n))); got != nested(n) {
			t.Errorf("%d deep: the payload came out changed", n)
		}
	}
}

// TestSharedInput runs many programs of both versions over one input, in both orders.
func TestSharedInput(t *testing.T) {
	a, err := sql.Compile("SELECT n / 4 AS q, s FROM 't' WHERE n > 5", sql.V20160323)
	if err != nil {
		t.Fatal(err)
	}
	b, err := sql.Compile("SET @n = n SELECT @n / 4 AS q, * FROM 't'", sql.V20151008)
	if err != nil {
		t.Fatal(err)
	}
	c, err := sql.Compile("SELECT s FROM 't' WHERE n > 50", "")
	if err != nil {
		t.Fatal(err)
	}
	want := map[*sql.Program]string{a: `{"q":2,"s":"x"}`, b: `{"q":2.5,"n":10.0,"s":"x"}`, c: ""}
	for _, order := range [][]*sql.Program{{a, b, c}, {c, b, a}, {b, c, a}} {
		in := sql.NewInput(published("t", `{"n":10.0,"s":"x"}`), world{})
		for _, p := range order {
			out, _, err := p.Run(context.Background(), in)
			if string(out) != want[p] || err != nil {
				t.Errorf("%v gave %s, %v, want %s", p, out, err, want[p])
			}
		}
		in.Release()
	}
}

// TestOutputIsTheCallers holds on to outputs while the memory of the input is reused.
func TestOutputIsTheCallers(t *testing.T) {
	p, err := sql.Compile("SELECT n, upper(s) AS s FROM 't'", "")
	if err != nil {
		t.Fatal(err)
	}
	var outs [][]byte
	for i := range 50 {
		in := sql.NewInput(published("t", fmt.Sprintf(`{"n":%d,"s":"x%d"}`, i, i)), world{})
		out, _, err := p.Run(context.Background(), in)
		if err != nil {
			t.Fatal(err)
		}
		outs = append(outs, out)
		in.Release()
	}
	for i, out := range outs {
		if want := fmt.Sprintf(`{"n":%d,"s":"X%d"}`, i, i); string(out) != want {
			t.Errorf("output %d became %s", i, out)
		}
	}
}
