//go:build unix && (!linux || race)

package listen

import "syscall"

// The race detector takes a write and the read of what was written for an order of
// events, but sees it in package syscall's calls alone.

// readNow is read(2) on a descriptor that does not block.
func readNow(fd int, p []byte) (int, error) { return syscall.Read(fd, p) }

// writeNow is write(2) on a descriptor that does not block.
func writeNow(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }
