package sql_test

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/rules/sql"
)

// pairs reads a file of sources, each with the exact message below it, indented. \n
// in a source is a line break.
func pairs(tb testing.TB, file string) [][2]string {
	tb.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var all [][2]string
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	for i := 0; i+1 < len(lines); i += 2 {
		all = append(all, [2]string{strings.ReplaceAll(lines[i], `\n`, "\n"), strings.TrimPrefix(lines[i+1], "    ")})
	}
	return all
}

func TestRefused(t *testing.T) {
	for _, c := range pairs(t, "testdata/refused.pairs") {
		_, err := sql.Compile(c[0], "")
		if err == nil {
			t.Errorf("%s: accepted, want %s", c[0], c[1])
			continue
		}
		if err.Error() != c[1] {
			t.Errorf("%s\n  got  %v\n  want %s", c[0], err, c[1])
		}
	}
}

func TestSnippet(t *testing.T) {
	for _, c := range []struct{ source, snippet string }{
		{"SELECT a FORM 't'", "SELECT a FORM 't'\n         ^"},
		{"SELECT a,\n\tb == 1\nFROM 't'", "\tb == 1\n\t  ^"},
		{"SELECT 'äöü' b FROM 't'", "SELECT 'äöü' b FROM 't'\n             ^"},
		{"SELECT", "SELECT\n      ^"},
		{"SELECT " + strings.Repeat("x, ", 100) + "y y " + strings.Repeat(", x", 100), "… " + strings.Repeat("x, ", 19) + "y y " + strings.Repeat(", x", 19) + ",…\n" + strings.Repeat(" ", 61) + "^"},
	} {
		_, err := sql.Compile(c.source, "")
		var e *sql.Error
		if !errors.As(err, &e) {
			t.Fatalf("%s: %v is no *sql.Error", c.source, err)
		}
		if e.Snippet != c.snippet {
			t.Errorf("%.40s\n  got\n%s\n  want\n%s", c.source, e.Snippet, c.snippet)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		statement string
		version   sql.Version
		want      string
	}{
		{"SELECT a FROM 't'", "", ""},
		{"SELECT upper() FROM 't'", "", "1:8: upper() takes 1 argument, not 0, and is always Undefined: upper(text)"},
		{"SELECT substring(a) FROM 't'", "", "1:8: substring() takes 2 to 3 arguments, not 1, and is always Undefined: substring(text, from[, to])"},
		{"SELECT newuuid(a) FROM 't'", "", "1:8: newuuid() takes no arguments, not 1, and is always Undefined: newuuid()"},
		{"SELECT sqrt(true) FROM 't'", "", "1:13: sqrt() of a Boolean is always Undefined"},
		{"SELECT mod(a, 'x') FROM 't'", "", "1:15: mod() of a String is always Undefined"},
		{"SELECT a + null AS b FROM 't'", "", "1:10: + with this Null is always Undefined"},
		{"SELECT a > 'high' AS b FROM 't'", "", "1:10: > with the String 'high' is always Undefined"},
		{"SELECT a IN 'x' AS b FROM 't'", "", "1:10: IN with the String 'x' is always Undefined"},
		{"SELECT 1 / 0 AS b FROM 't'", "", "1:10: Int / Int is always Undefined"},
		{"SELECT sqrt(-1) AS b FROM 't'", "", "1:8: sqrt() of this is always Undefined"},
		{"SELECT cast(a AS Date) FROM 't'", "", "1:18: cast knows no type Date in version 2016-03-23 and is always Undefined: use String, Int, Double, Decimal or Boolean"},
		{"SELECT cast(a AS Boolean) FROM 't'", sql.V20151008, "1:18: cast knows no type Boolean in version 2015-10-08 and is always Undefined: use String, Int or Double"},
		{"SELECT regexp_matches(a, '(') FROM 't'", "", "1:26: the regular expression is not valid: missing closing ): (, so the result is always Undefined"},
		{"SELECT parse_time('yyyy-qq', a) FROM 't'", "", "1:19: the time pattern is wrong, so the result is always Undefined: the letter q means nothing; text stands between single quotes"},
		{"SELECT parse_time('yyyy', a, 'Mars') FROM 't'", "", "1:30: no time zone is called 'Mars', so the result is always Undefined"},
		{"SELECT time_to_epoch(a, 'bb') FROM 't'", "", "1:25: the time pattern is wrong, so the result is always Undefined: the letter b means nothing; text stands between single quotes"},
		{"SELECT encode(*, 'hex') FROM 't'", "", "1:18: encode() knows the scheme 'base64'; with any other it is always Undefined"},
		{"SELECT get_mqtt_property('x') FROM 't'", "", "1:26: get_mqtt_property() knows content_type, format_indicator, response_topic and correlation_data; any other name is always Undefined"},
		{"SELECT topic(1), topic(2) FROM 't'", "", "1:18: the key topic stands twice: the later one counts; name them with AS"},
		{"SELECT (SELECT a FROM 'b/c') AS x FROM 't'", "", "1:23: a nested query looks into an Array or an Object, in this String it finds nothing"},
		{"SELECT EXISTS (SELECT a FROM 5) AS x FROM 't'", "", "1:30: a nested query looks into an Array or an Object, in this Int it finds nothing"},
		{"SELECT regexp_matches(a, 'a{') FROM 't'", "", "1:26: the regular expression is not valid: it has a { that begins no repetition; write \\{ for the character, so the result is always Undefined"},
		{"SELECT a FROM 't' WHERE 1 = 2", "", "1:25: the condition is never true: no message will pass"},
	} {
		p, err := sql.Compile(c.statement, c.version)
		if err != nil {
			t.Errorf("%s: %v", c.statement, err)
			continue
		}
		var got []string
		for _, w := range p.Warnings() {
			got = append(got, w.Error())
		}
		if s := strings.Join(got, "\n"); s != c.want {
			t.Errorf("%s\n  got  %s\n  want %s", c.statement, s, c.want)
		}
	}
}

func TestUnknownVersion(t *testing.T) {
	_, err := sql.Compile("SELECT a FROM 't'", "2017-01-01")
	if want := `1:1: unknown SQL version "2017-01-01": use 2016-03-23, 2015-10-08 or beta`; err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if _, err := sql.CompileTemplate("${a}", "x", nil); err == nil {
		t.Error("a template took an unknown version")
	}
}
