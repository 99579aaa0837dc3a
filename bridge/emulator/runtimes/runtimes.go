// Package runtimes holds the Lambda runtime clients for Node.js and Python that
// topicwire brings along. They speak the Runtime API over one plain socket and send
// a response and the request for the next event in one write, which halves the round
// trips of an ordinary HTTP client.
package runtimes

import (
	"crypto/sha256"
	_ "embed" // the clients below
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
)

// Client is one embedded runtime client.
type Client struct {
	// Name is the file's name.
	Name string
	// Source is the program.
	Source []byte
}

//go:embed node.cjs
var node []byte

//go:embed python.py
var python []byte

// Node returns the client for Node.js 18 and later.
func Node() Client { return Client{Name: "node.cjs", Source: node} }

// Python returns the client for Python 3.8 and later.
func Python() Client { return Client{Name: "python.py", Source: python} }

// Install writes the client below dir, in a folder named after its content, and
// returns the file's path. Several processes may do so at the same time.
func (c Client) Install(dir string) (string, error) {
	sum := sha256.Sum256(c.Source)
	folder := filepath.Join(dir, "runtimes", hex.EncodeToString(sum[:8]))
	file := filepath.Join(folder, c.Name)
	if b, err := os.ReadFile(file); err == nil && string(b) == string(c.Source) {
		return file, nil
	}
	// Functions may run as another user, who must be able to read the client.
	if err := os.MkdirAll(folder, 0o755); err != nil { //nolint:gosec // readable on purpose, see above
		return "", fmt.Errorf("runtime client: %w", err)
	}
	tmp, err := os.CreateTemp(folder, c.Name+".*")
	if err != nil {
		return "", fmt.Errorf("runtime client: %w", err)
	}
	_, err = tmp.Write(c.Source)
	if e := tmp.Chmod(0o644); err == nil {
		err = e
	}
	if e := tmp.Close(); err == nil {
		err = e
	}
	if err == nil {
		err = os.Rename(tmp.Name(), file)
	}
	if err != nil {
		_ = os.Remove(tmp.Name())
		return "", fmt.Errorf("runtime client: %w", err)
	}
	return file, nil
}
