package runtimes_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/topicwire/topicwire/bridge/emulator/runtimes"
)

func TestInstall(t *testing.T) {
	dir := t.TempDir()
	for name, c := range map[string]runtimes.Client{"main.cjs": runtimes.Node(), "main.py": runtimes.Python()} {
		file, err := c.Install(dir)
		if err != nil || filepath.Base(file) != name {
			t.Fatalf("got %q, %v", file, err)
		}
		want, err := os.ReadFile(file)
		if err != nil || len(want) == 0 {
			t.Fatalf("%s: %d bytes, %v", file, len(want), err)
		}
		// Somebody has changed it: it is put right, and nothing else is left there.
		if err := os.WriteFile(file, []byte("changed"), 0o600); err != nil {
			t.Fatal(err)
		}
		before, err := os.ReadDir(filepath.Dir(file))
		if err != nil {
			t.Fatal(err)
		}
		again, err := c.Install(dir)
		if err != nil || again != file {
			t.Fatalf("again: got %q, %v", again, err)
		}
		if got, err := os.ReadFile(file); err != nil || string(got) != string(want) {
			t.Errorf("%s was not put right: %v", file, err)
		}
		if after, err := os.ReadDir(filepath.Dir(file)); err != nil || len(after) != len(before) {
			t.Errorf("%d files, %d before, %v", len(after), len(before), err)
		}
	}
}

func TestInstallWhereNothingCanBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := runtimes.Node().Install(file); err == nil {
		t.Error("a file is taken for a folder")
	}
}
