package sql

import (
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// javaPattern rewrites a regular expression of Java's dialect, which AWS has, for RE2.
// (https://docs.oracle.com/en/java/javase/11/docs/api/java.base/java/util/regex/Pattern.html)
type javaPattern struct {
	src    string
	i      int
	out    strings.Builder
	dotAll bool   // (?s): . takes line ends
	multi  bool   // (?m): $ looks before every line end
	groups []bool // dotAll and multi of the groups around, one behind the other
	ends   bool   // $ or \Z is in it outside of (?m)
	lazy   bool   // so is a quantifier that takes as little as it can
	names  []string

	only  string // what Java has and RE2 has not, or has for something else
	wrong string // what Java refuses and RE2 takes
}

// The classes that Java and RE2 have under other names, or with other members, as they
// stand in brackets.
const (
	javaSpace      = ` \t\n\x0b\f\r`
	javaNoSpace    = `\x00-\x08\x0e-\x1f!-\x{10FFFF}`
	javaLineEnds   = `\n\r\x{85}\x{2028}\x{2029}`
	javaVertical   = `\x0b\f` + javaLineEnds
	javaHorizontal = `\t\x{20}\x{A0}\x{1680}\x{180e}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}`
)

// fromJava rewrites what Java and RE2 write differently.
func fromJava(s string) *javaPattern {
	p := &javaPattern{src: s}
	for p.i < len(s) && p.only == "" && p.wrong == "" {
		p.next()
	}
	return p
}

// next rewrites what comes next outside of a class.
func (p *javaPattern) next() {
	c := p.src[p.i]
	p.i++
	switch c {
	case '\\':
		p.escape()
	case '[':
		p.class()
	case '.':
		if p.dotAll {
			p.out.WriteByte('.')
		} else {
			p.out.WriteString(`[^` + javaLineEnds + `]`)
		}
	case '$':
		p.ends = p.ends || !p.multi
		p.out.WriteByte('$')
	case '{':
		p.repetition()
		p.lazy = p.lazy || strings.HasPrefix(p.src[p.i:], "?")
	case '*', '+', '?':
		p.lazy = p.lazy || strings.HasPrefix(p.src[p.i:], "?")
		p.out.WriteByte(c)
	case '(':
		p.group()
	case ')':
		if n := len(p.groups); n > 0 {
			p.dotAll, p.multi, p.groups = p.groups[n-2], p.groups[n-1], p.groups[:n-2]
		}
		p.out.WriteByte(')')
	default:
		p.out.WriteByte(c)
	}
}

// repetition copies {2,3}. A brace that begins none is an error for Java, and text for
// RE2.
func (p *javaPattern) repetition() {
	body, _, closed := strings.Cut(p.src[p.i:], "}")
	least, most, ranged := strings.Cut(body, ",")
	if !closed || least == "" || strings.Trim(least, "0123456789") != "" || ranged && strings.Trim(most, "0123456789") != "" {
		p.wrong = "a { that begins no repetition; write \\{ for the character"
		return
	}
	p.out.WriteString("{" + body + "}")
	p.i += len(body) + 1
}

// group copies the beginning of a group with its flags.
func (p *javaPattern) group() {
	rest := p.src[p.i:]
	p.groups = append(p.groups, p.dotAll, p.multi)
	p.out.WriteByte('(')
	if !strings.HasPrefix(rest, "?") {
		return
	}
	for _, look := range []string{"?<=", "?<!"} {
		if strings.HasPrefix(rest, look) {
			p.only = "(" + look + " (look-behind)"
			return
		}
	}
	if name, _, ok := strings.Cut(rest, ">"); ok && strings.HasPrefix(name, "?<") {
		if slices.Contains(p.names, name) {
			p.wrong = "two groups " + name[len("?<"):]
			return
		}
		p.names = append(p.names, name)
	}
	n := 1
	for n < len(rest) && strings.IndexByte("idmsuxU-", rest[n]) >= 0 {
		n++
	}
	if n == 1 || n == len(rest) || rest[n] != ':' && rest[n] != ')' {
		p.out.WriteByte('?') // (?<name>, (?: or something that RE2 refuses
		p.i++
		return
	}
	p.flags(rest[1:n])
	if p.i += n + 1; rest[n] == ')' {
		p.groups = p.groups[:len(p.groups)-2] // they hold for the rest of the group around
		p.out.WriteByte(')')
		return
	}
	p.out.WriteByte(':')
}

// flags writes the flags of (?ms-i: and keeps those that matter here.
func (p *javaPattern) flags(flags string) {
	on, kept := true, ""
	for _, f := range []byte(flags) {
		switch f {
		case '-':
			on = false
		case 's':
			p.dotAll = on
		case 'm':
			p.multi = on
		case 'u': // RE2 takes no notice of what is ASCII
			continue
		case 'U':
			p.only = "(?U (Unicode classes)"
		}
		kept += string(rune(f))
	}
	if kept == "" || kept == "-" {
		kept = "-U" // no flag: RE2 has no empty list
	}
	p.out.WriteString("?" + strings.TrimSuffix(kept, "-"))
}

// escape rewrites what stands behind a backslash.
func (p *javaPattern) escape() {
	if p.i == len(p.src) {
		p.wrong = "a backslash at its end"
		return
	}
	c := p.src[p.i]
	if p.character(c) {
		return
	}
	p.i++
	switch {
	case c == 's':
		p.out.WriteString(`[` + javaSpace + `]`)
	case c == 'S':
		p.out.WriteString(`[^` + javaSpace + `]`)
	case c == 'h':
		p.out.WriteString(`[` + javaHorizontal + `]`)
	case c == 'H':
		p.out.WriteString(`[^` + javaHorizontal + `]`)
	case c == 'v':
		p.out.WriteString(`[` + javaVertical + `]`)
	case c == 'V':
		p.out.WriteString(`[^` + javaVertical + `]`)
	case c == 'R':
		p.out.WriteString(`(?:\r\n|[` + javaVertical + `])`)
	case c == 'Z':
		p.ends = true
		p.out.WriteString(`\z`)
	case c == 'p' || c == 'P':
		p.property(c, false)
	case '1' <= c && c <= '9':
		p.only = `\` + string(rune(c)) + " (a back-reference)"
	default:
		p.out.WriteString(`\` + string(rune(c)))
	}
}

// character rewrites an escape that means the same in a class and outside of one. ok
// is false if it is another.
func (p *javaPattern) character(c byte) (ok bool) {
	rest := p.src[p.i:]
	n := 1 // how much of it is used
	switch {
	case c == 'Q':
		text, _, closed := strings.Cut(rest[1:], `\E`)
		p.text(text)
		if n = 1 + len(text); closed {
			n += len(`\E`)
		}
	case c == '0':
		for n < len(rest) && n < 4 && '0' <= rest[n] && rest[n] <= '7' && (n < 3 || rest[1] <= '3') {
			n++
		}
		if n == 1 {
			p.wrong = `\0 without octal digits`
			return true
		}
		p.code(octal(rest[1:n]))
	case c == 'u':
		r, ok := hexDigits(rest[1:], 4)
		if !ok {
			p.wrong = `\u without four hexadecimal digits`
			return true
		}
		n = 5
		if low, ok := hexDigits(strings.TrimPrefix(rest[n:], `\u`), 4); ok && strings.HasPrefix(rest[n:], `\u`) && 0xD800 <= r && r < 0xDC00 && 0xDC00 <= low && low < 0xE000 {
			r, n = 0x10000+(r-0xD800)<<10+(low-0xDC00), n+6
		}
		p.code(r)
	case c == 'x' && strings.HasPrefix(rest, "x{"):
		n = len(rest)
		if end := strings.IndexByte(rest, '}'); end >= 0 {
			n = end + 1
		}
		p.out.WriteString(`\` + rest[:n])
	case c == 'c' && len(rest) > 1:
		p.code(rune(rest[1]) ^ 64)
		n = 2
	case c == 'e':
		p.out.WriteString(`\x1b`)
	case c >= utf8.RuneSelf: // a backslash before it says nothing
		_, n = utf8.DecodeRuneInString(rest)
		p.out.WriteString(rest[:n])
	case strings.IndexByte("CEFIJKLMOTUYgijlmoqy", c) >= 0:
		p.wrong = `\` + string(rune(c)) + ", which means nothing"
	default:
		return false
	}
	p.i += n
	return true
}

// text writes text that has no special meaning.
func (p *javaPattern) text(s string) {
	for _, r := range s {
		if r < utf8.RuneSelf && !nameStart(byte(r)) && !digit(byte(r)) {
			p.out.WriteByte('\\')
		}
		p.out.WriteRune(r)
	}
}

// code writes a character by its number.
func (p *javaPattern) code(r rune) {
	const digits = "0123456789ABCDEF"
	p.out.WriteString(`\x{`)
	for shift := 20; shift >= 0; shift -= 4 {
		p.out.WriteByte(digits[r>>shift&15])
	}
	p.out.WriteByte('}')
}

func octal(s string) (r rune) {
	for _, c := range []byte(s) {
		r = r<<3 | rune(c-'0')
	}
	return r
}

// hexDigits reads a number of n hexadecimal digits.
func hexDigits(s string, n int) (r rune, ok bool) {
	if len(s) < n {
		return 0, false
	}
	for _, c := range []byte(s[:n]) {
		switch {
		case digit(c):
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// class copies a character class.
func (p *javaPattern) class() {
	p.out.WriteByte('[')
	if strings.HasPrefix(p.src[p.i:], "^") {
		p.out.WriteByte('^')
		p.i++
	}
	for first := true; p.i < len(p.src) && p.only == "" && p.wrong == ""; first = false {
		c := p.src[p.i]
		switch {
		case c == '\\':
			p.i++
			p.classEscape()
			continue
		case c == '[' && strings.HasPrefix(p.src[p.i:], "[:"):
			name, _, closed := strings.Cut(p.src[p.i:], ":]")
			if !closed {
				p.only = "a character class inside another"
				return
			}
			p.out.WriteString(name + ":]") // not Java's, and useful
			p.i += len(name) + len(":]")
			continue
		case c == '[':
			p.only = "a character class inside another"
		case c == '&' && strings.HasPrefix(p.src[p.i:], "&&"):
			p.only = "an intersection of character classes"
		case c == ']' && !first:
			p.out.WriteByte(c)
			p.i++
			return
		}
		p.out.WriteByte(c)
		p.i++
	}
}

// classEscape rewrites what stands behind a backslash in a class.
func (p *javaPattern) classEscape() {
	if p.i == len(p.src) {
		p.wrong = "a backslash at its end"
		return
	}
	c := p.src[p.i]
	if p.character(c) {
		return
	}
	p.i++
	switch c {
	case 's':
		p.out.WriteString(javaSpace)
	case 'S':
		p.out.WriteString(javaNoSpace)
	case 'h':
		p.out.WriteString(javaHorizontal)
	case 'v':
		p.out.WriteString(javaVertical)
	case 'H', 'V':
		p.only = `\` + string(rune(c)) + " in a character class"
	case 'p', 'P':
		p.property(c, true)
	default:
		if digit(c) || strings.IndexByte("ABGNRXZbkz", c) >= 0 {
			p.wrong = `\` + string(rune(c)) + " in a character class"
			return
		}
		p.out.WriteString(`\` + string(rune(c)))
	}
}

// property rewrites \p{Name}, whose p has been read.
func (p *javaPattern) property(c byte, inClass bool) {
	name, _, closed := strings.Cut(strings.TrimPrefix(p.src[p.i:], "{"), "}")
	if !strings.HasPrefix(p.src[p.i:], "{") || !closed {
		p.out.WriteString(`\` + string(rune(c))) // \pL, or something that RE2 refuses
		return
	}
	p.i += len(name) + len("{}")
	switch name {
	case "Lower", "Upper", "ASCII", "Alpha", "Digit", "Alnum", "Punct", "Graph", "Print", "Blank", "Cntrl", "XDigit", "Space":
		posix := strings.ToLower(name)
		if c == 'P' {
			posix = "^" + posix
		}
		if posix = "[:" + posix + ":]"; !inClass {
			posix = "[" + posix + "]"
		}
		p.out.WriteString(posix)
		return
	}
	if is, ok := strings.CutPrefix(name, "Is"); ok && (unicode.Scripts[is] != nil || unicode.Categories[is] != nil) {
		name = is
	}
	p.out.WriteString(`\` + string(rune(c)) + "{" + name + "}")
}
