package emulator

import (
	"bytes"
	"errors"
	"io"
	"strconv"
)

const (
	readBuffer = 16 << 10
	// maxHead bounds a request's head: aws-lambda-go sends up to 1 MB of X-Ray error
	// cause in a header.
	maxHead = 1<<20 + 64<<10
)

var (
	errHeadTooLong = errors.New("request head too long")
	errMalformed   = errors.New("malformed request")
	errTooLarge    = errors.New("body too large")
)

// reader is a buffered reader that hands out slices of its buffer: they hold until
// the next call.
type reader struct {
	src  io.Reader
	buf  []byte
	r, w int
}

func newReader(src io.Reader) reader { return reader{src: src, buf: make([]byte, readBuffer)} }

// hasHead reports whether head would return without reading.
func (b *reader) hasHead() bool { return b.r < b.w && bytes.Contains(b.buf[b.r:b.w], headEnd) }

// shrink gives back a buffer that a long head made grow.
func (b *reader) shrink() {
	if len(b.buf) > 4*readBuffer && b.w-b.r <= readBuffer {
		small := make([]byte, readBuffer)
		b.w = copy(small, b.buf[b.r:b.w])
		b.buf, b.r = small, 0
	}
}

// fill reads more, making room for it if need be.
func (b *reader) fill() error {
	if b.r == b.w {
		b.r, b.w = 0, 0
	}
	if b.w == len(b.buf) {
		switch {
		case b.r > 0:
			b.w = copy(b.buf, b.buf[b.r:b.w])
			b.r = 0
		case len(b.buf) >= maxHead:
			return errHeadTooLong
		default:
			b.buf = append(b.buf, make([]byte, len(b.buf))...)
		}
	}
	n, err := b.src.Read(b.buf[b.w:])
	b.w += n
	if n > 0 {
		return nil
	}
	return err
}

var headEnd = []byte("\r\n\r\n")

// head returns the lines up to an empty one, without it. Empty lines before them are
// skipped (RFC 9112, section 2.2).
func (b *reader) head() ([]byte, error) {
	for seen := 0; ; {
		for seen == 0 && b.r < b.w && (b.buf[b.r] == '\r' || b.buf[b.r] == '\n') {
			b.r++
		}
		if i := bytes.Index(b.buf[b.r+seen:b.w], headEnd); i >= 0 {
			h := b.buf[b.r : b.r+seen+i]
			b.r += seen + i + len(headEnd)
			return h, nil
		}
		seen = max(0, b.w-b.r-len(headEnd)+1)
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
}

// line returns the next line without its end.
func (b *reader) line() ([]byte, error) {
	for {
		if i := bytes.IndexByte(b.buf[b.r:b.w], '\n'); i >= 0 {
			l := b.buf[b.r : b.r+i]
			b.r += i + 1
			return bytes.TrimSuffix(l, []byte{'\r'}), nil
		}
		if err := b.fill(); err != nil {
			return nil, err
		}
	}
}

// full fills dst.
func (b *reader) full(dst []byte) error {
	n := copy(dst, b.buf[b.r:b.w])
	b.r += n
	if n == len(dst) {
		return nil
	}
	_, err := io.ReadFull(b.src, dst[n:])
	return err
}

// skip drops n bytes.
func (b *reader) skip(n int64) error {
	for n > 0 {
		if b.r == b.w {
			if err := b.fill(); err != nil {
				return err
			}
		}
		k := int(min(n, int64(b.w-b.r)))
		b.r += k
		n -= int64(k)
	}
	return nil
}

// sized reads a body of n bytes; one above limit is dropped and errTooLarge returned.
func (b *reader) sized(n, limit int64) ([]byte, error) {
	if n > limit {
		if err := b.skip(n); err != nil {
			return nil, err
		}
		return nil, errTooLarge
	}
	body := make([]byte, n)
	return body, b.full(body)
}

// chunked reads a chunked body (RFC 9112, section 7.1) and hands its pieces to take;
// trailer sees the lines after it. take returning false drops the rest.
func (b *reader) chunked(limit int64, take func(chunk []byte) bool, trailer func(line []byte)) error {
	var total int64
	dropped := false
	for {
		l, err := b.line()
		if err != nil {
			return err
		}
		if i := bytes.IndexByte(l, ';'); i >= 0 {
			l = l[:i]
		}
		n, err := strconv.ParseInt(string(bytes.TrimSpace(l)), 16, 64)
		if err != nil || n < 0 {
			return errMalformed
		}
		if n == 0 {
			break
		}
		total += n
		switch {
		case total > limit || dropped:
			err = b.skip(n)
		default:
			chunk := make([]byte, n)
			if err = b.full(chunk); err == nil {
				dropped = !take(chunk)
			}
		}
		if err != nil {
			return err
		}
		if l, err = b.line(); err != nil {
			return err
		} else if len(l) != 0 {
			return errMalformed
		}
	}
	for {
		l, err := b.line()
		if err != nil {
			return err
		}
		if len(l) == 0 {
			break
		}
		trailer(l)
	}
	if total > limit {
		return errTooLarge
	}
	return nil
}
