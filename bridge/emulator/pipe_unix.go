//go:build unix

package emulator

import (
	"errors"
	"net"
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

// newChannels makes n connected pairs of sockets: ours, and those that a process is
// given when it starts. They are closed on exec.
func newChannels(n int) (ours []net.Conn, theirs []*os.File, err error) {
	for range n {
		nc, file, err := newChannel()
		if err != nil {
			closeAll(ours)
			closeAll(theirs)
			return nil, nil, err
		}
		ours, theirs = append(ours, nc), append(theirs, file)
	}
	return ours, theirs, nil
}

func newChannel() (net.Conn, *os.File, error) {
	syscall.ForkLock.RLock() // between making them and marking them nothing is started
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fds[0])
		syscall.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	own, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer func() { _ = own.Close() }() // net has a copy of it
	nc, err := net.FileConn(own)
	if err != nil {
		return nil, nil, errors.Join(err, theirs.Close())
	}
	if u, ok := nc.(*net.UnixConn); ok {
		err = u.SetWriteBuffer(2 * maxInline) // a few KB on some systems
	}
	if err != nil {
		return nil, nil, errors.Join(err, nc.Close(), theirs.Close())
	}
	return nc, theirs, nil
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
