package e2e

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// block is a fenced block of a document.
type block struct{ section, language, text string }

// blocks finds the fenced blocks of a Markdown file.
func blocks(t *testing.T, path string) []block {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var found []block
	var section string
	open := false
	for line := range strings.Lines(string(text)) {
		switch {
		case strings.HasPrefix(line, "```") && open:
			open = false
		case strings.HasPrefix(line, "```"):
			open = true
			found = append(found, block{section: section, language: strings.TrimSpace(line[3:])})
		case open:
			found[len(found)-1].text += line
		case strings.HasPrefix(line, "## "):
			section = strings.TrimSpace(line[3:])
		}
	}
	return found
}

// pick returns the n-th block of a language in a section of the README.
func pick(t *testing.T, section, language string, n int) string {
	t.Helper()
	for _, b := range blocks(t, filepath.Join(testkit.Root(), "README.md")) {
		if b.section == section && b.language == language {
			if n == 0 {
				return b.text
			}
			n--
		}
	}
	t.Fatalf("the README has no such %s block under %q", language, section)
	return ""
}

// The quick start, as written, in a clean clone of what is committed.
func TestQuickStart(t *testing.T) {
	git := testkit.Need(t, "git", "git")
	testkit.Need(t, "make", "make")
	for _, address := range []string{"127.0.0.1:1883", "127.0.0.1:8080"} {
		l, err := net.Listen("tcp", address)
		if err != nil {
			testkit.Missing(t, "the quick start needs "+address+": "+err.Error())
		}
		l.Close()
	}
	dir := t.TempDir()
	// What the README clones from GitHub, git takes from this repository.
	env := append(os.Environ(), "GIT_CONFIG_COUNT=2",
		"GIT_CONFIG_KEY_0=url."+testkit.Root()+".insteadOf", "GIT_CONFIG_VALUE_0=https://github.com/topicwire/topicwire",
		"GIT_CONFIG_KEY_1=safe.directory", "GIT_CONFIG_VALUE_1=*")
	if r := testkit.Command(t, nil, git, "-C", testkit.Root(), "rev-parse", "HEAD"); r.Code != 0 {
		testkit.Missing(t, "this is no git checkout: "+r.Stderr)
	}

	serve := exec.Command("sh", "-ec", pick(t, "Quick start", "sh", 0))
	serve.Dir, serve.Env = dir, env
	serve.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // so that make's child ends too
	var out testkit.Output
	serve.Stdout, serve.Stderr = &out, &out
	if err := serve.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { _ = serve.Wait(); close(exited) }()
	t.Cleanup(func() {
		_ = syscall.Kill(-serve.Process.Pid, syscall.SIGTERM)
		<-exited
	})
	ctx, cancel := context.WithTimeout(t.Context(), 4*testkit.Patience) // it compiles the program
	defer cancel()
	go func() {
		select {
		case <-exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	if _, err := out.Wait(ctx, isReady); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}

	want := pick(t, "Quick start", "json", 0)
	for _, command := range []string{
		pick(t, "Quick start", "sh", 1),
		`mosquitto_rr -V mqttv5 -t hello/ada -e hello/ada/reply -m '{"n":1}' -W 20`,
	} {
		call := exec.Command("sh", "-ec", command)
		call.Dir = filepath.Join(dir, "topicwire")
		answer, err := call.CombinedOutput()
		if err != nil {
			t.Fatalf("%s: %v: %s\n%s", command, err, answer, &out)
		}
		sameJSON(t, want, string(answer))
	}
}

// isReady finds the log's line; the words for people need a terminal.
func isReady(line string) bool {
	var entry struct{ Message string }
	return json.Unmarshal([]byte(line), &entry) == nil && entry.Message == "ready"
}

// The other blocks of the README: the statement gives what is printed below it, and the
// configuration is one that the server takes.
func TestReadmeBlocks(t *testing.T) {
	command := strings.TrimPrefix(strings.TrimSpace(pick(t, "Rules", "sh", 0)), "bin/topicwire")
	r := testkit.Command(t, nil, "sh", "-c", binary.Path(t)+command)
	if r.Code != 0 {
		t.Fatalf("exit status %d: %s", r.Code, r.Stderr)
	}
	sameJSON(t, pick(t, "Rules", "json", 0), r.Stdout)

	dir := t.TempDir()
	testkit.WriteFiles(t, dir, map[string]string{"config.yaml": pick(t, "Functions", "yaml", 0) + pick(t, "Rules", "yaml", 0)})
	for _, path := range []string{"examples", "bootstrap"} {
		if err := os.Symlink(filepath.Join(testkit.Root(), "examples"), filepath.Join(dir, path)); err != nil {
			t.Fatal(err)
		}
	}
	if r := testkit.Command(t, nil, binary.Path(t), "check", "--config", filepath.Join(dir, "config.yaml")); r.Code != 0 {
		t.Errorf("the README's configuration is refused: %s", r.Stderr)
	}

	dir = t.TempDir()
	testkit.WriteFiles(t, dir, map[string]string{"config.yaml": `rules:
  - name: alarms
    sql: SELECT * FROM 'rooms/+/temperature'
    actions:
      - lambda:
          functon: cool
`})
	check := exec.Command(binary.Path(t), "check")
	check.Dir = dir
	said, _ := check.CombinedOutput()
	if want := pick(t, "Configuration", "", 0); !strings.HasPrefix(string(said), want) {
		t.Errorf("the README shows\n%s\nand check says\n%s", want, said)
	}

	t.Setenv("DEVICE_SECRET", "which is as long as it has to be")
	const url = "{http: \"http://127.0.0.1:9/\"}"
	for section, base := range map[string]string{
		"When a function fails": "functions: {ingest: " + url + "}\n",
		"What is kept":          "",
		"Who may connect":       "",
		"Plain WebSockets, long polling and HTTP streams": "functions: {chat: " + url + ", room: " + url + "}\n",
	} {
		dir := t.TempDir()
		testkit.WriteFiles(t, dir, map[string]string{"config.yaml": base + pick(t, section, "yaml", 0), "passwords": ""})
		if r := testkit.Command(t, nil, binary.Path(t), "check", "--config", filepath.Join(dir, "config.yaml")); r.Code != 0 {
			t.Errorf("the README's configuration under %q is refused: %s", section, r.Stderr)
		}
	}
}
