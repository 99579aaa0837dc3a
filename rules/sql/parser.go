package sql

import (
	"fmt"
	"strings"
)

// parser reads a statement token by token. The first error stays: from then on the
// parser sees nothing but the end, so that every rule of the grammar returns soon and
// none of them has to pass errors on.
type parser struct {
	lex      lexer
	tok      token // the token to be read next
	err      *Error
	depth    int
	cases    int // how many CASE are open
	spreadAt int // where an item of SELECT began, and x.* may stand
}

func newParser(src string) (*parser, *Error) {
	if len(src) > maxSource {
		return nil, newError(src, 0, fmt.Sprintf("the source has %d bytes, more than %d", len(src), maxSource))
	}
	p := &parser{lex: lexer{src: src}, spreadAt: -1}
	p.advance()
	return p, nil
}

// advance goes to the next token.
func (p *parser) advance() {
	if p.err != nil {
		return
	}
	t, err := p.lex.next()
	if err != nil {
		p.err = err
		t = token{at: p.lex.pos, end: p.lex.pos}
	}
	p.tok = t
}

// fail refuses the source because of the token at a place.
func (p *parser) fail(at int, format string, args ...any) {
	if p.err == nil {
		p.err = newError(p.lex.src, at, fmt.Sprintf(format, args...))
	}
	p.tok = token{at: p.tok.at, end: p.tok.at}
}

// peek looks n tokens behind the next one.
func (p *parser) peek(n int) token {
	l, t := p.lex, p.tok
	for range n {
		var err *Error
		if t, err = l.next(); err != nil {
			return token{}
		}
	}
	return t
}

// accept reads the sign s if it is next.
func (p *parser) accept(s string) bool {
	if !p.tok.is(s) {
		return false
	}
	p.advance()
	return true
}

// acceptWord reads the keyword k if it is next.
func (p *parser) acceptWord(k keyword) bool {
	if p.tok.kind != tokenName || p.tok.keyword != k {
		return false
	}
	p.advance()
	return true
}

// expect reads the sign s, or says that it should be there.
func (p *parser) expect(s, where string) {
	if !p.accept(s) {
		p.fail(p.tok.at, "expected %s %s, found %s", s, where, p.tok.show())
	}
}

// enter counts how deep the parser is; leave undoes it.
func (p *parser) enter() bool {
	if p.depth++; p.depth > maxNesting {
		p.fail(p.tok.at, "nested more than %d deep", maxNesting)
		return false
	}
	return true
}

func (p *parser) leave() { p.depth-- }

// statement reads a whole rule.
func (p *parser) statement() *statement {
	s := &statement{}
	if p.acceptWord(kwSet) {
		s.variables = p.assignments()
	}
	if !p.acceptWord(kwSelect) {
		p.failNotSelect(len(s.variables) > 0)
		return s
	}
	s.query = p.selection()
	if p.acceptWord(kwFrom) {
		s.from = p.topicFilter()
	}
	if p.acceptWord(kwWhere) {
		s.where = p.expression(bindLoosest)
	}
	if p.tok.kind != tokenEnd {
		p.failAfterStatement(s)
	}
	return s
}

func (p *parser) failNotSelect(set bool) {
	switch {
	case p.tok.keyword == kwSet:
		p.fail(p.tok.at, "SET stands once: write SET @a = 1, @b = 2 SELECT ...")
	case set:
		p.fail(p.tok.at, "expected a comma and another variable, or SELECT, found %s", p.tok.show())
	case p.tok.kind == tokenEnd:
		p.fail(p.tok.at, "expected SELECT, found nothing")
	default:
		p.fail(p.tok.at, "expected SELECT (or SET @name = ... before it), found %s%s", p.tok.show(), p.meant("SELECT", "SET"))
	}
}

// failAfterStatement explains what cannot stand where a statement may end.
func (p *parser) failAfterStatement(s *statement) {
	hint := ""
	switch {
	case s.where != nil:
		p.fail(p.tok.at, "expected the end or an operator after the condition, found %s%s", p.tok.show(), p.meant("AND", "OR", "IN"))
		return
	case s.from.kind != tokenEnd:
		p.fail(p.tok.at, "expected WHERE or the end after the topic filter, found %s%s", p.tok.show(), p.meant("WHERE"))
		return
	case s.query.value != nil && p.tok.is(","):
		hint = ": SELECT VALUE gives one value"
	case p.tok.keyword == kwAs:
		hint = ": x.* gives its members their own names"
	case p.tok.kind == tokenName || p.tok.kind == tokenString:
		hint = p.meant("FROM", "WHERE", "AS")
		if hint == "" {
			hint = "; an alias needs AS"
		}
	case p.tok.is(")") || p.tok.is("]") || p.tok.is("}"):
		hint = ", which nothing opened"
	}
	p.fail(p.tok.at, "expected a comma, FROM, WHERE or the end, found %s%s", p.tok.show(), hint)
}

// meant asks whether the next token is one of the words, misspelt, or a word of
// another SQL.
func (p *parser) meant(words ...string) string {
	if p.tok.kind == tokenName && p.tok.keyword == notKeyword {
		switch strings.ToUpper(p.tok.text) {
		case "IS":
			return ": write isNull(x) or isUndefined(x)"
		case "LIKE", "RLIKE", "REGEXP":
			return ": write regexp_matches(x, 'pattern')"
		case "BETWEEN":
			return ": write x >= low AND x <= high"
		case "GROUP", "ORDER", "HAVING", "LIMIT", "OFFSET", "JOIN", "UNION":
			return ", which the language does not have: a rule sees one message at a time"
		}
		if w, ok := nearest(p.tok.text, words); ok {
			return ": did you mean " + w + "?"
		}
	}
	return ""
}
