package socket

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Messages may be compressed with permessage-deflate (RFC 7692). Neither side keeps its
// window from one message to the next: a connection then has no state for it, and a
// message is compressed once, however many get it.

// offersDeflate reports whether a handshake offers the extension in a way that can be
// taken: a window of the server's own choice can not.
func offersDeflate(h http.Header) bool {
	for _, line := range h["Sec-Websocket-Extensions"] {
		for offer := range strings.SplitSeq(line, ",") {
			name, params, _ := strings.Cut(offer, ";")
			if strings.TrimSpace(name) == "permessage-deflate" && acceptable(params) {
				return true
			}
		}
	}
	return false
}

// acceptable looks at the parameters of an offer (RFC 7692, section 7.1).
func acceptable(params string) bool {
	for p := range strings.SplitSeq(params, ";") {
		name, _, _ := strings.Cut(p, "=")
		switch strings.TrimSpace(name) {
		case "", "server_no_context_takeover", "client_no_context_takeover", "client_max_window_bits":
		default:
			return false
		}
	}
	return true
}

// leastDeflated is the smallest payload that is compressed, in bytes: below, it costs
// more than it saves.
const leastDeflated = 512

// deflated is the compressed form of a frame, made when the first connection wants it.
type deflated struct {
	once sync.Once
	b    []byte // the frame; nil = it is no smaller
}

// compressed is the frame as a connection with compression gets it.
func (f Frame) compressed(w *Writer) Frame {
	if f.small == nil {
		return f
	}
	f.small.once.Do(func() {
		whole := f.b[len(f.b)-f.payload:]
		if p := w.deflate(whole); len(p) < len(whole) {
			f.small.b = appendFrame(make([]byte, 0, len(p)+maxHeader), f.b[0]|rsv1, p)
		}
	})
	if f.small.b != nil {
		f.b = f.small.b
	}
	return f
}

// rsv1 marks a compressed message (RFC 7692, section 6).
const rsv1 = 0x40

// flushed is the end of what a flush has written; it is not sent (RFC 7692, section 7.2.1).
// lastBlock is an empty last block, so that whoever reads finds an end.
const (
	flushed   = "\x00\x00\xff\xff"
	lastBlock = "\x01\x00\x00\xff\xff"
)

// deflate compresses a message.
func (w *Writer) deflate(p []byte) []byte {
	var out bytes.Buffer
	out.Grow(len(p) / 2)
	z, _ := w.deflaters.Get().(*flate.Writer)
	defer w.deflaters.Put(z)
	z.Reset(&out)
	_, _ = z.Write(p) // a bytes.Buffer takes everything
	_ = z.Flush()
	return bytes.TrimSuffix(out.Bytes(), []byte(flushed))
}

// inflater is what flate's readers are.
type inflater interface {
	io.Reader
	flate.Resetter
}

// inflate expands a client's message, up to a size.
func inflate(pool *sync.Pool, p []byte, most int) ([]byte, error) {
	z, _ := pool.Get().(inflater)
	defer pool.Put(z)
	if err := z.Reset(io.MultiReader(bytes.NewReader(p), strings.NewReader(flushed+lastBlock)), nil); err != nil {
		return nil, err
	}
	out, err := io.ReadAll(io.LimitReader(z, int64(most)+1))
	switch {
	case len(out) > most:
		return nil, &violation{CloseTooBig, "the message is too large"}
	case err != nil && !errors.Is(err, io.EOF):
		return nil, &violation{CloseInvalidData, "the message is not compressed as RFC 7692 says"}
	}
	return out, nil
}

// newInflaters and newDeflaters make the pools: what compresses is large, some 600 KB,
// and only there while it is needed.
func newInflaters() *sync.Pool {
	return &sync.Pool{New: func() any { return flate.NewReader(nil) }}
}

func newDeflaters() *sync.Pool {
	return &sync.Pool{New: func() any {
		z, _ := flate.NewWriter(nil, flate.BestSpeed) // a level that there is
		return z
	}}
}
