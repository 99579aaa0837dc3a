package listen

// framer follows the MQTT fixed headers in a stream of bytes, so that a packet can
// be refused or held back before anybody allocates memory for it.
type framer struct {
	state  frameState
	body   int // bytes of the packet's body still to come
	length int // Remaining Length as far as it has been read
	digits int // its bytes so far
}

type frameState byte

const (
	atType frameState = iota
	atLength
	inBody
)

// holdAbove is the size in bytes from which a packet is handed on only when all of
// it has arrived. Up to it, the memory a header can claim is that of the
// connection itself.
const holdAbove = 4096

// verdict is what scan found.
type verdict struct {
	pass int // bytes of the input that may be handed on
	hold int // >0: the packet whose last header byte is at pass must be held back until hold bytes (that byte and the body) are there
	err  error
}

// scan reads on through b. A packet above limit bytes (0 = none) or with a
// malformed length ends the stream: pass is then where the packet, as far as it
// is in b, begins.
func (f *framer) scan(b []byte, limit int) verdict {
	packet := 0 // where in b the current packet begins
	for i := 0; i < len(b); {
		switch f.state {
		case inBody:
			n := min(f.body, len(b)-i)
			i += n
			f.body -= n
			if f.body == 0 {
				f.state = atType
			}
		case atType:
			packet = i
			f.state, f.length, f.digits = atLength, 0, 0
			i++
		case atLength:
			d := b[i]
			f.length |= int(d&0x7f) << (7 * f.digits)
			f.digits++
			if d&0x80 != 0 {
				if f.digits == 4 { // MQTT 5, section 1.5.5: at most four bytes
					return verdict{pass: packet, err: ErrMalformedLength}
				}
				i++
				continue
			}
			if limit > 0 && 1+f.digits+f.length > limit {
				return verdict{pass: packet, err: ErrPacketTooLarge}
			}
			f.body = f.length
			if f.length > holdAbove && len(b)-i-1 < f.length {
				f.state, f.body = atType, 0 // the packet leaves the stream here
				return verdict{pass: i, hold: 1 + f.length}
			}
			f.state = inBody
			if f.body == 0 {
				f.state = atType
			}
			i++
		}
	}
	return verdict{pass: len(b)}
}
