package wire

import (
	"strings"
)

// Param is one NAME=VALUE after a semicolon in a header.
type Param struct{ Name, Value string }

// headerValue is one element of a header: a value and its parameters.
type headerValue struct {
	value  string
	params []Param
}

func (h *headerValue) get(name string) string {
	for _, p := range h.params {
		if p.Name == name {
			return p.Value
		}
	}
	return ""
}

func (h *headerValue) has(name string) bool {
	for _, p := range h.params {
		if p.Name == name {
			return true
		}
	}
	return false
}

// splitHeader takes header lines apart at commas, unless they stand in quotes or angle
// brackets.
func splitHeader(lines []string) []headerValue {
	var out []headerValue
	for _, line := range lines {
		for _, element := range splitOutside(line, ',') {
			if element = strings.TrimSpace(element); element != "" {
				out = append(out, parseElement(element))
			}
		}
	}
	return out
}

// parseElement takes VALUE; NAME=VALUE; ... apart.
func parseElement(s string) headerValue {
	parts := splitOutside(s, ';')
	h := headerValue{value: unquote(strings.TrimSpace(parts[0]))}
	for _, p := range parts[1:] {
		name, value, _ := strings.Cut(p, "=")
		if name = strings.ToLower(strings.TrimSpace(name)); name != "" {
			h.params = append(h.params, Param{name, unquote(strings.TrimSpace(value))})
		}
	}
	return h
}

// splitOutside splits at sep where it stands neither in quotes nor in angle brackets.
func splitOutside(s string, sep byte) []string {
	var out []string
	start, quoted, angled := 0, false, false
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angled = true
		case c == '>':
			angled = false
		case c == sep && !angled:
			out = append(out, s[start:i])
			start = i + 1
		}
	}
	return append(out, s[start:])
}

// unquote takes the quotes off a quoted string (RFC 9110, section 5.6.4).
func unquote(s string) string {
	if len(s) < 2 || s[0] != '"' || s[len(s)-1] != '"' {
		return s
	}
	s = s[1 : len(s)-1]
	if strings.IndexByte(s, '\\') < 0 {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

// unescape reads a C string's escapes: \\ \r \n \t \0 and \xHH.
func unescape(s string) (string, bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		if i++; i == len(s) {
			return "", false
		}
		switch s[i] {
		case '\\', '"', '\'', ';', ',':
			b.WriteByte(s[i])
		case 'r':
			b.WriteByte('\r')
		case 'n':
			b.WriteByte('\n')
		case 't':
			b.WriteByte('\t')
		case '0':
			b.WriteByte(0)
		case 'x':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return "", false
			}
			b.WriteByte(hexValue(s[i+1])<<4 | hexValue(s[i+2]))
			i += 2
		default:
			return "", false
		}
	}
	return b.String(), true
}

func isHex(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'f'
}

func hexValue(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}
