package socket

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"syscall"
	"unicode/utf8"
)

// input takes the client's frames apart (RFC 6455, section 5). While nothing arrives it
// owns no buffer: it waits for the socket first and borrows one then.
type input struct {
	conn net.Conn
	raw  syscall.RawConn // nil: conn is read, and a buffer held meanwhile
	pool *sync.Pool      // *[]byte

	buf  *[]byte // nil while nothing is left of what was read
	r, w int     // what is left of it

	read func(fd uintptr) bool // tryRead, made once
	dest []byte                // where tryRead reads to, if not to buf
	n    int                   // what it read
	err  error

	message []byte // of a fragmented one: what has come so far
	op      Opcode // its opcode; 0 between messages
	packed  bool   // it is compressed

	inflaters *sync.Pool // for compressed messages; nil = there may be none
}

// newBuffers makes the pool that inputs borrow their buffers from.
func newBuffers() *sync.Pool {
	return &sync.Pool{New: func() any { b := make([]byte, readBuffer); return &b }}
}

// readBuffer holds most messages, and many small ones; what is larger is read past it.
const readBuffer = 4 << 10

// violation is what a client may not send, and the code that tells it so.
type violation struct {
	code int
	text string
}

// Error says what was wrong.
func (v *violation) Error() string { return v.text }

func (in *input) lend() {
	if in.buf == nil {
		in.buf, _ = in.pool.Get().(*[]byte)
		in.r, in.w = 0, 0
	}
}

// release gives the buffer back when nothing is left in it.
func (in *input) release() {
	if in.buf != nil && in.r == in.w {
		in.pool.Put(in.buf)
		in.buf = nil
	}
}

// fill reads something: to dest, or else behind what the buffer holds.
func (in *input) fill(dest []byte) (int, error) {
	if dest == nil && in.buf != nil && in.r > 0 {
		in.w = copy(*in.buf, (*in.buf)[in.r:in.w])
		in.r = 0
	}
	in.dest, in.n, in.err = dest, 0, nil
	if in.raw != nil && rawReads {
		if err := in.raw.Read(in.read); err != nil && in.err == nil {
			in.err = err
		}
	} else {
		if dest == nil {
			in.lend()
			dest = (*in.buf)[in.w:]
		}
		in.n, in.err = in.conn.Read(dest)
	}
	in.dest = nil
	if in.n > 0 {
		in.err = nil // it comes again
	} else if in.err == nil {
		in.err = io.EOF
	}
	return in.n, in.err
}

// tryRead reads from a socket that may have nothing; false waits until it has.
func (in *input) tryRead(fd uintptr) bool {
	to := in.dest
	if to == nil {
		in.lend()
		to = (*in.buf)[in.w:]
	}
	for {
		n, err := readFd(fd, to)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			in.release()
			return false
		}
		in.n, in.err = max(n, 0), err
		return true
	}
}

// need makes n bytes of the buffer readable.
func (in *input) need(n int) ([]byte, error) {
	for in.buf == nil || in.w-in.r < n {
		m, err := in.fill(nil)
		if err != nil {
			return nil, err
		}
		in.w += m
	}
	return (*in.buf)[in.r:in.w], nil
}

// header is a frame's.
type header struct {
	fin    bool
	packed bool // the message that it begins is compressed
	op     Opcode
	size   int
	mask   [4]byte
}

// header reads the next frame's header.
func (in *input) header() (h header, err error) {
	b, err := in.need(2)
	if err != nil {
		return h, err
	}
	h.fin, h.op, h.size = b[0]&0x80 != 0, Opcode(b[0]&0x0f), int(b[1]&0x7f)
	h.packed = in.inflaters != nil && b[0]&0x70 == rsv1 && (h.op == Text || h.op == Binary)
	switch {
	case b[0]&0x70 != 0 && !h.packed:
		return h, &violation{CloseProtocol, "a reserved bit is set"}
	case b[1]&0x80 == 0:
		return h, &violation{CloseProtocol, "the frame is not masked"}
	case h.op >= opClose && (!h.fin || h.size > maxControl):
		return h, &violation{CloseProtocol, "a control frame is fragmented or too long"}
	case h.op > Pong || h.op > Binary && h.op < opClose:
		return h, &violation{CloseProtocol, "the opcode is unknown"}
	}
	length := 2
	switch h.size {
	case 126:
		if b, err = in.need(4); err != nil {
			return h, err
		}
		h.size, length = int(binary.BigEndian.Uint16(b[2:])), 4
	case 127:
		if b, err = in.need(10); err != nil {
			return h, err
		}
		size := binary.BigEndian.Uint64(b[2:])
		if size > 1<<40 { // whatever the limit is, it is below
			return h, &violation{CloseTooBig, "the message is too large"}
		}
		h.size, length = int(size), 10
	}
	if b, err = in.need(length + 4); err != nil {
		return h, err
	}
	copy(h.mask[:], b[length:])
	in.r += length + 4
	return h, nil
}

