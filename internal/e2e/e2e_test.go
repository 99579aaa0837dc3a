// Package e2e holds the tests that drive the real binary with real clients:
// mosquitto's, mqtt.js in Chromium, the aws command line.
package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// binary is the program under test, built once for all tests.
var binary testkit.Binary //nolint:gochecknoglobals // built once per test process

func TestMain(m *testing.M) {
	code := m.Run()
	binary.Close()
	os.Exit(code) //nolint:forbidigo // the only way to end a TestMain
}

// example reads an example's configuration and puts its listeners on free ports.
func example(t *testing.T, name string) string {
	t.Helper()
	return freePorts(t, filepath.Join(testkit.Root(), "examples", name, "config.yaml"))
}

// freePorts writes a copy of a configuration beside nothing else, with its paths made
// absolute and its listeners on free ports, and returns the copy's path.
func freePorts(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Dir(path)
	var out []string
	for line := range strings.Lines(string(text)) {
		for _, key := range []string{"path: ", "rules_dir: "} {
			if before, after, ok := strings.Cut(line, key); ok && strings.TrimSpace(before) == "" {
				line = before + key + filepath.Join(dir, strings.TrimSpace(after)) + "\n"
			}
		}
		line = strings.NewReplacer("127.0.0.1:1883", "127.0.0.1:0", "127.0.0.1:8080", "127.0.0.1:0").Replace(line)
		out = append(out, line)
	}
	config := strings.Join(out, "")
	if !strings.Contains(config, "\nlisten:") {
		config += "\nlisten: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}\n"
	}
	copied := filepath.Join(t.TempDir(), "config.yaml")
	if err := os.WriteFile(copied, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return copied
}

// serveDefault runs the repository's own config.yaml on free ports.
func serveDefault(t *testing.T) *testkit.Server {
	t.Helper()
	return testkit.Serve(t, binary.Path(t), freePorts(t, filepath.Join(testkit.Root(), "config.yaml")))
}
