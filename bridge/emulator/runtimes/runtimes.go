// Package runtimes holds the Lambda runtime clients for Node.js and Python that
// topicwire brings along. They speak the Runtime API over one plain socket and send
// a response and the request for the next event in one write, which halves the round
// trips of an ordinary HTTP client.
package runtimes

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
)

//go:embed node/*.cjs python/*.py
var sources embed.FS

// Client is one embedded runtime client.
type Client struct{ folder, main string }

// Node returns the client for Node.js 18 and later.
func Node() Client { return Client{folder: "node", main: "main.cjs"} }

// Python returns the client for Python 3.8 and later.
func Python() Client { return Client{folder: "python", main: "main.py"} }

// Install writes the client below dir, in a folder named after its content, and
// returns the path of the file to run. Several processes may do so at the same time.
func (c Client) Install(dir string) (string, error) {
	files, sum, err := c.read()
	if err != nil {
		return "", fmt.Errorf("runtime client: %w", err)
	}
	target := filepath.Join(dir, "runtimes", c.folder+"-"+sum)
	if complete(target, files) {
		return filepath.Join(target, c.main), nil
	}
	// Functions may run as another user, who must be able to read the client.
	if err := os.MkdirAll(target, 0o755); err != nil { //nolint:gosec // readable on purpose, see above
		return "", fmt.Errorf("runtime client: %w", err)
	}
	for name, text := range files {
		if err := writeWhole(filepath.Join(target, name), text); err != nil {
			return "", fmt.Errorf("runtime client: %w", err)
		}
	}
	return filepath.Join(target, c.main), nil
}

// read returns the client's files and a name for all of their content.
func (c Client) read() (map[string][]byte, string, error) {
	entries, err := fs.ReadDir(sources, c.folder) // in order
	if err != nil {
		return nil, "", err
	}
	files, h := make(map[string][]byte, len(entries)), sha256.New()
	for _, e := range entries {
		text, err := fs.ReadFile(sources, path.Join(c.folder, e.Name()))
		if err != nil {
			return nil, "", err
		}
		files[e.Name()] = text
		_, _ = fmt.Fprintf(h, "%s %d\n%s", e.Name(), len(text), text) // a hash takes everything
	}
	return files, hex.EncodeToString(h.Sum(nil)[:8]), nil
}

// complete reports whether the files are in dir as they should be.
func complete(dir string, files map[string][]byte) bool {
	for name, text := range files {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != string(text) {
			return false
		}
	}
	return true
}

// writeWhole writes a file that nobody sees half written.
func writeWhole(file string, text []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(text)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(tmp.Name()))
	}
	return nil
}
