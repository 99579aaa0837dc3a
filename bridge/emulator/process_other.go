//go:build !unix

package emulator

import (
	"errors"
	"os"
	"time"
)

var errNoUnix = errors.New("the Lambda emulator needs Linux, macOS or another Unix")

type process struct{}

func startProcess([]string, string, []string, []*os.File, string) (*process, error) {
	return nil, errNoUnix
}

func (*process) wait() string           { return "" }
func (*process) kill()                  {}
func (*process) terminate()             {}
func (*process) cpuTime() time.Duration { return 0 }
func (*process) running() int           { return 0 }
func (*process) peakMemory() int        { return 0 }

func usage(int) (resident uint64, cpu time.Duration) { return 0, 0 }

func isRoot() bool { return false }
