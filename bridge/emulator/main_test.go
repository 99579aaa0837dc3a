//go:build unix

package emulator_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

// built is the folder of the program that buildOnce built.
var built atomic.Pointer[string]

// buildOnce builds testdata/gofn for all the tests that do not test building.
var buildOnce = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "topicwire-gofn-")
	if err != nil {
		return "", err
	}
	built.Store(&dir)
	program := filepath.Join(dir, "bootstrap")
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", program, "./testdata/gofn").CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%w: %s", err, out)
	}
	return program, nil
})

func TestMain(m *testing.M) {
	// A version manager's stand-in takes half a second to find the interpreter.
	if out, err := exec.Command("python3", "-c", "import sys; print(sys.executable)").Output(); err == nil {
		dir := filepath.Dir(strings.TrimSpace(string(out)))
		_ = os.Setenv("PATH", dir+string(os.PathListSeparator)+os.Getenv("PATH"))
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if dir := built.Load(); dir != nil {
			_ = os.RemoveAll(*dir)
		}
		os.Exit(code) //nolint:forbidigo // goleak leaves it to us
	}))
}
