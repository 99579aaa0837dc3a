//go:build unix

package listen

import (
	"errors"
	"io"
	"os"
	"syscall"
)

// rawSocket reads and writes a socket directly: a read waits without holding a
// buffer and takes one when bytes are there, a write never waits. Its callbacks are
// bound once, so that a call allocates nothing.
type rawSocket struct {
	conn syscall.RawConn

	buffers *buffers
	into    []byte      // where read puts the bytes; nil = a buffer of its own,
	buf     *readBuffer // which is this
	readN   int
	readErr error
	readFn  func(fd uintptr) bool

	reads, writes uint8 // count them; see choose

	from     []byte
	writeN   int
	writeErr error
	writeFn  func(fd uintptr) bool
}

func (r *rawSocket) open(c syscall.Conn) {
	conn, err := c.SyscallConn()
	if err != nil {
		return // then it is read and written as any net.Conn
	}
	r.conn, r.readFn, r.writeFn = conn, r.onReadable, r.onWritable
	_ = conn.Control(func(fd uintptr) { r.reads, r.writes = uint8(fd), uint8(fd) }) // so that not all sockets count alike
}

func (r *rawSocket) available() bool { return r.conn != nil }

// read waits for bytes and reads them into p, or into a buffer it borrows (see
// taken) if p is nil.
func (r *rawSocket) read(p []byte, b *buffers) (int, error) {
	r.into, r.buffers, r.readN, r.readErr = p, b, 0, nil
	err := r.conn.Read(r.readFn)
	r.into = nil
	if err == nil {
		err = r.readErr
	}
	if err != nil {
		return 0, err
	}
	if r.readN == 0 {
		return 0, io.EOF
	}
	return r.readN, nil
}

// taken hands over the buffer that read borrowed.
func (r *rawSocket) taken() *readBuffer {
	b := r.buf
	r.buf = nil
	return b
}

func (r *rawSocket) onReadable(fd uintptr) bool {
	p := r.into
	if p == nil {
		r.buf = r.buffers.read()
		p = r.buf[:]
	}
	n, err := retry(choose(&r.reads, readNow, syscall.Read), int(fd), p)
	if n <= 0 && r.buf != nil {
		r.buffers.releaseRead(r.buf)
		r.buf = nil
	}
	if errors.Is(err, syscall.EAGAIN) {
		return false
	}
	if err != nil {
		r.readErr = os.NewSyscallError("read", err)
		return true
	}
	r.readN = n
	return true
}

// tryWrite writes as much of p as the socket takes at once.
func (r *rawSocket) tryWrite(p []byte) (int, error) {
	r.from, r.writeN, r.writeErr = p, 0, nil
	err := r.conn.Write(r.writeFn)
	r.from = nil
	if err == nil {
		err = r.writeErr
	}
	return r.writeN, err
}

func (r *rawSocket) onWritable(fd uintptr) bool {
	n, err := retry(choose(&r.writes, writeNow, syscall.Write), int(fd), r.from)
	switch {
	case errors.Is(err, syscall.EAGAIN):
	case err != nil:
		r.writeErr = os.NewSyscallError("write", err)
	default:
		r.writeN = n
	}
	return true // never wait here
}

// choose chooses how to make a system call that never waits: mostly without telling the
// scheduler of it. Telling it wakes the runtime's monitor thread each time after an
// idle moment, which costs as much as the rest of handling one message. Now and then it
// has to be woken nevertheless: while all processors are busy, it is who looks after
// the network and takes turns.
func choose(calls *uint8, now, told func(int, []byte) (int, error)) func(int, []byte) (int, error) {
	if *calls++; *calls%toldEach == 0 {
		return told
	}
	return now
}

// toldEach is how many calls of a socket there are for one that the scheduler knows of.
const toldEach = 32

func retry(call func(int, []byte) (int, error), fd int, p []byte) (int, error) {
	for {
		n, err := call(fd, p)
		if !errors.Is(err, syscall.EINTR) {
			return n, err
		}
	}
}
