package rulesimport_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/rulesimport"
)

// doubling makes n lines, each of which names the line after it twice.
func doubling(n int, line string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, line, i, i+1)
	}
	return b.String()
}

// TestBombs reads small files that grow without end. That it ends at all is the point.
func TestBombs(t *testing.T) {
	t.Parallel()
	var aliases strings.Builder
	aliases.WriteString("a0: &a0 [x, x]\n")
	for i := range 60 {
		fmt.Fprintf(&aliases, "a%[2]d: &a%[2]d [*a%[1]d, *a%[1]d]\n", i, i+1)
	}
	merges := strings.NewReplacer("[x, x]", "{x: 1}", "[*", "{<<: [*", "]\n", "]}\n").Replace(aliases.String())
	conditions := strings.ReplaceAll(doubling(60, "  c%[1]d: [c%[2]d, c%[2]d]\n"), "[c", "!And [!Condition c")
	conditions = strings.ReplaceAll(conditions, ", c", ", !Condition c")
	tests := map[string]struct{ text, want string }{
		"aliases": {aliases.String(), "too large when its aliases are written out"},
		"merges":  {merges, "too large when its aliases are written out"},
		"variables": {
			"service: s\nprovider: {}\nfunctions: {f: {events: [{iot: {sql: '${self:custom.v0}'}}]}}\ncustom:\n" +
				doubling(60, "  v%[1]d: ${self:custom.v%[2]d}${self:custom.v%[2]d}\n") + "  v60: x",
			"grows without end",
		},
		"conditions": {cfn("Sql: !If [c0, a, b]", "Conditions:\n"+conditions+"  c60: !Equals [a, a]"), "grows without end"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := rulesimport.Import([]rulesimport.File{{Name: "f", Data: []byte(tt.text)}}, rulesimport.Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("it says %.300v", err)
			}
		})
	}
}
