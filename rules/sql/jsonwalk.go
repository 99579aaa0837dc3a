package sql

import (
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// The functions here walk JSON text that has been validated; they check nothing again.

// skipString passes the string whose quote is at i.
func skipString(s string, i int) int {
	for i++; ; i++ {
		switch s[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}

// skipValue passes the value that begins at i.
func skipValue(s string, i int) int {
	switch s[i] {
	case '"':
		return skipString(s, i)
	case '{', '[':
		for depth := 0; ; {
			switch s[i] {
			case '"':
				i = skipString(s, i)
				continue
			case '{', '[':
				depth++
			case '}', ']':
				if depth--; depth == 0 {
					return i + 1
				}
			}
			i++
		}
	}
	for i < len(s) {
		switch s[i] {
		case ',', ']', '}', ' ', '\n', '\t', '\r':
			return i
		}
		i++
	}
	return i
}

// jsonValue makes a value of the text of one. as says how an array or object of that
// text is held.
func jsonValue(s string, as form, whole bool) value {
	switch s[0] {
	case '"':
		inside := s[1 : len(s)-1]
		if strings.IndexByte(inside, '\\') >= 0 {
			return value{kind: kindString, form: formEscaped, s: inside}
		}
		return value{kind: kindString, form: formPlain, s: inside}
	case '{':
		return value{kind: kindObject, form: as, s: s}
	case '[':
		return value{kind: kindArray, form: as, s: s}
	case 't':
		return yes
	case 'f':
		return no
	case 'n':
		return null
	}
	return parseNumber(s, whole)
}

// walk visits the members of an object or the elements of an array, in their order,
// whether it is built or text. The key is empty for an element. An object visits
// a key that stands twice in its text twice.
type walk struct {
	v     value
	whole bool
	i     int
	key   string
	item  value
}

func newWalk(v value, whole bool) walk {
	w := walk{v: v, whole: whole}
	if v.form != formBuilt {
		w.i = skipSpace(v.s, 1)
	}
	return w
}

// next goes to the next member or element.
func (w *walk) next() bool {
	if w.v.form == formBuilt {
		return w.nextBuilt()
	}
	s := w.v.s
	if s[w.i] == '}' || s[w.i] == ']' {
		return false
	}
	if w.v.kind == kindObject {
		end := skipString(s, w.i)
		w.key = unescape(s[w.i+1 : end-1])
		w.i = skipSpace(s, skipSpace(s, end)+1)
	}
	end := skipValue(s, w.i)
	w.item = jsonValue(s[w.i:end], w.v.form, w.whole)
	w.i = skipSpace(s, end)
	if s[w.i] == ',' {
		w.i = skipSpace(s, w.i+1)
	}
	return true
}

func (w *walk) nextBuilt() bool {
	if o := w.v.object(); o != nil {
		if w.i == len(o.keys) {
			return false
		}
		w.key, w.item = o.keys[w.i], o.values[w.i]
	} else {
		l := w.v.list()
		if w.i == len(l.items) {
			return false
		}
		w.item = l.items[w.i]
	}
	w.i++
	return true
}

// find gives the value of a key of an object, Undefined if there is none. Of a key
// that stands twice the later one counts.
func find(v value, key string, whole bool) value {
	if o := v.object(); o != nil {
		if i := o.find(key); i >= 0 {
			return o.values[i]
		}
		return undefined
	}
	found := ""
	s := v.s
	for i := skipSpace(s, 1); s[i] != '}'; {
		end := skipString(s, i)
		hit := sameKey(s[i+1:end-1], key)
		i = skipSpace(s, skipSpace(s, end)+1)
		end = skipValue(s, i)
		if hit {
			found = s[i:end]
			if v.form != formMessy {
				break
			}
		}
		if i = skipSpace(s, end); s[i] == ',' {
			i = skipSpace(s, i+1)
		}
	}
	if found == "" {
		return undefined
	}
	return jsonValue(found, v.form, whole)
}

// sameKey compares a key as it stands in JSON text with a name.
func sameKey(raw, name string) bool {
	if raw == name {
		return strings.IndexByte(raw, '\\') < 0
	}
	return len(raw) > len(name) && strings.IndexByte(raw, '\\') >= 0 && unescape(raw) == name
}

// element gives an element of an array, Undefined if there is none.
func element(v value, at int64, whole bool) value {
	if at < 0 {
		return undefined
	}
	if l := v.list(); l != nil {
		if at < int64(len(l.items)) {
			return l.items[at]
		}
		return undefined
	}
	s := v.s
	for i := skipSpace(s, 1); s[i] != ']'; at-- {
		end := skipValue(s, i)
		if at == 0 {
			return jsonValue(s[i:end], v.form, whole)
		}
		if i = skipSpace(s, end); s[i] == ',' {
			i = skipSpace(s, i+1)
		}
	}
	return undefined
}

// unescape gives the text of the inside of a JSON string. Half a surrogate pair
// becomes U+FFFD.
func unescape(s string) string {
	i := strings.IndexByte(s, '\\')
	if i < 0 {
		return s
	}
	out := make([]byte, i, len(s))
	copy(out, s)
	for i < len(s) {
		if s[i] != '\\' {
			out = append(out, s[i])
			i++
			continue
		}
		c := s[i+1]
		i += 2
		switch c {
		case 'b':
			c = '\b'
		case 'f':
			c = '\f'
		case 'n':
			c = '\n'
		case 'r':
			c = '\r'
		case 't':
			c = '\t'
		case 'u':
			r := hex4(s[i:])
			i += 4
			if utf16.IsSurrogate(r) {
				low := rune(-1)
				if i+6 <= len(s) && s[i] == '\\' && s[i+1] == 'u' {
					low = hex4(s[i+2:])
				}
				if r = utf16.DecodeRune(r, low); r != utf8.RuneError {
					i += 6
				}
			}
			out = utf8.AppendRune(out, r)
			continue
		}
		out = append(out, c)
	}
	return string(out)
}

func hex4(s string) (r rune) {
	for _, c := range []byte(s[:4]) {
		switch {
		case digit(c):
			c -= '0'
		default:
			c = c | 0x20 - 'a' + 10
		}
		r = r<<4 | rune(c)
	}
	return r
}
