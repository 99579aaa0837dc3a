//go:build unix

package emulator

import (
	"errors"
	"os"
	"syscall"
)

// newPipe makes a pipe whose read end never blocks a read: see output.
func newPipe() (r, w *os.File, fd int, err error) {
	r, w, err = os.Pipe() // both ends are closed on exec
	if err != nil {
		return nil, nil, 0, err
	}
	conn, err := r.SyscallConn()
	if err == nil {
		err = conn.Control(func(n uintptr) { fd = int(n) })
	}
	if err != nil {
		return nil, nil, 0, errors.Join(err, r.Close(), w.Close())
	}
	return r, w, fd, nil
}

// readNow reads what there is; 0 and false if that is nothing, true at the end.
func readNow(fd int, b []byte) (n int, end bool) {
	for {
		n, err := syscall.Read(fd, b)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return 0, false
		case err != nil || n == 0:
			return 0, true
		default:
			return n, false
		}
	}
}
