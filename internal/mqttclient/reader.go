package mqttclient

import (
	"fmt"
	"io"
)

// Frame takes the first packet off b: its first byte, what follows the fixed header,
// and the rest of b. ok is false when b ends before the packet does; need is then how
// many bytes the packet has in all, or 0 while that cannot be told.
func Frame(b []byte) (first byte, body, rest []byte, need int, ok bool, err error) {
	if len(b) < 2 {
		return 0, nil, b, 0, false, nil
	}
	n, size := Varint(b[1:])
	if size < 0 {
		return 0, nil, b, 0, false, fmt.Errorf("%w: a remaining length of more than four bytes", ErrMalformed)
	}
	if size == 0 {
		return 0, nil, b, 0, false, nil
	}
	end := 1 + size + n
	if end > len(b) {
		return 0, nil, b, end, false, nil
	}
	return b[0], b[1+size : end], b[end:], end, true, nil
}

// Reader splits a byte stream into packets without decoding them.
type Reader struct {
	r          io.Reader
	buf        []byte
	start, end int
	max        int
}

// NewReader returns a Reader with a buffer of size bytes. A packet of more than limit
// bytes is an error; limit 0 allows all that MQTT does. The buffer grows with what has
// arrived, not with what a packet says it will bring.
func NewReader(r io.Reader, size, limit int) *Reader {
	if limit <= 0 {
		limit = MaxRemaining + 5
	}
	return &Reader{r: r, buf: make([]byte, max(size, 16)), max: limit}
}

// Next returns the next packet's first byte and what follows its fixed header. body is
// valid until the call after. The error is the stream's own; io.ErrUnexpectedEOF means that
// it ended within a packet.
func (r *Reader) Next() (first byte, body []byte, err error) {
	for {
		first, body, rest, need, ok, err := Frame(r.buf[r.start:r.end])
		if err != nil {
			return 0, nil, err
		}
		if ok {
			r.start = r.end - len(rest)
			return first, body, nil
		}
		if need > r.max {
			return 0, nil, fmt.Errorf("%w: a packet of %d bytes, more than the %d allowed", ErrMalformed, need, r.max)
		}
		if err := r.fill(); err != nil {
			return 0, nil, err
		}
	}
}

// Ready reports whether Next would return without reading from the stream.
func (r *Reader) Ready() bool {
	_, _, _, _, ok, err := Frame(r.buf[r.start:r.end])
	return ok || err != nil
}

// fill reads once, after making room.
func (r *Reader) fill() error {
	if r.start == r.end {
		r.start, r.end = 0, 0
	}
	if r.end == len(r.buf) {
		if r.start > 0 {
			r.end = copy(r.buf, r.buf[r.start:r.end])
			r.start = 0
		} else {
			grown := make([]byte, 2*len(r.buf))
			r.end = copy(grown, r.buf[:r.end])
			r.buf = grown
		}
	}
	n, err := r.r.Read(r.buf[r.end:])
	r.end += n
	if n > 0 {
		return nil
	}
	if err == io.EOF && r.end > r.start {
		return io.ErrUnexpectedEOF
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}
