//go:build unix

package emulator_test

import (
	"archive/zip"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge/emulator"
)

func TestMissingRuntime(t *testing.T) {
	path := os.Getenv("PATH")
	t.Setenv("PATH", t.TempDir())
	for runtime, install := range map[string]string{
		"nodejs20.x": "install Node.js 18 or later, for instance with: apt install nodejs",
		"python":     "install Python 3.8 or later, for instance with: apt install python3",
		"go":         "install Go from https://go.dev/dl/, or build the function elsewhere and use runtime: provided",
	} {
		f := start(t, emulator.Config{Runtime: runtime}, js(`exports.handler = async () => 1;`))
		_, err := f.Invoke(t.Context(), emulator.Invocation{})
		var bad *emulator.UnavailableError
		if !errors.Is(err, emulator.ErrUnavailable) || !errors.As(err, &bad) || !strings.Contains(bad.Problem, "runtime "+runtime+" needs ") ||
			!strings.Contains(bad.Problem, "not installed") || bad.Remedy != install {
			t.Errorf("%s: got %v", runtime, err)
		}
		if runtime != "nodejs20.x" {
			continue
		}
		// Once it is installed the function works, without a restart.
		t.Setenv("PATH", path)
		need(t, "node")
		eventually(t, "the function works", func() bool {
			_, err := f.Invoke(t.Context(), emulator.Invocation{Payload: []byte("{}")})
			return err == nil
		})
		t.Setenv("PATH", t.TempDir())
	}
}

func TestMissingCode(t *testing.T) {
	t.Parallel()
	need(t, "node")
	for name, c := range map[string]struct {
		cfg     emulator.Config
		files   map[string]string
		problem string
	}{
		"no folder":      {emulator.Config{Runtime: "nodejs", Path: "nowhere"}, nil, "there is no "},
		"no bootstrap":   {emulator.Config{Runtime: "provided"}, nil, "there is no program "},
		"not executable": {emulator.Config{Runtime: "provided", Path: "plain"}, map[string]string{"plain": ""}, "is not executable"},
		"does not build": {emulator.Config{Runtime: "go"}, map[string]string{"go.mod": "module x\n", "main.go": "package main\nfunc main() { nonsense() }\n"}, "undefined: nonsense"},
		"no archive":     {emulator.Config{Runtime: "nodejs", Path: "x.zip"}, map[string]string{"x.zip": "no zip"}, "not a valid zip file"},
	} {
		t.Run(name, func(t *testing.T) {
			f := start(t, c.cfg, c.files, func(o *emulator.Options) {
				if err := os.Chmod(filepath.Join(o.BaseDir, "plain"), 0o600); err != nil && !errors.Is(err, fs.ErrNotExist) {
					t.Fatal(err)
				}
			})
			_, err := f.Invoke(t.Context(), emulator.Invocation{})
			if !errors.Is(err, emulator.ErrUnavailable) || !strings.Contains(err.Error(), c.problem) {
				t.Errorf("got %v, want %q", err, c.problem)
			}
			if name == "no folder" {
				write(t, f.dir, map[string]string{"nowhere/index.js": `exports.handler = async () => 1;`})
				eventually(t, "the function works", func() bool {
					_, err := f.Invoke(t.Context(), emulator.Invocation{Payload: []byte("{}")})
					return err == nil
				})
			}
		})
	}
}

// entry is a file of an archive.
type entry struct {
	name, text string
	mode       fs.FileMode
}

func archive(t *testing.T, path string, entries ...entry) {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := zip.NewWriter(file)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		h.SetMode(e.mode)
		out, err := w.CreateHeader(h)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := out.Write([]byte(e.text)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), file.Close()); err != nil {
		t.Fatal(err)
	}
}

