package broker

import (
	"encoding/binary"
	"unicode/utf8"
)

// reader reads MQTT's data types from a packet. The first error stays.
type reader struct {
	b   []byte
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *reader) byte() byte {
	if len(r.b) < 1 {
		r.fail(errTruncated)
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

func (r *reader) uint16() uint16 {
	if len(r.b) < 2 {
		r.fail(errTruncated)
		return 0
	}
	v := binary.BigEndian.Uint16(r.b)
	r.b = r.b[2:]
	return v
}

func (r *reader) uint32() uint32 {
	if len(r.b) < 4 {
		r.fail(errTruncated)
		return 0
	}
	v := binary.BigEndian.Uint32(r.b)
	r.b = r.b[4:]
	return v
}

// varint reads a Variable Byte Integer (MQTT 5, section 1.5.5).
func (r *reader) varint() int {
	n := 0
	for shift := 0; shift < 28; shift += 7 {
		d := r.byte()
		n |= int(d&0x7f) << shift
		if d&0x80 == 0 {
			return n
		}
	}
	r.fail(fault(reasonMalformed, "a variable byte integer is too long"))
	return 0
}

// properties reads the length of a list of properties and gives a reader for the list.
func (r *reader) properties() reader {
	n := r.varint()
	if n > len(r.b) {
		r.fail(errTruncated)
	}
	if r.err != nil {
		return reader{err: r.err}
	}
	list := reader{b: r.b[:n]}
	r.b = r.b[n:]
	return list
}

// end is the first error, or that something is left.
func (r *reader) end() error {
	if len(r.b) > 0 {
		r.fail(errTooLong)
	}
	return r.err
}

// bytes reads binary data, without copying it.
func (r *reader) bytes() []byte {
	n := int(r.uint16())
	if n > len(r.b) {
		r.fail(errTruncated)
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// text reads a UTF-8 string, without copying it.
func (r *reader) text() []byte {
	v := r.bytes()
	if !validText(v) {
		r.fail(errText)
		return nil
	}
	return v
}

func (r *reader) string() string { return string(r.text()) }

func validText(b []byte) bool {
	ascii := true
	for _, c := range b {
		if c == 0 {
			return false
		}
		if c >= utf8.RuneSelf {
			ascii = false
		}
	}
	return ascii || utf8.Valid(b)
}
