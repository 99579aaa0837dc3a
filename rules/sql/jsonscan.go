package sql

import (
	"math/bits"
	"unicode/utf8"
)

// scanner checks JSON text (RFC 8259) and remembers what matters for copying it: are
// there spaces, may an object have a key twice. All methods take the place where
// something begins and return the place behind it, or -1 if the text is not JSON.
type scanner struct {
	s      string
	depth  int
	spaced bool // there is white space outside of strings
	messy  bool // an object has a key twice, or more keys than were compared
}

// validate checks a whole document and tells how an array or object in it is held.
// ok is false for text that is not one JSON value in valid UTF-8.
func validate(s string) (start, end int, as form, ok bool) {
	sc := scanner{s: s}
	start = skipSpace(s, 0)
	end = sc.value(start)
	if end < 0 || skipSpace(s, end) != len(s) {
		return 0, 0, 0, false
	}
	return start, end, sc.form(), true
}

func (sc *scanner) form() form {
	switch {
	case sc.messy:
		return formMessy
	case sc.spaced:
		return formSpaced
	}
	return formTidy
}

// skipSpace passes JSON white space.
func skipSpace(s string, i int) int {
	for i < len(s) && s[i] <= ' ' && (s[i] == ' ' || s[i] == '\n' || s[i] == '\t' || s[i] == '\r') {
		i++
	}
	return i
}

// space passes white space and remembers that it was there.
func (sc *scanner) space(i int) int {
	if i >= len(sc.s) || sc.s[i] > ' ' {
		return i
	}
	j := skipSpace(sc.s, i)
	if j > i {
		sc.spaced = true
	}
	return j
}

func (sc *scanner) value(i int) int {
	if i >= len(sc.s) {
		return -1
	}
	switch c := sc.s[i]; c {
	case '"':
		end, _ := sc.str(i)
		return end
	case '{':
		return sc.object(i)
	case '[':
		return sc.array(i)
	case 't':
		return sc.word(i, "true")
	case 'f':
		return sc.word(i, "false")
	case 'n':
		return sc.word(i, "null")
	default:
		return sc.number(i)
	}
}

func (sc *scanner) word(i int, w string) int {
	if len(sc.s)-i < len(w) || sc.s[i:i+len(w)] != w {
		return -1
	}
	return i + len(w)
}

func (sc *scanner) number(i int) int {
	s := sc.s
	if i < len(s) && s[i] == '-' {
		i++
	}
	switch {
	case i >= len(s) || !digit(s[i]):
		return -1
	case s[i] == '0':
		i++
	default:
		i = pastDigits(s, i)
	}
	if i < len(s) && s[i] == '.' {
		start := i + 1
		if i = pastDigits(s, start); i == start {
			return -1
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && (s[i] == '+' || s[i] == '-') {
			i++
		}
		start := i
		if i = pastDigits(s, start); i == start {
			return -1
		}
	}
	return i
}

func pastDigits(s string, i int) int {
	for i < len(s) && digit(s[i]) {
		i++
	}
	return i
}

// str passes the string whose quote is at i and tells whether it has escapes.
func (sc *scanner) str(i int) (end int, escaped bool) {
	s := sc.s
	i++
	for {
		for i+8 <= len(s) { // eight plain characters at once
			w := uint64(s[i]) | uint64(s[i+1])<<8 | uint64(s[i+2])<<16 | uint64(s[i+3])<<24 |
				uint64(s[i+4])<<32 | uint64(s[i+5])<<40 | uint64(s[i+6])<<48 | uint64(s[i+7])<<56
			if m := special(w); m != 0 {
				i += bits.TrailingZeros64(m) / 8
				break
			}
			i += 8
		}
		if i >= len(s) {
			return -1, escaped
		}
		switch c := s[i]; {
		case c == '"':
			return i + 1, escaped
		case c == '\\':
			escaped = true
			if i = passEscape(s, i); i < 0 {
				return -1, escaped
			}
		case c < ' ':
			return -1, escaped
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				return -1, escaped
			}
			i += size
		}
	}
}

