package sql

import (
	"strings"
	"unicode/utf8"
)

// appendJSON writes a value as JSON without spaces. Undefined members and elements
// are left out, and Undefined alone writes nothing. What it writes is charged to the
// run, so that a few small values cannot grow into a large output.
func (in *Input) appendJSON(dst []byte, v value) []byte {
	start := len(dst)
	switch v.kind {
	case kindUndefined:
		return dst
	case kindNull:
		return append(dst, "null"...)
	case kindBoolean:
		if v.n != 0 {
			return append(dst, "true"...)
		}
		return append(dst, "false"...)
	case kindInt, kindDecimal:
		if v.s != "" {
			return append(dst, v.s...)
		}
		return appendNumber(dst, v)
	case kindString:
		if v.form == formText {
			dst = appendString(dst, v.s)
		} else {
			dst = append(append(append(dst, '"'), v.s...), '"')
		}
	case kindArray, kindObject:
		if v.form != formBuilt && !in.spend(len(v.s)) {
			return dst
		}
		switch v.form {
		case formTidy:
			return append(dst, v.s...)
		case formSpaced:
			return appendTidied(dst, v.s)
		case formMessy:
			if v.kind == kindObject {
				v = in.deduplicated(v)
			}
		default: // built, or a messy array
		}
		return in.appendItems(dst, v)
	}
	in.spend(len(dst) - start)
	return dst
}

// appendItems writes an array or object item by item.
func (in *Input) appendItems(dst []byte, v value) []byte {
	open, shut := byte('['), byte(']')
	if v.kind == kindObject {
		open, shut = '{', '}'
	}
	dst = append(dst, open)
	first := true
	for w := newWalk(v, false); w.next() && in.spend(2); {
		if !w.item.defined() {
			continue
		}
		if !first {
			dst = append(dst, ',')
		}
		first = false
		if v.kind == kindObject {
			dst = append(appendString(dst, w.key), ':')
			in.spend(len(w.key))
		}
		dst = in.appendJSON(dst, w.item)
	}
	return append(dst, shut)
}

// deduplicated makes an object in which the later of two equal keys won.
func (in *Input) deduplicated(v value) value {
	o := &object{}
	for w := newWalk(v, in.whole); w.next() && in.spend(64); {
		o.put(w.key, w.item)
	}
	return o.value()
}

// appendTidied copies JSON text without its spaces.
func appendTidied(dst []byte, s string) []byte {
	for i := 0; i < len(s); {
		switch c := s[i]; c {
		case '"':
			end := skipString(s, i)
			dst = append(dst, s[i:end]...)
			i = end
		case ' ', '\t', '\n', '\r':
			i++
		default:
			dst = append(dst, c)
			i++
		}
	}
	return dst
}

// appendString writes text as a JSON string. Bytes that are no UTF-8 become U+FFFD.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	from := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= ' ' && c != '"' && c != '\\' && c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r != utf8.RuneError || size > 1 {
				i += size
				continue
			}
		}
		dst = append(dst, s[from:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		case '\b':
			dst = append(dst, '\\', 'b')
		case '\f':
			dst = append(dst, '\\', 'f')
		default:
			if c >= utf8.RuneSelf {
				dst = append(dst, "\ufffd"...)
			} else {
				const hexDigits = "0123456789abcdef"
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			}
		}
		i++
		from = i
	}
	return append(append(dst, s[from:]...), '"')
}

// keyJSON is a key as it stands in an object: quoted, with its colon.
func keyJSON(key string) string {
	return strings.Clone(string(append(appendString(nil, key), ':')))
}
