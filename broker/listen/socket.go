package listen

import (
	"net"
	"syscall"
	"time"
)

// socket is the lowest layer of a connection: the net.Conn that was accepted, read
// through a buffer that is held only while it has bytes in it, and written without
// waiting where the system allows. Read is for one goroutine at a time, and so is
// tryWrite; gorilla/websocket and crypto/tls sit on top of it as on any net.Conn.
type socket struct {
	net.Conn
	buffers *buffers
	// before and after are called when a read may wait, and when it has brought
	// something.
	before, after func()
	// control takes what a protocol layer above writes by itself (WebSocket control
	// frames); nil = it goes to the network as it is.
	control func(p []byte) error
	// reads counts reads from the network that brought something; flooding tells
	// that the last one took a whole buffer, so that there is probably more.
	reads    uint64
	flooding bool

	raw rawSocket // direct, non-blocking access; not available for TLS and pipes

	buf  *readBuffer // bytes from r to w have been read and not yet handed out
	r, w int
}

func newSocket(c net.Conn, b *buffers) *socket {
	s := &socket{Conn: c, buffers: b}
	if sc, ok := c.(syscall.Conn); ok {
		s.raw.open(sc)
	}
	return s
}

// Read hands out what is buffered, or waits for more.
func (s *socket) Read(p []byte) (int, error) {
	if s.r < s.w {
		return s.take(p), nil
	}
	if s.before != nil {
		s.before()
	}
	n, err := s.receive(p)
	if n == 0 {
		return 0, err
	}
	s.reads++
	if s.after != nil {
		s.after()
	}
	return n, nil
}

// receive reads from the network: into p if p is large, else into a buffer.
func (s *socket) receive(p []byte) (int, error) {
	if !s.raw.available() {
		return s.Conn.Read(p)
	}
	if len(p) >= readSize {
		return s.raw.read(p, s.buffers)
	}
	n, err := s.raw.read(nil, s.buffers)
	if err != nil {
		return 0, err
	}
	s.buf, s.r, s.w = s.raw.taken(), 0, n
	s.flooding = n == readSize
	return s.take(p), nil
}

func (s *socket) take(p []byte) int {
	n := copy(p, s.buf[s.r:s.w])
	s.r += n
	if s.r == s.w {
		s.buffers.releaseRead(s.buf)
		s.buf, s.r, s.w = nil, 0, 0
	}
	return n
}

// free gives the read buffer back; for the goroutine that reads.
func (s *socket) free() {
	if s.buf != nil {
		s.buffers.releaseRead(s.buf)
		s.buf, s.r, s.w = nil, 0, 0
	}
}

// Write is what protocol layers above call: gorilla for control frames, crypto/tls
// for records.
func (s *socket) Write(p []byte) (int, error) {
	if s.control != nil {
		if err := s.control(p); err != nil {
			return 0, err
		}
		return len(p), nil
	}
	return s.Conn.Write(p)
}

// SetDeadline does nothing: the Conn owns the deadlines. The same goes for the
// other two, which gorilla/websocket calls.
func (s *socket) SetDeadline(time.Time) error { return nil }

// SetReadDeadline does nothing: see SetDeadline.
func (s *socket) SetReadDeadline(time.Time) error { return nil }

// SetWriteDeadline does nothing: see SetDeadline.
func (s *socket) SetWriteDeadline(time.Time) error { return nil }

// CloseWrite half-closes: the peer reads an end of file and may still send.
func (s *socket) CloseWrite() error {
	if h, ok := s.Conn.(interface{ CloseWrite() error }); ok {
		return h.CloseWrite()
	}
	return nil
}
