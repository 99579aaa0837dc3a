//go:build unix

package emulator_test

import (
	"context"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/topicwire/topicwire/bridge/emulator"
)

func TestReload(t *testing.T) {
	t.Parallel()
	need(t, "node")
	gate := filepath.Join(t.TempDir(), "gate.txt")
	version := func(v string) map[string]string {
		return js(`const v = '` + v + `'; exports.handler = async (e) => { ` +
			`if (e.wait) await new Promise((r) => { const t = setInterval(() => { if (require('fs').existsSync(e.wait)) { clearInterval(t); r(); } }, 2); }); return v; };`)
	}
	f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 1, Timeout: 20e9}, version("one"))
	f.invoke(t, "{}")
	old := make(chan string, 1)
	go func() { old <- string(f.invoke(t, `{"wait":"`+gate+`"}`).Payload) }()
	f.awaitEnvironments(t, "busy", 1)
	write(t, f.dir, version("twenty"))
	// The one process is busy with the old code: this is answered by the new one.
	if r := f.invoke(t, "{}"); string(r.Payload) != `"twenty"` {
		t.Errorf("got %s, want the new code's answer", r.Payload)
	}
	write(t, filepath.Dir(gate), map[string]string{"gate.txt": ""})
	if got := <-old; got != `"one"` {
		t.Errorf("the invocation that was going on answered %s", got)
	}
	// A mistake, and its correction: every answer is one of the three.
	write(t, f.dir, js(`exports.handler = async ( => 1`))
	for r := f.invoke(t, "{}"); r.FunctionError == ""; r = f.invoke(t, "{}") {
		if string(r.Payload) != `"twenty"` {
			t.Fatalf("got %s", r.Payload)
		}
	}
	write(t, f.dir, version("corrected"))
	for r := f.invoke(t, "{}"); string(r.Payload) != `"corrected"`; r = f.invoke(t, "{}") {
		if d := document(t, r); d.Type != "Runtime.UserCodeSyntaxError" {
			t.Fatalf("got %+v", d)
		}
	}
}

// TestReloadUnderLoad changes the code again and again while it is invoked.
func TestReloadUnderLoad(t *testing.T) {
	t.Parallel()
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 2, Timeout: 20e9}, js(`exports.handler = async () => 0;`))
	ctx, cancel := context.WithCancel(context.Background())
	var callers sync.WaitGroup
	for range 4 {
		callers.Go(func() {
			for ctx.Err() == nil {
				if r := f.invoke(t, "{}"); r.FunctionError != "" { //nolint:contextcheck // what has begun is to end well
					t.Errorf("got %s", r.Payload)
					return
				}
			}
		})
	}
	for i := 1; i <= 3; i++ {
		// Written aside and renamed: a file half written is a mistake of its own.
		write(t, f.dir, map[string]string{"index.txt": strings.Repeat(" ", i) + `exports.handler = async () => ` + strconv.Itoa(i) + `;`})
		if err := os.Rename(filepath.Join(f.dir, "index.txt"), filepath.Join(f.dir, "index.js")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the new code serves", func() bool { return string(f.invoke(t, "{}").Payload) == strconv.Itoa(i) })
	}
	cancel()
	callers.Wait()
}

func TestReloadBySymlink(t *testing.T) {
	t.Parallel()
	need(t, "node")
	dir := t.TempDir()
	write(t, dir, map[string]string{"a/index.js": `exports.handler = async () => 'a';`, "b/index.js": `exports.handler = async () => 'b';`})
	link := filepath.Join(dir, "current")
	if err := os.Symlink("a", link); err != nil {
		t.Fatal(err)
	}
	f := start(t, emulator.Config{Runtime: "nodejs", Path: link}, nil)
	if r := f.invoke(t, "{}"); string(r.Payload) != `"a"` {
		t.Fatalf("got %s", r.Payload)
	}
	if err := os.Symlink("b", link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new target serves", func() bool { return string(f.invoke(t, "{}").Payload) == `"b"` })
}
