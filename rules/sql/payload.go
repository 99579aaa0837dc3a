package sql

import (
	"strings"
	"unsafe"
)

// payloadState is how far a payload has been looked at.
type payloadState uint8

const (
	payloadUnread  payloadState = iota
	payloadPartial              // an object, read up to a member
	payloadObject               // a whole, valid object
	payloadOther                // a valid JSON value that is no object
	payloadBinary               // empty, not JSON, or not valid UTF-8
)

// payload is the message's payload and, once it was needed, the places of its
// members. An object is read member by member, so that a WHERE which fails on the
// first member need not read on.
type payload struct {
	text    string
	state   payloadState
	scan    scanner
	keys    keySet
	pos     int // where to read on
	members []field
	start   int // of the value
	end     int
}

// field is one key and its value in the payload.
type field struct {
	key, keyEnd uint32 // the key without its quotes
	start, end  uint32 // the value
	escaped     bool   // the key has escapes
	form        form   // of the value, if it is an array or object
}

// maxPeek is the longest payload that a WHERE looks into before it is read whole.
const maxPeek = 4 << 10

// reset begins a new payload. It does not copy it: a message's payload never changes
// once it is accepted.
func (p *payload) reset(b []byte) {
	const keep = 1 << 10
	members := p.members[:0]
	if cap(members) > keep {
		members = nil
	}
	*p = payload{members: members}
	if len(b) > 0 {
		p.text = unsafe.String(unsafe.SliceData(b), len(b)) //nolint:gosec // a view of bytes that are read-only by contract
	}
}

// read reads the rest of the payload.
func (p *payload) read() {
	if p.state == payloadUnread {
		p.open()
	}
	for p.state == payloadPartial {
		p.step()
	}
}

// open reads up to the first member of an object, or a value that is none.
func (p *payload) open() {
	s := p.text
	p.scan.s = s
	p.start = skipSpace(s, 0)
	if p.start == len(s) {
		p.state = payloadBinary
		return
	}
	if s[p.start] != '{' {
		_, end, as, ok := validate(s)
		p.end, p.state = end, payloadBinary
		if ok {
			p.state = payloadOther
			p.scan.messy, p.scan.spaced = as == formMessy, as != formTidy
		}
		return
	}
	p.state, p.scan.depth = payloadPartial, 1
	p.pos = p.scan.space(p.start + 1)
	if p.pos < len(s) && s[p.pos] == '}' {
		p.close()
	}
}

// close reads what may stand behind the object.
func (p *payload) close() {
	p.end = p.pos + 1
	p.state = payloadObject
	if skipSpace(p.text, p.end) != len(p.text) {
		p.bad()
	}
}

func (p *payload) bad() {
	p.state = payloadBinary
	p.members = p.members[:0]
}

// step reads one member.
func (p *payload) step() {
	s, sc, i := p.text, &p.scan, p.pos
	if i >= len(s) || s[i] != '"' {
		p.bad()
		return
	}
	end, escaped := sc.str(i)
	if end < 0 {
		p.bad()
		return
	}
	m := field{key: uint32(i + 1), keyEnd: uint32(end - 1), escaped: escaped}
	twice := escaped || p.keys.collides(s[i:end]) && p.has(s[m.key:m.keyEnd])
	i = sc.space(end)
	if i >= len(s) || s[i] != ':' {
		p.bad()
		return
	}
	i = sc.space(i + 1)
	spaced, messy := sc.spaced, sc.messy
	sc.spaced, sc.messy = false, false
	end = sc.value(i)
	if end < 0 {
		p.bad()
		return
	}
	m.start, m.end, m.form = uint32(i), uint32(end), sc.form()
	sc.spaced, sc.messy = sc.spaced || spaced, sc.messy || messy || twice
	p.members = append(p.members, m)
	i = sc.space(end)
	switch {
	case i >= len(s):
		p.bad()
	case s[i] == ',':
		p.pos = sc.space(i + 1)
	case s[i] == '}':
		p.pos = i
		p.close()
	default:
		p.bad()
	}
}

// has reports whether a key was read, or may have been where there are so many that
// to compare them all would take long.
func (p *payload) has(raw string) bool {
	const compared = 256
	if len(p.members) > compared {
		return true
	}
	for i := range p.members {
		if m := &p.members[i]; p.text[m.key:m.keyEnd] == raw {
			return true
		}
	}
	return false
}

// lookup gives the value of a key, the last one if it stands there twice.
func (p *payload) lookup(key string, whole bool) value {
	if p.state != payloadObject {
		if p.read(); p.state != payloadObject {
			return undefined
		}
	}
	for i := len(p.members) - 1; i >= 0; i-- {
		m := &p.members[i]
		raw := p.text[m.key:m.keyEnd]
		if raw == key && !m.escaped || m.escaped && unescape(raw) == key {
			return jsonValue(p.text[m.start:m.end], m.form, whole)
		}
	}
	return undefined
}

// peek gives the value of a key without reading behind it. ok is false if it cannot
// be told for certain: then the payload has to be read. The text behind the value may
// turn out not to be JSON, so a value that peek gives can only serve to fail a WHERE
// that fails for Undefined too.
// rare is where in the key its rarest letter stands (see rarest).
func (p *payload) peek(key string, rare int, whole bool) (v value, ok bool) {
	if len(p.text) > maxPeek {
		return undefined, false
	}
	if p.state == payloadUnread {
		p.open()
	}
	for seen := 0; ; p.step() {
		for ; seen < len(p.members); seen++ {
			m := &p.members[seen]
			if m.escaped || p.text[m.key:m.keyEnd] != key {
				continue
			}
			rest := p.text[m.end:]
			if contains(rest, key, rare) || strings.IndexByte(rest, '\\') >= 0 {
				return undefined, false // the key may stand there again
			}
			return jsonValue(p.text[m.start:m.end], m.form, whole), true
		}
		if p.state != payloadPartial {
			return undefined, false
		}
	}
}

// rarest gives the place of the letter of a key that is the least frequent in keys and
// English text, the last of the list below that the key has.
func rarest(key string) int {
	const letters = `etaoinsrdlucmhpgfybvwkTSIDACEPRMxNLOqBFGjzHVUWKYXJQZ_0123456789`
	best, at := -1, 0
	for i := range len(key) {
		if n := strings.IndexByte(letters, key[i]); n > best {
			best, at = n, i
		}
	}
	return at
}

// contains reports whether key is in s. It looks for the key's rarest letter, which is
// several times faster on JSON than to look for its first.
func contains(s, key string, rare int) bool {
	for i := rare; i < len(s); i++ {
		n := strings.IndexByte(s[i:], key[rare])
		if n < 0 {
			return false
		}
		i += n
		if from := i - rare; len(s)-from >= len(key) && s[from:from+len(key)] == key {
			return true
		}
	}
	return false
}

// root is what * stands for: the payload as a value, Undefined if it is not JSON.
func (p *payload) root(whole bool) value {
	p.read()
	if p.state == payloadBinary {
		return undefined
	}
	return jsonValue(p.text[p.start:p.end], p.scan.form(), whole)
}

// clean reports whether the payload is an object in which no key stands twice and no
// key has escapes.
func (p *payload) clean() bool {
	p.read()
	return p.state == payloadObject && !p.scan.messy
}
