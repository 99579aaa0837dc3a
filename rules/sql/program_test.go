package sql_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/rules/sql"
)

func TestString(t *testing.T) {
	for _, c := range [][2]string{
		{"select * from 'a/+' where x>1 and not (y=2 or z in [1,2])", "SELECT * FROM 'a/+' WHERE x > 1 AND NOT (y = 2 OR z IN [1, 2])"},
		{"SELECT a.b AS x.y, b.*, 1", "SELECT a.b AS x.y, b.*, 1"},
		{`set @a = "it's", @b=@a select value @b.c[0].d`, "SET @a = 'it''s', @b = @a SELECT VALUE @b.c[0].d"},
		{"SELECT (value) - 1 FROM 't'", "SELECT (value) - 1 FROM 't'"},
		{"SELECT VALUE value, b", ""},
		{"SELECT (a + b) + c, a + (b + c), (a * b) + c, a * (b + c), - - a, -(a - b)", "SELECT a + b + c, a + (b + c), a * b + c, a * (b + c), - -a, -(a - b)"},
		{"SELECT ((a = b) = c), (NOT a) = b, NOT a = b", "SELECT (a = b) = c, (NOT a) = b, NOT a = b"},
		{"SELECT case x when 1 then 'a' else null end", "SELECT CASE x WHEN 1 THEN 'a' ELSE NULL END"},
		{"SELECT exists(select * from e as v where v=1), (select value n from e)", "SELECT EXISTS (SELECT * FROM e AS v WHERE v = 1), (SELECT VALUE n FROM e)"},
		{"SELECT {'a':[true,false,],}", ""},
		{"SELECT {'a':[true,false],}", "SELECT {'a': [TRUE, FALSE]}"},
		{"SELECT cast(a as int), Upper(a)", "SELECT cast(a AS int), Upper(a)"},
	} {
		p, err := sql.Compile(c[0], "")
		if err != nil {
			if c[1] != "" {
				t.Errorf("%s: %v", c[0], err)
			}
			continue
		}
		if got := p.String(); got != c[1] {
			t.Errorf("%s\n  got  %s\n  want %s", c[0], got, c[1])
		}
	}
}

func TestFilterAndVersion(t *testing.T) {
	for _, c := range []struct {
		statement, filter string
		ok                bool
	}{
		{"SELECT * FROM 'a/+/#'", "a/+/#", true},
		{"SELECT *", "", false},
		{"SELECT (SELECT a FROM b) AS x FROM '$aws/things/+/shadow/update' WHERE y = 1", "$aws/things/+/shadow/update", true},
	} {
		p, err := sql.Compile(c.statement, sql.Beta)
		if err != nil {
			t.Fatal(err)
		}
		if filter, ok := p.Filter(); filter != c.filter || ok != c.ok {
			t.Errorf("%s: the filter is %q, %v", c.statement, filter, ok)
		}
		if p.Version() != sql.Beta {
			t.Errorf("%s: the version is %s", c.statement, p.Version())
		}
	}
}

// TestFunctionsOf2016 holds the list of functions that 2015-10-08 does not have.
func TestFunctionsOf2016(t *testing.T) {
	var got []string
	for _, f := range sql.Functions() {
		if f.Since == sql.V20160323 {
			got = append(got, f.Name)
		}
	}
	want := []string{"decode", "encode", "get_or_default", "indexof", "isUndefined", "length", "numbytes", "parse_time", "time_to_epoch", "transform"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
