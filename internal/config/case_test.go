package config_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/topicwire/topicwire/internal/config"
)

var update = flag.Bool("update", false, "write what came out into the .case files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const dashes = "\n----------\n"

// TestCases runs testdata/*.case: files, each under a line "-- NAME --", a line of
// dashes, and what loading config.yaml comes to, word for word.
func TestCases(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.case")
	if err != nil || len(files) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".case"), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(data), dashes)
			dir := t.TempDir()
			for name, text := range archive(input) {
				writeFile(t, filepath.Join(dir, name), text)
			}
			got := strings.ReplaceAll(outcome(dir), dir+string(filepath.Separator), "")
			if *update {
				if err := os.WriteFile(file, []byte(input+dashes+got), 0o600); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("%s (-want +got):\n%s", file, d)
			}
		})
	}
}

// archive takes "-- NAME --" files apart.
func archive(text string) map[string]string {
	files := make(map[string]string)
	name := ""
	for l := range strings.Lines(text) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(l), "-- "); ok && strings.HasSuffix(n, " --") {
			name = strings.TrimSuffix(n, " --")
			files[name] = ""
			continue
		}
		files[name] += l
	}
	delete(files, "")
	return files
}

func writeFile(tb testing.TB, path, text string) {
	tb.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		tb.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
}

// environment is what the cases see.
func environment(name string) (string, bool) {
	v, ok := map[string]string{"PORT": "1884", "TOKEN": "hush-hush", "SITE": "berlin", "WORDS": "not a url"}[name]
	return v, ok
}

// outcome loads the configuration in dir and says what came of it.
func outcome(dir string) string {
	c, err := config.LoadWith(filepath.Join(dir, "config.yaml"), environment)
	if err != nil {
		return err.Error() + "\n"
	}
	var b strings.Builder
	for _, w := range c.Warnings {
		fmt.Fprintln(&b, w)
	}
	for i, r := range c.Rules {
		fmt.Fprintf(&b, "rule %s, version %q, %d actions, at %s\n", r.Name, r.Version, len(r.Actions), c.Where(i))
	}
	for name := range c.Functions {
		fmt.Fprintf(&b, "function %s\n", name)
	}
	fmt.Fprintf(&b, "mqtt %v, http %v\n", c.Listen.MQTT, c.Listen.HTTP)
	if c.Store.Dir != filepath.Join(dir, "data") {
		fmt.Fprintf(&b, "store %q, durability %q, nats %+v\n", c.Store.Dir, c.Store.Durability, c.Store.NATS)
	}
	return b.String()
}
