//go:build linux && !race

package listen

import (
	"syscall"
	"unsafe"
)

// readNow is read(2) on a descriptor that does not block.
func readNow(fd int, p []byte) (int, error) { return rawCall(syscall.SYS_READ, fd, p) }

// writeNow is write(2) on a descriptor that does not block.
func writeNow(fd int, p []byte) (int, error) { return rawCall(syscall.SYS_WRITE, fd, p) }

func rawCall(trap uintptr, fd int, p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	n, _, errno := syscall.RawSyscall(trap, uintptr(fd), uintptr(unsafe.Pointer(&p[0])), uintptr(len(p))) //nolint:gosec // the one way to make the call
	if errno != 0 {
		return -1, errno
	}
	return int(n), nil
}
