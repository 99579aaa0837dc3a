package mqttclient

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"unicode/utf8"
)

// What can be wrong with a packet. Errors of the codec wrap one of these.
var (
	// ErrMalformed says that bytes are no MQTT packet (MQTT 5, section 4.13).
	ErrMalformed = errors.New("malformed MQTT packet")
	// ErrTooLong says that a value does not fit the field that MQTT has for it.
	ErrTooLong = errors.New("too long for MQTT")
)

// MaxRemaining is the largest Remaining Length: four bytes of seven bits
// (MQTT 5, section 1.5.5).
const MaxRemaining = 268_435_455

// AppendVarint appends n as a Variable Byte Integer. n must not exceed MaxRemaining.
func AppendVarint(b []byte, n int) []byte {
	for n >= 0x80 {
		b = append(b, byte(n)|0x80)
		n >>= 7
	}
	return append(b, byte(n))
}

// Varint reads a Variable Byte Integer and the number of bytes it took: 0 when b
// ends within it, -1 when it has more than four bytes.
func Varint(b []byte) (n, size int) {
	for i := range 4 {
		if i >= len(b) {
			return 0, 0
		}
		n |= int(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return n, i + 1
		}
	}
	return 0, -1
}

// encoder appends fields and remembers the first that did not fit.
type encoder struct {
	b   []byte
	err error
}

func (e *encoder) byte(v byte)     { e.b = append(e.b, v) }
func (e *encoder) uint16(v uint16) { e.b = binary.BigEndian.AppendUint16(e.b, v) }
func (e *encoder) uint32(v uint32) { e.b = binary.BigEndian.AppendUint32(e.b, v) }

func (e *encoder) string(s string) {
	if len(s) > math.MaxUint16 {
		e.fail("text of %d bytes", len(s))
		return
	}
	e.uint16(uint16(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) binary(s []byte) {
	if len(s) > math.MaxUint16 {
		e.fail("binary data of %d bytes", len(s))
		return
	}
	e.uint16(uint16(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) fail(format string, args ...any) {
	if e.err == nil {
		e.err = fmt.Errorf(format+": %w", append(args, ErrTooLong)...)
	}
}

// packet appends a fixed header and what body appends, and fills in the length.
func (e *encoder) packet(first byte, body func()) ([]byte, error) {
	start := len(e.b)
	e.b = append(e.b, first, 0)
	body()
	e.length(start + 1)
	if e.err != nil {
		return e.b[:start], e.err
	}
	return e.b, nil
}

// length writes the number of bytes after position at into the one byte kept there,
// and makes room when it needs more than one.
func (e *encoder) length(at int) {
	n := len(e.b) - at - 1
	if n > MaxRemaining {
		e.fail("packet of %d bytes", n)
		return
	}
	var field [4]byte
	size := len(AppendVarint(field[:0], n))
	for range size - 1 {
		e.b = append(e.b, 0)
	}
	copy(e.b[at+size:], e.b[at+1:at+1+n])
	AppendVarint(e.b[:at], n)
}

// decoder takes fields off a packet's body and remembers the first error.
type decoder struct {
	b   []byte
	err error
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: "+format, append([]any{ErrMalformed}, args...)...)
	}
}

func (d *decoder) take(n int) []byte {
	if d.err != nil {
		return nil
	}
	if n > len(d.b) {
		d.fail("ends %d bytes early", n-len(d.b))
		return nil
	}
	v := d.b[:n]
	d.b = d.b[n:]
	return v
}

func (d *decoder) byte() byte {
	if v := d.take(1); v != nil {
		return v[0]
	}
	return 0
}

func (d *decoder) uint16() uint16 {
	if v := d.take(2); v != nil {
		return binary.BigEndian.Uint16(v)
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	if v := d.take(4); v != nil {
		return binary.BigEndian.Uint32(v)
	}
	return 0
}

func (d *decoder) varint() int {
	n, size := Varint(d.b)
	if size < 0 {
		d.fail("a length of more than four bytes")
		return 0
	}
	if size == 0 {
		d.fail("ends within a length")
		return 0
	}
	d.take(size)
	return n
}

// string takes a UTF-8 Encoded String. [MQTT-1.5.4-1] [MQTT-1.5.4-2]
func (d *decoder) string() string {
	s := string(d.take(int(d.uint16())))
	if !utf8.ValidString(s) {
		d.fail("a text is not UTF-8")
	}
	for i := range len(s) {
		if s[i] == 0 {
			d.fail("a text contains the null character")
		}
	}
	return s
}

// binary takes a copy of Binary Data; it is never nil.
func (d *decoder) binary() []byte {
	return append([]byte{}, d.take(int(d.uint16()))...)
}
