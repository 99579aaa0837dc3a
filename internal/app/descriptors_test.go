package app

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/topicwire/topicwire/internal/config"
)

func TestDescriptors(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"sets/b/a/key": "set", "secret": "secret", "sets/b/large": string(make([]byte, maxDescriptors+1))} {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(filepath.Join(dir, "secret"), filepath.Join(dir, "sets", "b", "link")); err != nil {
		t.Fatal(err)
	}
	var d Descriptors
	if _, err := d.Find(t.Context(), "b", "a/key"); !errors.Is(err, errNoDescriptors) {
		t.Errorf("without a folder: %v", err)
	}
	d.Load(&config.Config{RuleSettings: config.RuleSettings{Descriptors: filepath.Join(dir, "sets")}})
	if got, err := d.Find(t.Context(), "b", "a/key"); string(got) != "set" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for _, c := range []struct {
		bucket, key string
		want        error
	}{
		{"b", "missing", fs.ErrNotExist},
		{"c", "a/key", fs.ErrNotExist},
		{"b", "large", errDescriptorsTooBig},
		{"..", "secret", errDescriptorsPlace},
		{"b", "../../secret", errDescriptorsPlace},
		{"", "b/a/key", errDescriptorsPlace},
		{"/", "etc/passwd", errDescriptorsPlace},
	} {
		if got, err := d.Find(t.Context(), c.bucket, c.key); !errors.Is(err, c.want) {
			t.Errorf("%s/%s: got %q, %v, want %v", c.bucket, c.key, got, err, c.want)
		}
	}
	if got, err := d.Find(t.Context(), "b", "link"); err == nil {
		t.Errorf("a link led out of the folder: %q", got)
	}
	d.Load(&config.Config{})
	if _, err := d.Find(t.Context(), "b", "a/key"); !errors.Is(err, errNoDescriptors) {
		t.Errorf("without a folder again: %v", err)
	}
}
