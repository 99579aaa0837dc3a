package sql_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/topicwire/topicwire/rules/sql"
)

// TestMeasuringDisturbsNoOutput runs statements that measure a value in the middle of
// their output, over and over with the memory of the runs before.
func TestMeasuringDisturbsNoOutput(t *testing.T) {
	const statement = "SELECT a, b, transform('enrichArray', o, e) AS t, length(@v) AS n FROM 't'"
	p, err := sql.Compile("SET @v = e "+statement, "")
	if err != nil {
		t.Fatal(err)
	}
	tpl, err := sql.CompileTemplate("${a}/${b}/${transform('enrichArray', o, e)}/${a}", "", p)
	if err != nil {
		t.Fatal(err)
	}
	in := sql.NewInput(published("t", `{"a":"first","b":[1, 2],"o":{"id":7},"e":[{"x":1},{"x":2}]}`), world{})
	defer in.Release()
	want := `{"a":"first","b":[1,2],"t":[{"x":1,"id":7},{"x":2,"id":7}],"n":17}`
	wantText := `first/[1,2]/[{"x":1,"id":7},{"x":2,"id":7}]/first`
	for i := range 4 {
		out, _, err := p.Run(context.Background(), in)
		if string(out) != want || err != nil {
			t.Errorf("run %d: got %s, %v, want %s", i, out, err, want)
		}
		text, err := tpl.Render(context.Background(), in)
		if text != wantText || err != nil {
			t.Errorf("rendering %d: got %s, %v, want %s", i, text, err, wantText)
		}
	}
}

// A run that ends because nobody waits for it any more has no result, also where a
// function's failure would be caught.
func TestTheEndIsNotCaught(t *testing.T) {
	p, err := sql.Compile("SELECT get_or_default(aws_lambda('echo', 1), 'none') AS a FROM 't'", "")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	in := sql.NewInput(published("t", `{}`), world{})
	defer in.Release()
	if out, _, err := p.Run(ctx, in); !errors.Is(err, context.Canceled) {
		t.Errorf("got %s, %v, want %v", out, err, context.Canceled)
	}
	if out, _, err := p.Run(context.Background(), in); string(out) != `{"a":1}` || err != nil {
		t.Errorf("got %s, %v", out, err)
	}
}

// TestWorkInNestedQueries runs statements that do little for each element, and much
// for all of them.
func TestWorkInNestedQueries(t *testing.T) {
	elements := "[" + strings.TrimSuffix(strings.Repeat("1,", 20_000), ",") + "]"
	var members strings.Builder
	for i := range 2_000 {
		members.WriteString(`"k` + strings.Repeat("x", i%7) + string(rune('a'+i%26)) + `":` + "1,")
	}
	long := strings.Repeat("9", 4_000)
	text := strings.Repeat("a", 20_000)
	chain := func(op, operand string, n int) string { return operand + strings.Repeat(" "+op+" "+operand, n) }
	for _, c := range []struct{ name, expression, payload string }{
		{"members looked for", chain("+", "k", 500), `{` + members.String() + `"e":` + elements + `}`},
		{"nothing looked for", "concat(" + strings.TrimSuffix(strings.Repeat("z,", 20_000), ",") + ")", `{"e":` + elements + `}`},
		{"remainders", chain("%", "b", 200), `{"b":1E900,"e":` + elements + `}`},
		{"small remainders", "b % 1E-900 + " + chain("+", "b % 3E-900", 200), `{"b":1E900,"e":` + elements + `}`},
		{"texts of numbers", chain("-", "s", 100), `{"s":"` + long + `","e":` + elements + `}`},
		{"equal texts", chain("AND", "s = r", 400), `{"s":"` + text + `","r":"` + text + `","e":` + elements + `}`},
		{"zones", chain("+", "time_to_epoch(s, 'yyyy VV')", 100), `{"s":"2020 America/Nowhere_at_all_in_the_world_that_is_known","e":` + elements + `}`},
		{"random identifiers", chain("=", "newuuid()", 1), `{"e":` + elements + `}`},
	} {
		p, err := sql.Compile("SELECT (SELECT VALUE (SELECT VALUE "+c.expression+" FROM e) FROM e) AS x FROM 't'", "")
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		in := sql.NewInput(published("t", c.payload), world{})
		if _, _, err = p.Run(context.Background(), in); !errors.Is(err, sql.ErrTooMuchWork) {
			t.Errorf("%s: got %v, want %v", c.name, err, sql.ErrTooMuchWork)
		}
		in.Release()
	}
}

// TestConcurrentMemory runs one program in many goroutines: what it remembers of patterns
// and zones is shared.
func TestConcurrentMemory(t *testing.T) {
	p, err := sql.Compile("SELECT parse_time('yyyy z', 0, z) AS a, time_to_epoch('2020-01-01 ' + z, 'yyyy-MM-dd VV') AS b, regexp_replace(z, r, '-') AS c FROM 't'", "")
	if err != nil {
		t.Fatal(err)
	}
	messages := map[string]string{
		`{"z":"Europe/Berlin","r":"[a-z]*"}`: `{"a":"1970 CET","b":1577833200000,"c":"-E--/-B--"}`,
		`{"z":"Asia/Tokyo","r":"/$"}`:        `{"a":"1970 JST","b":1577804400000,"c":"Asia/Tokyo"}`,
		`{"z":"Nowhere/At_all","r":"(?=a)"}`: `{}`,
		`{"z":"UTC","r":"."}`:                `{"a":"1970 UTC","b":1577836800000,"c":"---"}`,
	}
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			for range 50 {
				for payload, want := range messages {
					in := sql.NewInput(published("t", payload), world{})
					if out, _, err := p.Run(context.Background(), in); string(out) != want || err != nil {
						t.Errorf("%s gave %s, %v, want %s", payload, out, err, want)
					}
					in.Release()
				}
			}
		})
	}
	running.Wait()
}
