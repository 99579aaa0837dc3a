package yamldoc_test

import (
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/config/yamldoc"
)

// TestInText puts a mark into a text and finds it again in the file, however the text
// is written. The mark is @ in the file; its line and column in the decoded text are
// found by decoding.
func TestInText(t *testing.T) {
	t.Parallel()
	for name, doc := range map[string]string{
		"plain":                 "name: SELECT * FROM @x\n",
		"plain over lines":      "name: SELECT *\n  FROM 'x'\n\n  WHERE @x\n",
		"plain first":           "comment: a\nname: x@\n",
		"single quoted":         "name: 'SELECT ''it'' @ x'\n",
		"single over lines":     "name: 'SELECT ''it''\n    FROM @ x'\n",
		"double quoted":         `name: "SELECT \"a\"\t\\ \u00e4 \x41 @ x"` + "\n",
		"double surrogates":     `name: "a\ud83d\ude00@ x"` + "\n",
		"double over lines":     "name: \"SELECT \\\n    a,\n    \\ @ x\"\n",
		"double breaks":         `name: "SELECT *\nFROM 'a'\n  WHERE @ x"` + "\n",
		"literal":               "name: |\n  SELECT *\n    FROM 'a'\n\n  WHERE @ x\n",
		"literal kept":          "name: |+\n  SELECT *\n  WHERE @ x\n\n\ncomment: a\n",
		"literal indented":      "name: |2\n    SELECT *\n   WHERE @ x\n",
		"literal with comment":  "name: | # the statement\n  SELECT *\n  WHERE @ x\n",
		"folded":                "name: >\n  SELECT *\n  FROM 'a'\n\n  WHERE @ x\n",
		"folded more indented":  "name: >-\n  SELECT\n      a,\n      @b\n  FROM x\n",
		"umlauts":               "name: \"äöü 😀 @ x\"\n",
		"umlauts in folded":     "name: >\n  äöü\n  😀 @ x\n",
		"tabs":                  "name: |\n  a\tb\n  \t@ x\n",
		"windows":               "name: |\r\n  SELECT *\r\n  WHERE @ x\r\n",
		"json":                  "{\"comment\": \"\",\n  \"name\": \"SELECT \\\"a\\\" @ x\"}\n",
		"flow":                  "{name: SELECT @ x, comment: c}\n",
		"after a reference":     "name: ${HOST} and ${COUNT} @ x\n",
		"after an escape":       "name: $${HOST} @ x\n",
		"reference over lines":  "name: |\n  ${HOST}\n  ${file:/lines}\n  @ x\n",
		"anchored":              "x-a: &a 'SELECT @ x'\nname: *a\n",
		"tagged":                "name: !!str SELECT @ x\n",
		"empty lines at begin":  "name: |\n\n\n  SELECT @ x\n",
		"block in block":        "auth: {user: u, password: secret}\nname: |-\n\n      SELECT\n       @ x\n",
		"mark at the very end":  "name: SELECT x @\n",
		"nothing before it":     "name: '@ x'\n",
		"quote at line's start": "name: \"\n  SELECT\n  @ x\"\n",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLoader()
			var d document
			tree := l.Decode(l.Parse("doc.yaml", []byte(doc))[0], &d)
			if problems := l.Problems(); len(problems) > 0 {
				t.Fatal(problems)
			}
			before, _, ok := strings.Cut(d.Name, "@")
			if !ok {
				t.Fatalf("no mark in %q", d.Name)
			}
			line := strings.Count(before, "\n") + 1
			column := len([]rune(before[strings.LastIndexByte(before, '\n')+1:])) + 1

			raw, _, _ := strings.Cut(strings.ReplaceAll(doc, "\r\n", "\n"), "@")
			want := yamldoc.Position{
				File: "doc.yaml", Line: strings.Count(raw, "\n") + 1,
				Column: len([]rune(raw[strings.LastIndexByte(raw, '\n')+1:])) + 1,
			}
			if got := tree.InText("name", line, column); got != want {
				t.Errorf("%d:%d of %q is at %v, want %v", line, column, d.Name, got, want)
			}
		})
	}
}

// TestInTextElsewhere asks for places that the text does not have.
func TestInTextElsewhere(t *testing.T) {
	t.Parallel()
	l := newLoader()
	var d document
	tree := l.Decode(l.Parse("doc.yaml", []byte("comment: c\nname: abc\nauth: {user: u}\n"))[0], &d)
	for _, c := range []struct {
		path         string
		line, column int
		want         string
	}{
		{"name", 1, 4, "doc.yaml:2:10"},
		{"name", 9, 9, "doc.yaml:2:10"},
		{"name", 0, 0, "doc.yaml:2:7"},
		{"auth", 1, 1, "doc.yaml:3:1"},
		{"auth.password", 1, 1, "doc.yaml:3:1"},
		{"nowhere", 1, 1, "doc.yaml:1:1"},
	} {
		if got := tree.InText(c.path, c.line, c.column).String(); got != c.want {
			t.Errorf("%s %d:%d is at %s, want %s", c.path, c.line, c.column, got, c.want)
		}
	}
}
