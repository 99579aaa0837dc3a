package yamldoc_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzLoad never panics, and every problem stands at a place that exists.
func FuzzLoad(f *testing.F) {
	files, err := filepath.Glob("testdata/*.case")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		input, _, _ := strings.Cut(string(data), line)
		f.Add([]byte(input))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l := newLoader()
		for _, n := range l.Parse("doc.yaml", data) {
			var d document
			tree := l.Decode(n, &d)
			l.Check(tree, &d)
			tree.InText("name", 2, 3)
		}
		lines := strings.Split(strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(data), "\ufeff")), "\n")
		for _, p := range l.Problems() {
			if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || p.Column > utf8.RuneCountInString(lines[p.Line-1])+1 {
				t.Errorf("%v: no such place", p)
			}
			if p.Source != lines[p.Line-1] {
				t.Errorf("%v: shows %q, and the line is %q", p, p.Source, lines[p.Line-1])
			}
			if strings.Contains(p.Message+p.Remedy, "s3cret") && !strings.Contains(string(data), "s3cret") {
				t.Errorf("%v: shows a secret", p)
			}
		}
	})
}
