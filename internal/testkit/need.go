// Package testkit starts the real program and its real peers for the tests: the
// topicwire binary, mosquitto's clients, Node, Python and Chromium.
package testkit

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Need returns the path of a command. Without it the test is skipped, saying what to
// install; in CI, where nothing may be skipped, it fails.
func Need(tb testing.TB, command, debianPackage string) string {
	tb.Helper()
	if path, err := exec.LookPath(command); err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/usr/local/bin"} { // not on every user's PATH
		if path := filepath.Join(dir, command); executable(path) {
			return path
		}
	}
	Missing(tb, command+" is missing: apt-get install "+debianPackage)
	return ""
}

// NeedFile returns path if the file is there; otherwise it does what [Need] does.
func NeedFile(tb testing.TB, path, remedy string) string {
	tb.Helper()
	if _, err := os.Stat(path); err != nil {
		Missing(tb, path+" is missing: "+remedy)
	}
	return path
}

// Missing ends a test that lacks something: skipped on a developer's machine, failed
// in CI.
func Missing(tb testing.TB, why string) {
	tb.Helper()
	if os.Getenv("CI") == "true" {
		tb.Fatal(why)
	}
	tb.Skip(why)
}

func executable(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir() && info.Mode()&0o111 != 0
}
