package broker

import "sync"

// largeBuffer is what a connection reads into while much arrives; smallBuffer is
// what it keeps while nothing does.
const (
	largeBuffer = 32 << 10
	smallBuffer = 256
)

// buffer holds what has been read and not yet been handled.
type buffer struct {
	small [smallBuffer]byte
	large *[largeBuffer]byte // borrowed; nil = small is in use
	b     []byte             // what is in use: small, large, or a buffer made for one large packet
	r, w  int
}

// buffers lends the large ones.
type buffers struct{ pool sync.Pool }

func (p *buffers) get() *[largeBuffer]byte {
	if b, ok := p.pool.Get().(*[largeBuffer]byte); ok {
		return b
	}
	return new([largeBuffer]byte)
}

// packet is the size of the packet at the front, or 0 if its fixed header has not
// arrived. The socket has checked the length already.
func (b *buffer) packet() (int, error) {
	n := 0
	for i := 1; i <= 4; i++ {
		if b.r+i >= b.w {
			return 0, nil
		}
		d := b.b[b.r+i]
		n |= int(d&0x7f) << (7 * (i - 1))
		if d&0x80 == 0 {
			return 1 + i + n, nil
		}
	}
	return 0, fault(reasonMalformed, "the remaining length has more than four bytes")
}

// makeRoom makes the buffer ready to read more into: the small one to wait with,
// the large one while reads fill it, one of its own for a packet that fits neither.
// (Conn hands out a large packet only when all of it has arrived, so a client cannot
// make us reserve more than twice what it has sent.)
func (b *buffer) makeRoom(need int, pool *buffers) {
	full := b.w == len(b.b) && b.b != nil
	if b.r == b.w {
		b.r, b.w = 0, 0
		switch {
		case full && b.large == nil && len(b.b) == smallBuffer:
			b.useLarge(pool)
		case !full || b.large == nil:
			b.release(pool)
		}
		return
	}
	switch {
	case need > largeBuffer && need > len(b.b):
		larger := make([]byte, need)
		b.move(larger)
		b.giveBack(pool)
	case need > len(b.b), full && b.r == 0:
		b.useLarge(pool)
	case full, b.r+need > len(b.b):
		b.move(b.b)
	}
}

// move puts what is held at the beginning of to and uses that.
func (b *buffer) move(to []byte) {
	n := copy(to, b.b[b.r:b.w])
	b.b, b.r, b.w = to, 0, n
}

func (b *buffer) useLarge(pool *buffers) {
	if b.large == nil {
		b.large = pool.get()
	}
	b.move(b.large[:])
}

// release goes back to the small buffer; nothing may be held.
func (b *buffer) release(pool *buffers) {
	b.b, b.r, b.w = b.small[:], 0, 0
	b.giveBack(pool)
}

func (b *buffer) giveBack(pool *buffers) {
	if b.large != nil {
		pool.pool.Put(b.large)
		b.large = nil
	}
}