func TestZip(t *testing.T) {
	t.Parallel()
	need(t, "node")
	path := filepath.Join(t.TempDir(), "code.zip")
	archive(t, path, entry{"lib/", "", fs.ModeDir | 0o755}, entry{"lib/v.js", `module.exports = 'zipped';`, 0o600},
		entry{"link.js", "lib/v.js", fs.ModeSymlink | 0o777}, entry{"app/index.js", `exports.handler = async () => require('../link');`, 0o600})
	f := start(t, emulator.Config{Runtime: "nodejs", Path: path, Handler: "app/index.handler"}, nil)
	if r := f.invoke(t, "{}"); string(r.Payload) != `"zipped"` {
		t.Fatalf("got %s", r.Payload)
	}
	archive(t, path+".new", entry{"app/index.js", `exports.handler = async () => 'another';`, 0o600})
	if err := os.Rename(path+".new", path); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new archive serves", func() bool { return string(f.invoke(t, "{}").Payload) == `"another"` })
}

func TestZipProvided(t *testing.T) {
	path := filepath.Join(t.TempDir(), "code.zip")
	archive(t, path, entry{"bootstrap", "#!/bin/sh\nexit 7\n", 0o755})
	f := start(t, emulator.Config{Runtime: "provided.al2", Path: path}, nil)
	if d := document(t, f.invoke(t, "{}")); !strings.HasSuffix(d.Message, "exit status 7") {
		t.Errorf("got %+v", d)
	}
}

func TestZipThatLeadsOut(t *testing.T) {
	for _, e := range []entry{
		{"../evil", "x", 0o600}, {"/evil", "x", 0o600}, {"link", "../..", fs.ModeSymlink | 0o777}, {"link", "/etc", fs.ModeSymlink | 0o777},
	} {
		dir := t.TempDir()
		archive(t, filepath.Join(dir, "code.zip"), e)
		f := start(t, emulator.Config{Runtime: "provided", Path: filepath.Join(dir, "code.zip")}, nil)
		_, err := f.Invoke(t.Context(), emulator.Invocation{})
		if !errors.Is(err, emulator.ErrUnavailable) || !strings.Contains(err.Error(), "leads out") {
			t.Errorf("%s -> %s: got %v", e.name, e.text, err)
		}
	}
}

func TestInvalidEntrypoint(t *testing.T) {
	f := start(t, emulator.Config{Runtime: "provided"}, map[string]string{"bootstrap": "no program\n"})
	if d := document(t, f.invoke(t, "{}")); d.Type != "Runtime.InvalidEntrypoint" || !strings.HasSuffix(d.Message, "exec format error") {
		t.Errorf("got %+v", d)
	}
}

func TestScriptFile(t *testing.T) {
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Path: "fn.mjs", Handler: "run"}, map[string]string{"fn.mjs": `export const run = async () => process.env._HANDLER;`})
	if r := f.invoke(t, "{}"); string(r.Payload) != `"fn.run"` {
		t.Errorf("got %s", r.Payload)
	}
}

// TestEnvironment checks what a function gets from our environment: nothing secret.
func TestEnvironment(t *testing.T) {
	need(t, "node")
	t.Setenv("TOPICWIRE_TEST_SECRET", "s")
	f := start(t, emulator.Config{Runtime: "nodejs", Environment: map[string]string{"TZ": "Asia/Tokyo", "BOTH": "function"}},
		js(`exports.handler = async () => [process.env.TOPICWIRE_TEST_SECRET ?? null, process.env.TZ, process.env.BOTH, process.env.OPTION, process.cwd() === process.env.LAMBDA_TASK_ROOT];`),
		func(o *emulator.Options) { o.Env = map[string]string{"BOTH": "option", "OPTION": "o"} })
	if r := f.invoke(t, "{}"); string(r.Payload) != `[null,"Asia/Tokyo","function","o",true]` {
		t.Errorf("got %s", r.Payload)
	}
}

func TestUser(t *testing.T) {
	if os.Geteuid() != 0 {
		f := start(t, emulator.Config{Runtime: "provided", User: "root"}, map[string]string{"bootstrap": "#!/bin/sh\n"})
		if d := document(t, f.invoke(t, "{}")); !strings.Contains(d.Message, "only root can run functions as user") {
			t.Errorf("got %+v", d)
		}
		return
	}
	dir, err := os.MkdirTemp("", "topicwire-user-") //nolint:usetesting // another user cannot read t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, dir, map[string]string{"bootstrap": "#!/bin/sh\nid -un; exit 1\n"})
	f := start(t, emulator.Config{Runtime: "provided", Path: dir, User: "nobody"}, nil)
	f.invoke(t, "{}")
	f.log.await(t, `"message":"nobody"`)
	if strings.Contains(f.log.String(), "run as root") {
		t.Error("a function of another user is said to run as root")
	}
}

