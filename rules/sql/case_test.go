package sql_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/rules/sql"
)

// A case file holds lines
//
//	expression => JSON
//
// with Undefined, an error ("refused: ...", "failed: ...") or JSON on the right, and
// blocks
//
//	=== title
//	statement, in one or more lines
//	--- message [topic=T] [version=V]
//	payload
//	--- result
//	what came out, "no match", "refused: ..." or "failed: ..."
//
// Lines that begin with # are comments outside of blocks. A payload or result that
// begins with hex: is bytes. "version V" on a line of its own holds for the lines
// below it.
type goldenCase struct {
	title, statement, topic, payload, want string
	version                                sql.Version
}

func readCases(tb testing.TB, file string) []goldenCase {
	tb.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		tb.Fatal(err)
	}
	var cases []goldenCase
	version := sql.Version("")
	lines, blocks, _ := strings.Cut("\n"+string(b), "\n=== ")
	for line := range strings.SplitSeq(lines, "\n") {
		if v, ok := strings.CutPrefix(line, "version "); ok {
			version = sql.Version(v)
			continue
		}
		if line == "" || line[0] == '#' {
			continue
		}
		expression, want, ok := strings.Cut(line, " => ")
		if !ok {
			tb.Fatalf("%s: %q has no =>", file, line)
		}
		if want == "Undefined" {
			want = ""
		}
		cases = append(cases, goldenCase{
			title: expression, statement: "SELECT VALUE " + expression + " FROM 't'",
			topic: "things/myThings/thingOne", payload: "{}", want: want, version: version,
		})
	}
	for block := range strings.SplitSeq(blocks, "\n=== ") {
		if blocks == "" {
			break
		}
		title, rest, _ := strings.Cut(block, "\n")
		statement, rest, ok := strings.Cut(rest, "\n--- message")
		head, rest, ok2 := strings.Cut(rest, "\n")
		payload, want, ok3 := strings.Cut("\n"+rest, "\n--- result\n")
		if !ok || !ok2 || !ok3 {
			tb.Fatalf("%s: block %q is not complete", file, title)
		}
		c := goldenCase{title: title, statement: statement, topic: "t", payload: strings.TrimPrefix(payload, "\n"), want: strings.TrimRight(want, "\n")}
		for f := range strings.FieldsSeq(head) {
			if v, ok := strings.CutPrefix(f, "topic="); ok {
				c.topic = v
			}
			if v, ok := strings.CutPrefix(f, "version="); ok {
				c.version = sql.Version(v)
			}
		}
		cases = append(cases, c)
	}
	return cases
}

func allCases(tb testing.TB) map[string][]goldenCase {
	tb.Helper()
	files, err := filepath.Glob("testdata/*.case")
	if err != nil || len(files) == 0 {
		tb.Fatalf("no case files: %v", err)
	}
	all := map[string][]goldenCase{}
	for _, f := range files {
		all[filepath.Base(f)] = readCases(tb, f)
	}
	return all
}

// bytesOf reads hex: as bytes.
func bytesOf(s string) string {
	h, ok := strings.CutPrefix(s, "hex:")
	if !ok {
		return s
	}
	var b []byte
	for i := 0; i+1 < len(h); i += 2 {
		b = append(b, unhex(h[i])<<4|unhex(h[i+1]))
	}
	return string(b)
}

func unhex(c byte) byte {
	if c >= 'a' {
		return c - 'a' + 10
	}
	return c - '0'
}

func TestCases(t *testing.T) {
	for file, cases := range allCases(t) {
		t.Run(file, func(t *testing.T) {
			for _, c := range cases {
				got := outcome(c.statement, c.version, published(c.topic, bytesOf(c.payload)))
				if got != bytesOf(c.want) {
					t.Errorf("%s\n  statement %s\n  payload   %s\n  got       %s\n  want      %s", c.title, c.statement, c.payload, got, c.want)
				}
			}
		})
	}
}
