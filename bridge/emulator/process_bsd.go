//go:build unix && !linux

package emulator

import (
	"syscall"
	"time"
)

// endWithParent: only Linux can.
func endWithParent(*syscall.SysProcAttr) {}

// awaitEnd: Wait does it.
func awaitEnd(int) {}

// usage: read from /proc, which only Linux has.
func usage(int) (resident uint64, cpu time.Duration) { return 0, 0 }

func (p *process) peakMemory() int { return 0 }
