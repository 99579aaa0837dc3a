//go:build unix && !linux

package listen

import "syscall"

// readNow is read(2) on a descriptor that does not block.
func readNow(fd int, p []byte) (int, error) { return syscall.Read(fd, p) }

// writeNow is write(2) on a descriptor that does not block.
func writeNow(fd int, p []byte) (int, error) { return syscall.Write(fd, p) }
