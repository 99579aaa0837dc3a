package config_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/config"
)

// manyRules is a configuration file with n rules.
func manyRules(n int) string {
	var b strings.Builder
	b.WriteString("functions:\n  hello: {http: \"http://127.0.0.1:9000/\"}\nrules:\n")
	for i := range n {
		fmt.Fprintf(&b, `  - name: rule_%d
    sql: SELECT deviceId, temperature, topic(2) AS site FROM 'a/%d/+' WHERE temperature > 30
    actions:
      - lambda: {function: hello, reply: {topic: "a/${topic(2)}/reply", qos: 1}}
`, i, i)
	}
	return b.String()
}

func BenchmarkLoad10000Rules(b *testing.B) {
	path := filepath.Join(b.TempDir(), "config.yaml")
	writeFile(b, path, manyRules(10_000))
	for b.Loop() {
		c, err := config.LoadWith(path, environment)
		if err != nil || len(c.Rules) != 10_000 {
			b.Fatal(err)
		}
	}
}

func BenchmarkLoad10000RuleFiles(b *testing.B) {
	dir := b.TempDir()
	writeFile(b, filepath.Join(dir, "config.yaml"), "rules_dir: rules\n")
	for i := range 10_000 {
		writeFile(b, filepath.Join(dir, "rules", fmt.Sprintf("r%d.json", i)),
			fmt.Sprintf(`{"sql": "SELECT deviceId, topic(2) AS site FROM 'a/%d/+' WHERE temperature > 30", "actions": [{"republish": {"topic": "b/${topic(2)}"}}]}`, i))
	}
	for b.Loop() {
		c, err := config.LoadWith(filepath.Join(dir, "config.yaml"), environment)
		if err != nil || len(c.Rules) != 10_000 {
			b.Fatal(err)
		}
	}
}
