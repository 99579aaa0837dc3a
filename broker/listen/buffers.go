package listen

import "sync"

// headroom is kept free in front of every write buffer for a WebSocket frame
// header, so that a frame goes out in one piece without copying its payload.
const headroom = 10

// readSize is how much one read from a socket takes at most.
const readSize = 32 << 10

// buffers lends byte slices in a few sizes, so that a connection holds memory only
// while bytes are on their way.
type buffers struct {
	classes [4]sync.Pool // *buffer of classSize
	reads   sync.Pool    // *readBuffer
}

type readBuffer [readSize]byte

// buffer is a write buffer: headroom, then what was appended.
type buffer struct {
	b     []byte
	class int // index into classes; -1 = too large to be kept
	start int // where a WebSocket batch begins: its frame header lies in the headroom
}

func classSize(class int) int { return 1 << (10 + 3*class) } // 1 KB, 8 KB, 64 KB, 512 KB

// write lends an empty write buffer that takes at least n bytes after the headroom.
func (p *buffers) write(n int) *buffer {
	n += headroom
	for class := range p.classes {
		if n > classSize(class) {
			continue
		}
		if b, ok := p.classes[class].Get().(*buffer); ok {
			return b
		}
		return &buffer{b: make([]byte, headroom, classSize(class)), class: class}
	}
	return &buffer{b: make([]byte, headroom, n+n/4), class: -1}
}

// add appends data to b, which may be nil, and returns the buffer that now holds
// both; b is then no longer the caller's.
func (p *buffers) add(b *buffer, data []byte) *buffer {
	if b == nil {
		b = p.write(len(data))
	} else if need := len(b.b) - headroom + len(data); need+headroom > cap(b.b) {
		larger := p.write(need)
		larger.b = append(larger.b, b.b[headroom:]...)
		p.release(b)
		b = larger
	}
	b.b = append(b.b, data...)
	return b
}

// release takes a write buffer back; nil is none.
func (p *buffers) release(b *buffer) {
	if b == nil || b.class < 0 {
		return
	}
	b.b = b.b[:headroom]
	p.classes[b.class].Put(b)
}

// len is the number of bytes appended.
func (b *buffer) len() int {
	if b == nil {
		return 0
	}
	return len(b.b) - headroom
}

func (p *buffers) read() *readBuffer {
	if b, ok := p.reads.Get().(*readBuffer); ok {
		return b
	}
	return new(readBuffer)
}

func (p *buffers) releaseRead(b *readBuffer) { p.reads.Put(b) }
