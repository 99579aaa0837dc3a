package yamldoc

import (
	"strings"
	"unicode/utf8"
)

// source is the text of one file.
type source struct {
	name  string
	order int // when it was loaded, counted from 0
	lines []string
}

// newSource takes a file's text with line breaks already made "\n".
func newSource(name string, order int, text string) *source {
	return &source{name: name, order: order, lines: strings.Split(text, "\n")}
}

// line gives the text of a line counted from 1; nothing if there is none.
func (s *source) line(n int) string {
	if n < 1 || n > len(s.lines) {
		return ""
	}
	return s.lines[n-1]
}

// at makes a Position.
func (s *source) at(line, column int) Position {
	return Position{File: s.name, Line: line, Column: column}
}

// cursor walks over the characters of a source.
type cursor struct {
	src    *source
	line   int // from 1
	offset int // in bytes within the line
}

// cursorAt stands on a character.
func (s *source) cursorAt(line, column int) cursor {
	c := cursor{src: s, line: line}
	text := s.line(line)
	for range column - 1 {
		_, n := utf8.DecodeRuneInString(text[c.offset:])
		c.offset += n
	}
	return c
}

// peek gives the character that the cursor stands on: '\n' at the end of a line,
// false at the end of the text.
func (c *cursor) peek() (rune, bool) {
	if c.line > len(c.src.lines) {
		return 0, false
	}
	text := c.src.line(c.line)
	if c.offset >= len(text) {
		return '\n', c.line < len(c.src.lines)
	}
	r, _ := utf8.DecodeRuneInString(text[c.offset:])
	return r, true
}

// next moves one character on.
func (c *cursor) next() {
	text := c.src.line(c.line)
	if c.offset >= len(text) {
		c.line++
		c.offset = 0
		return
	}
	_, n := utf8.DecodeRuneInString(text[c.offset:])
	c.offset += n
}

// position is where the cursor stands.
func (c *cursor) position() Position {
	text := c.src.line(c.line)
	return c.src.at(c.line, utf8.RuneCountInString(text[:min(c.offset, len(text))])+1)
}

// skipSpace moves to the next character that is neither blank nor a line break.
func (c *cursor) skipSpace() {
	for {
		r, ok := c.peek()
		if !ok || r != ' ' && r != '\t' && r != '\n' {
			return
		}
		c.next()
	}
}
