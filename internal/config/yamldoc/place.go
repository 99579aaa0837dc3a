package yamldoc

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// place finds where a byte of a scalar's text, before references are replaced, stands
// in the file. What it cannot follow is placed at the scalar's start.
//
// It walks along the text and the source side by side. YAML's folding and indentation
// change nothing but white space, so white space is skipped on both sides; the rest
// has to agree, escapes undone.
func (n *Node) place(offset int) Position {
	c := n.src.cursorAt(n.line, n.column)
	switch n.style {
	case singleQuoted, doubleQuoted:
		c.next()
	case literalBlock, foldedBlock:
		c = cursor{src: n.src, line: n.line + 1}
	case plain:
	}
	for i, want := range n.text {
		if want == ' ' || want == '\t' || want == '\n' || want == '\r' {
			if i >= offset {
				return c.position()
			}
			continue
		}
		at, got, ok := n.read(&c)
		if !ok || got != want {
			return n.Position()
		}
		if i >= offset {
			return at
		}
	}
	return c.position()
}

// read takes the next character that is not white space, and says where it stood.
func (n *Node) read(c *cursor) (at Position, got rune, ok bool) {
	for {
		c.skipSpace()
		at = c.position()
		got, ok = c.peek()
		if !ok {
			return at, 0, false
		}
		c.next()
		switch {
		case n.style == singleQuoted && got == '\'':
			c.next() // '' stands for '
		case n.style == doubleQuoted && got == '\\':
			if got, ok = escape(c); !ok {
				return at, 0, false
			}
			if got == ' ' {
				continue
			}
		}
		return at, got, true
	}
}

// escape reads what follows a backslash; white space of any sort comes back as ' '.
func escape(c *cursor) (rune, bool) {
	r, ok := c.peek()
	if !ok {
		return 0, false
	}
	c.next()
	switch r {
	case 'n', 't', 'r', ' ', '\t', '\n':
		return ' ', true
	case 'x':
		return hexRune(c, 2)
	case 'u':
		high, ok := hexRune(c, 4)
		if !ok || high < 0xd800 || high > 0xdbff {
			return high, ok
		}
		c.next() // the backslash and the u of the second half
		c.next()
		low, ok := hexRune(c, 4)
		return (high-0xd800)<<10 + (low - 0xdc00) + 0x10000, ok
	case 'U':
		return hexRune(c, 8)
	}
	if i := strings.IndexRune("0abefvN_LP", r); i >= 0 {
		return [...]rune{0, '\a', '\b', 0x1b, '\f', '\v', 0x85, 0xa0, 0x2028, 0x2029}[i], true
	}
	return r, true
}

func hexRune(c *cursor, digits int) (rune, bool) {
	var s []byte
	for range digits {
		r, ok := c.peek()
		if !ok || r >= utf8.RuneSelf {
			return 0, false
		}
		s = append(s, byte(r))
		c.next()
	}
	v, err := strconv.ParseUint(string(s), 16, 32)
	return rune(v), err == nil
}

// rawOffset leads from a byte of the expanded text to one of the raw text: to the
// reference's start from within what it was replaced by.
func (e expansion) rawOffset(offset int) int {
	shift := 0
	for _, s := range e.segments {
		switch {
		case offset < s.start:
			return offset + shift
		case offset < s.end:
			return s.rawStart
		}
		shift = s.rawEnd - s.end
	}
	return offset + shift
}

// textOffset is the byte at a line and column, both from 1, the column in characters.
func textOffset(text string, line, column int) int {
	offset := 0
	for range line - 1 {
		i := strings.IndexByte(text[offset:], '\n')
		if i < 0 {
			return len(text)
		}
		offset += i + 1
	}
	for range column - 1 {
		if offset >= len(text) {
			break
		}
		_, n := utf8.DecodeRuneInString(text[offset:])
		offset += n
	}
	return offset
}
