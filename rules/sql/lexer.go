package sql

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// lexer cuts the source into tokens, one at a time. It is small and is copied to
// look ahead.
type lexer struct {
	src string
	pos int
}

// next gives the next token. At the end it gives tokenEnd, again and again.
func (l *lexer) next() (token, *Error) {
	for l.pos < len(l.src) && strings.IndexByte(" \t\r\n\f\v", l.src[l.pos]) >= 0 {
		l.pos++
	}
	at := l.pos
	if at == len(l.src) {
		return token{at: at, end: at}, nil
	}
	c := l.src[at]
	switch {
	case nameStart(c):
		l.name()
		t := l.token(tokenName, at)
		t.keyword = keywordOf(t.text)
		return t, nil
	case digit(c):
		return l.number()
	case c == '\'' || c == '"':
		return l.str(c)
	case c == '@':
		return l.variable()
	}
	return l.sign()
}

func (l *lexer) token(kind tokenKind, at int) token {
	return token{kind: kind, text: l.src[at:l.pos], at: at, end: l.pos}
}

func (l *lexer) name() {
	for l.pos < len(l.src) && (nameStart(l.src[l.pos]) || digit(l.src[l.pos])) {
		l.pos++
	}
}

func (l *lexer) variable() (token, *Error) {
	at := l.pos
	l.pos++
	l.name()
	if l.pos == at+1 {
		return token{}, newError(l.src, at, "expected the name of a variable after @: letters, digits and underscores")
	}
	t := l.token(tokenVariable, at)
	t.text = t.text[1:]
	if len(t.text) > maxVariableName {
		return token{}, newError(l.src, at, fmt.Sprintf("a variable's name has at most %d characters, this one has %d", maxVariableName, len(t.text)))
	}
	return t, nil
}

func (l *lexer) number() (token, *Error) {
	at := l.pos
	l.digits()
	if l.at(0) == '.' && !nameStart(l.at(1)) && l.at(1) != '*' {
		l.pos++
		if !l.digits() {
			return token{}, newError(l.src, at, "expected digits after the point of the number "+l.src[at:l.pos])
		}
	}
	if c := l.at(0); c == 'e' || c == 'E' {
		l.pos++
		if s := l.at(0); s == '+' || s == '-' {
			l.pos++
		}
		if !l.digits() {
			return token{}, newError(l.src, at, "expected digits in the exponent of the number "+l.src[at:l.pos])
		}
	}
	if nameStart(l.at(0)) {
		end := l.pos
		l.name()
		return token{}, newError(l.src, at, fmt.Sprintf(
			"a name cannot begin with a digit: %.60s; write get(*, %s), or put a space after the number %s",
			l.src[at:l.pos], quoted(shorten(l.src[at:l.pos], 60)), shorten(l.src[at:end], 60)))
	}
	return l.token(tokenNumber, at), nil
}

// at looks at the byte i places on, 0 behind the end.
func (l *lexer) at(i int) byte {
	if l.pos+i < len(l.src) {
		return l.src[l.pos+i]
	}
	return 0
}

func (l *lexer) digits() bool {
	start := l.pos
	for digit(l.at(0)) {
		l.pos++
	}
	return l.pos > start
}

// str reads a string. Its quote stands doubled for itself. Between double quotes a
// backslash takes the next character along, so that \" does not end the string;
// every other backslash stays, because most of them belong to regular expressions.
func (l *lexer) str(quote byte) (token, *Error) {
	at := l.pos
	var text strings.Builder
	l.pos++
	for l.pos < len(l.src) {
		c := l.src[l.pos]
		switch {
		case c == quote && l.at(1) == quote:
			l.pos++
		case c == quote:
			l.pos++
			if !utf8.ValidString(text.String()) {
				return token{}, newError(l.src, at, "the string is not valid UTF-8")
			}
			return token{kind: tokenString, quote: quote, text: text.String(), at: at, end: l.pos}, nil
		case c == '\\' && quote == '"' && l.pos+1 < len(l.src):
			l.pos++
			if l.src[l.pos] != '"' {
				text.WriteByte('\\')
			}
			c = l.src[l.pos]
		}
		text.WriteByte(c)
		l.pos++
	}
	return token{}, newError(l.src, at, fmt.Sprintf("the string that begins here has no closing %c", quote))
}

// sign reads an operator or a bracket, longest first, and knows what other languages
// write instead.
func (l *lexer) sign() (token, *Error) {
	at := l.pos
	two := l.src[at:min(at+2, len(l.src))]
	switch two {
	case "<>", "<=", ">=":
		l.pos += 2
		return l.token(tokenSign, at), nil
	case "--":
		return token{}, newError(l.src, at, "--: the language has no comments; to subtract a negative number write - -")
	case "/*", "//":
		return token{}, newError(l.src, at, two+": the language has no comments")
	case "!=":
		return token{}, newError(l.src, at, "unexpected !=: write <> for not equal")
	case "==":
		return token{}, newError(l.src, at, "unexpected ==: write a single = for equal")
	case "&&":
		return token{}, newError(l.src, at, "unexpected &&: write AND")
	case "||":
		return token{}, newError(l.src, at, "unexpected ||: write OR, or + to join strings")
	}
	if strings.IndexByte("()[]{},.:*/%+-=<>", l.src[at]) >= 0 {
		l.pos++
		return l.token(tokenSign, at), nil
	}
	r, size := utf8.DecodeRuneInString(l.src[at:])
	what := fmt.Sprintf("unexpected character %q", r)
	switch {
	case r == utf8.RuneError && size <= 1:
		what = "the source is not valid UTF-8"
	case r == '!':
		what += ": write NOT"
	case r == ';':
		what += ": a statement does not end with a semicolon"
	case r == '`':
		what += ": a key that is no name is reached with get(*, 'the key')"
	case r == '“' || r == '”' || r == '‘' || r == '’':
		what += ": strings stand between straight quotes, ' or \""
	case unicode.IsLetter(r):
		what += ": names have the letters A to Z, digits and underscores; reach other keys with get(*, 'the key')"
	}
	return token{}, newError(l.src, at, what)
}

func nameStart(c byte) bool {
	return c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

func digit(c byte) bool { return '0' <= c && c <= '9' }

// shorten cuts s to n bytes for a message.
func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