// payload appends a frame's payload to b, unmasked.
func (in *input) payload(b []byte, h header) ([]byte, error) {
	begin, left := len(b), h.size
	if in.buf != nil {
		n := min(left, in.w-in.r)
		if b == nil {
			b = make([]byte, 0, min(h.size, firstChunk))
		}
		b = append(b, (*in.buf)[in.r:in.r+n]...)
		in.r += n
		left -= n
	}
	in.release()
	for left > 0 {
		if len(b) == cap(b) { // grows with what arrives, not with what is announced
			b = append(make([]byte, 0, max(min(left+len(b), 2*cap(b)), firstChunk)), b...)
		}
		n, err := in.fill(b[len(b):min(cap(b), len(b)+left)])
		if err != nil {
			return b, err
		}
		b = b[:len(b)+n]
		left -= n
	}
	unmask(b[begin:], h.mask)
	return b, nil
}

// firstChunk is how much is made room for before it has arrived.
const firstChunk = 64 << 10

// unmask undoes a client's masking (RFC 6455, section 5.3).
func unmask(b []byte, mask [4]byte) {
	four := uint64(binary.LittleEndian.Uint32(mask[:]))
	eight := four<<32 | four
	for len(b) >= 8 {
		binary.LittleEndian.PutUint64(b, binary.LittleEndian.Uint64(b)^eight)
		b = b[8:]
	}
	for i := range b {
		b[i] ^= mask[i&3]
	}
}

// next reads the next whole message or control frame. Fragments of a message are put
// together; control frames may come in between.
func (in *input) next(maxMessage, maxFrame int) (Message, error) {
	for {
		h, err := in.header()
		if err != nil {
			return Message{}, err
		}
		if h.op >= opClose {
			data, err := in.payload(nil, h)
			return Message{h.op, data}, err
		}
		switch {
		case h.op == 0 && in.op == 0:
			return Message{}, &violation{CloseProtocol, "a message continues that has not begun"}
		case h.op != 0 && in.op != 0:
			return Message{}, &violation{CloseProtocol, "a message begins within another"}
		}
		if h.op != 0 {
			in.op, in.packed = h.op, h.packed
		}
		if h.size > in.room(maxMessage) || maxFrame > 0 && h.size > maxFrame {
			return Message{}, &violation{CloseTooBig, "the message is too large"}
		}
		if in.message, err = in.payload(in.message, h); err != nil {
			return Message{}, err
		}
		if !h.fin {
			continue
		}
		m := Message{in.op, in.message}
		in.message, in.op = nil, 0
		if in.packed {
			if m.Data, err = inflate(in.inflaters, m.Data, maxMessage); err != nil {
				return Message{}, err
			}
		}
		if m.Data == nil {
			m.Data = []byte{}
		}
		if m.Op == Text && !utf8.Valid(m.Data) {
			return Message{}, &violation{CloseInvalidData, "the text is not UTF-8"}
		}
		return m, nil
	}
}

// room is how much of a message may still come.
func (in *input) room(maxMessage int) int {
	if in.packed { // what cannot be compressed gets a little larger
		maxMessage += maxMessage>>10 + 64
	}
	return maxMessage - len(in.message)
}

// closed reads a close frame's payload.
func closed(data []byte) (*CloseError, error) {
	if len(data) == 0 {
		return &CloseError{Code: CloseNoStatus}, nil
	}
	if len(data) == 1 {
		return nil, &violation{CloseProtocol, "the close code is cut off"}
	}
	code, reason := int(binary.BigEndian.Uint16(data)), data[2:]
	switch {
	case !ValidCode(code):
		return nil, &violation{CloseProtocol, "the close code is invalid"}
	case !utf8.Valid(reason):
		return nil, &violation{CloseInvalidData, "the reason is not UTF-8"}
	}
	return &CloseError{code, string(reason)}, nil
}