func TestConfigCheck(t *testing.T) {
	good := emulator.Config{Runtime: "nodejs20.x", Path: "x"}
	change := func(f func(*emulator.Config)) emulator.Config {
		c := good
		f(&c)
		return c
	}
	for name, c := range map[string]struct {
		cfg  emulator.Config
		want []string
	}{
		"good":            {good, nil},
		"nothing":         {emulator.Config{}, []string{"runtime: is missing; write runtime: go, provided, nodejs or python", "path: the function has no code; add path: FOLDER (or a file, or a .zip file)"}},
		"unknown runtime": {change(func(c *emulator.Config) { c.Runtime = "java21" }), []string{`runtime: "java21" is not a runtime we know; use go, provided, nodejs or python; other languages run as provided, with a bootstrap program`}},
		"odd version":     {change(func(c *emulator.Config) { c.Runtime = "nodejsx" }), []string{`runtime: "nodejsx" is not a runtime we know; use go, provided, nodejs or python; other languages run as provided, with a bootstrap program`}},
		"handler":         {change(func(c *emulator.Config) { c.Handler = "handler" }), []string{`handler: "handler" names no file; write FILE.FUNCTION, for instance index.handler`}},
		"handler of file": {change(func(c *emulator.Config) { c.Handler, c.Path = "handler", "x.js" }), nil},
		"timeout":         {change(func(c *emulator.Config) { c.Timeout = 16 * 60e9 }), []string{"timeout: 16m0s is out of range; use more than 0 and at most 15m"}},
		"max_wait":        {change(func(c *emulator.Config) { c.MaxWait = -1 }), []string{"max_wait: -1ns is negative; use a positive duration such as 30s"}},
		"memory":          {change(func(c *emulator.Config) { c.Memory = -1 }), []string{"memory: -1 is out of range; use 1 to 1048576"}},
		"per environment": {change(func(c *emulator.Config) { c.Concurrency, c.ConcurrencyPerEnvironment = 2, 4 }), []string{"concurrency_per_environment: 4 is more than concurrency, 2; raise concurrency"}},
		"prewarm":         {change(func(c *emulator.Config) { c.Prewarm = 11 }), []string{"prewarm: 11 is more than the 10 processes that concurrency allows; raise concurrency or lower prewarm"}},
		"python": {
			change(func(c *emulator.Config) { c.Runtime, c.ConcurrencyPerEnvironment = "python3.12", 2 }),
			[]string{"concurrency_per_environment: python runs one invocation in a process at a time; remove it, and raise concurrency instead"},
		},
		"reload":   {change(func(c *emulator.Config) { c.Reload = "never" }), []string{`reload: "never" is neither auto nor off; write reload: auto or reload: off`}},
		"variable": {change(func(c *emulator.Config) { c.Environment = map[string]string{"_HANDLER": "x"} }), []string{"environment._HANDLER: is set by the emulator; remove it"}},
		"bad name": {change(func(c *emulator.Config) { c.Environment = map[string]string{"A=B": "x"} }), []string{"environment.A=B: is not a possible environment variable; use a name without = and a value without NUL"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			c.cfg.Check(func(path, problem, remedy string) { got = append(got, path+": "+problem+"; "+remedy) })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
			if _, err := emulator.New("fn", c.cfg, emulator.Options{}); (err != nil) != (c.want != nil) {
				t.Errorf("New: %v", err)
			}
		})
	}
}

func TestRunTwice(t *testing.T) {
	f := start(t, emulator.Config{Runtime: "provided"}, nil)
	f.log.await(t, "unavailable")
	if err := f.Run(context.Background()); err == nil {
		t.Error("Run can be called twice")
	}
}