// special marks, with its highest bit, the first byte of w that is a quote, a
// backslash, a control character or no ASCII. Bytes behind it may be marked wrongly.
func special(w uint64) uint64 {
	const ones, highs = 0x0101010101010101, 0x8080808080808080
	quote := w ^ ones*'"'
	slash := w ^ ones*'\\'
	return (w | (w - ones*' ') | (quote - ones) | (slash - ones)) & highs
}

// passEscape passes the escape whose backslash is at i.
func passEscape(s string, i int) int {
	if i+1 >= len(s) {
		return -1
	}
	switch s[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if i+6 > len(s) {
			return -1
		}
		for _, c := range []byte(s[i+2 : i+6]) {
			if !digit(c) && (c|0x20 < 'a' || c|0x20 > 'f') {
				return -1
			}
		}
		return i + 6
	}
	return -1
}

func (sc *scanner) array(i int) int {
	if sc.depth++; sc.depth > maxPayloadDepth {
		return -1
	}
	i = sc.space(i + 1)
	if i < len(sc.s) && sc.s[i] == ']' {
		sc.depth--
		return i + 1
	}
	for {
		if i = sc.value(i); i < 0 {
			return -1
		}
		i = sc.space(i)
		switch {
		case i >= len(sc.s):
			return -1
		case sc.s[i] == ',':
			i = sc.space(i + 1)
		case sc.s[i] == ']':
			sc.depth--
			return i + 1
		default:
			return -1
		}
	}
}

func (sc *scanner) object(i int) int {
	if sc.depth++; sc.depth > maxPayloadDepth {
		return -1
	}
	open := i
	var keys keySet
	i = sc.space(i + 1)
	if i < len(sc.s) && sc.s[i] == '}' {
		sc.depth--
		return i + 1
	}
	for {
		if i >= len(sc.s) || sc.s[i] != '"' {
			return -1
		}
		key := i
		end, escaped := sc.str(i)
		if end < 0 {
			return -1
		}
		if !sc.messy && (escaped || keys.collides(sc.s[key:end]) && sc.twice(open, key, end, keys.count)) {
			sc.messy = true
		}
		i = sc.space(end)
		if i >= len(sc.s) || sc.s[i] != ':' {
			return -1
		}
		if i = sc.value(sc.space(i + 1)); i < 0 {
			return -1
		}
		i = sc.space(i)
		switch {
		case i >= len(sc.s):
			return -1
		case sc.s[i] == ',':
			i = sc.space(i + 1)
		case sc.s[i] == '}':
			sc.depth--
			return i + 1
		default:
			return -1
		}
	}
}

// comparedKeys is up to how many keys of a nested object are compared with each other
// while it is scanned; an object with more is taken for messy.
const comparedKeys = 32

// twice reports whether the key at s[key:end] stands before in the object that opens
// at open, or may do so.
func (sc *scanner) twice(open, key, end, count int) bool {
	if count > comparedKeys {
		return true
	}
	name := sc.s[key:end]
	for i := skipSpace(sc.s, open+1); i < key; {
		next := skipString(sc.s, i)
		if sc.s[i:next] == name {
			return true
		}
		i = skipValue(sc.s, skipSpace(sc.s, skipSpace(sc.s, next)+1))
		i = skipSpace(sc.s, skipSpace(sc.s, i)+1)
	}
	return false
}

// keySet remembers keys roughly: what it has not seen is new for certain.
type keySet struct {
	seen  uint64
	count int
}

// collides adds a key, quotes included, and reports whether a key like it was there.
func (k *keySet) collides(key string) bool {
	n := len(key)
	h := uint(n) + uint(key[n/2])*5 + uint(key[min(1, n-1)])*11 + uint(key[max(n-2, 0)])*23
	bit := uint64(1) << (h & 63)
	k.count++
	if k.seen&bit != 0 {
		return true
	}
	k.seen |= bit
	return false
}
