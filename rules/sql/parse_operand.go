package sql

import "strings"

// primary reads an operand.
func (p *parser) primary() expr {
	t := p.tok
	leaf := node{t.at, 1}
	switch t.kind {
	case tokenNumber:
		p.advance()
		return &number{leaf, t.text}
	case tokenString:
		p.advance()
		return &str{leaf, t.text}
	case tokenVariable:
		p.advance()
		return &variable{leaf, t.text}
	case tokenName:
		return p.named()
	case tokenSign:
		switch t.text {
		case "*":
			p.advance()
			return &star{leaf}
		case "(":
			return p.parenthesis()
		case "[":
			return p.array()
		case "{":
			return p.object()
		}
	default: // the end
	}
	p.fail(t.at, "expected an expression, found %s", t.show())
	return p.nothing()
}

// parenthesis reads (expression) or (SELECT ...).
func (p *parser) parenthesis() expr {
	at := p.tok.at
	p.advance()
	if p.acceptWord(kwSelect) {
		q := p.query(at)
		p.expect(")", "after the nested query")
		return q
	}
	outer := p.spreadAt
	p.spreadAt = -1
	x := p.expression(bindLoosest)
	p.spreadAt = outer
	if p.tok.is(",") {
		p.fail(p.tok.at, "expected ), found a comma: a list of values is written [1, 2, 3]")
	}
	p.expect(")", "to close the parenthesis")
	return x
}

// query reads a nested query behind its SELECT.
func (p *parser) query(at int) *query {
	q := &query{what: p.selection()}
	q.node = node{at, q.what.height() + 1}
	if !p.acceptWord(kwFrom) {
		p.fail(p.tok.at, "expected FROM and an array or object in the nested query, found %s", p.tok.show())
		return q
	}
	q.from = p.expression(bindLoosest)
	if p.acceptWord(kwAs) {
		if p.tok.kind != tokenName {
			p.fail(p.tok.at, "expected a name after AS, found %s", p.tok.show())
		}
		q.alias = p.tok.text
		p.advance()
	}
	if p.acceptWord(kwWhere) {
		q.where = p.expression(bindLoosest)
	} else if p.tok.kind == tokenName && p.tok.keyword == notKeyword {
		hint := p.meant("WHERE", "AS")
		if hint == "" {
			hint = "; an alias needs AS"
		}
		p.fail(p.tok.at, "expected AS, WHERE or ) in the nested query, found %s%s", p.tok.show(), hint)
	}
	q.high = max(q.high, tallest(q.from, q.where))
	return q
}

// named reads what begins with a name: a literal, CASE, EXISTS, a call or a path.
func (p *parser) named() expr {
	t := p.tok
	opens := p.peek(1).is("(")
	switch t.keyword {
	case kwTrue, kwFalse:
		p.advance()
		return &constant{node{t.at, 1}, boolean(t.keyword == kwTrue)}
	case kwNull:
		p.advance()
		return &constant{node{t.at, 1}, null}
	case kwCase:
		return p.choice()
	case kwExists:
		if opens {
			return p.exists()
		}
	case kwSelect:
		p.fail(t.at, "a nested query stands in parentheses: (SELECT ...)")
		return p.nothing()
	case kwWhen, kwThen, kwElse, kwEnd:
		if p.cases > 0 {
			p.fail(t.at, "expected an expression, found %s", t.show())
			return p.nothing()
		}
	case kwFrom, kwWhere, kwAs, kwAnd, kwOr, kwIn:
		p.fail(t.at, "expected an expression, found %s", t.show())
		return p.nothing()
	default: // a path or a call
	}
	p.advance()
	switch {
	case !opens:
		return &path{node{t.at, 1}, []string{t.text}}
	case strings.EqualFold(t.text, "cast"):
		return p.casting(t)
	}
	return p.call(t)
}

// exists reads EXISTS (SELECT ...).
func (p *parser) exists() expr {
	at := p.tok.at
	p.advance()
	p.advance()
	if !p.acceptWord(kwSelect) {
		p.fail(p.tok.at, "expected SELECT after EXISTS (, found %s", p.tok.show())
		return p.nothing()
	}
	q := p.query(at)
	q.exists = true
	p.expect(")", "after the nested query")
	return q
}

// casting reads cast(x AS type).
func (p *parser) casting(name token) expr {
	p.advance()
	c := &casting{node: node{at: name.at}, x: p.expression(bindLoosest)}
	c.high = tallest(c.x)
	if !p.acceptWord(kwAs) {
		p.fail(p.tok.at, "expected AS and a type: cast(value AS type), found %s", p.tok.show())
		return c
	}
	if p.tok.kind != tokenName {
		p.fail(p.tok.at, "expected a type after AS, such as String, Int, Decimal or Boolean, found %s", p.tok.show())
		return c
	}
	c.to, c.toAt = p.tok.text, p.tok.at
	p.advance()
	p.expect(")", "after the type")
	return c
}

// call reads the arguments of a function.
func (p *parser) call(name token) expr {
	c := &call{node: node{at: name.at}, name: name.text}
	p.advance()
	if !p.tok.is(")") {
		c.args = p.list("the arguments of "+shorten(name.text, 40), ")")
	}
	p.expect(")", "to close the arguments of "+shorten(name.text, 40))
	c.high = tallest(c.args...)
	return c
}

// list reads expressions with commas between them, up to the sign end.
func (p *parser) list(what, end string) []expr {
	var items []expr
	for {
		if p.tok.kind == tokenEnd && p.err == nil {
			p.fail(p.tok.at, "expected an expression in %s, found the end", what)
			return items
		}
		items = append(items, p.expression(bindLoosest))
		if !p.accept(",") {
			return items
		}
		if p.tok.is(end) {
			p.fail(p.tok.at, "expected an expression after the comma, found %s", end)
			return items
		}
	}
}

// choice reads CASE.
func (p *parser) choice() expr {
	c := &choice{node: node{at: p.tok.at}}
	p.advance()
	p.cases++
	defer func() { p.cases-- }()
	if p.tok.keyword == kwWhen {
		p.fail(p.tok.at, "expected a value after CASE: write CASE value WHEN test THEN result ... END")
		return c
	}
	c.x = p.expression(bindLoosest)
	c.high = tallest(c.x)
	for p.acceptWord(kwWhen) {
		var b branch
		b.test = p.expression(bindLoosest)
		if !p.acceptWord(kwThen) {
			p.fail(p.tok.at, "expected THEN after the value of WHEN, found %s", p.tok.show())
			return c
		}
		b.result = p.expression(bindLoosest)
		c.high = max(c.high, tallest(b.test, b.result))
		c.when = append(c.when, b)
	}
	if len(c.when) == 0 {
		p.fail(p.tok.at, "expected WHEN after the value of CASE, found %s", p.tok.show())
		return c
	}
	if p.acceptWord(kwElse) {
		c.otherwise = p.expression(bindLoosest)
		c.high = max(c.high, tallest(c.otherwise))
	}
	if !p.acceptWord(kwEnd) {
		p.fail(p.tok.at, "expected WHEN, ELSE or END in CASE, found %s", p.tok.show())
	}
	return c
}

// array reads [a, b].
func (p *parser) array() expr {
	a := &arrayLiteral{node: node{at: p.tok.at}}
	p.advance()
	if !p.tok.is("]") {
		a.items = p.list("the array", "]")
	}
	p.expect("]", "to close the array")
	a.high = tallest(a.items...)
	return a
}

// object reads {'key': value}. A comma may stand behind the last value.
func (p *parser) object() expr {
	o := &objectLiteral{node: node{at: p.tok.at}}
	p.advance()
	for p.err == nil && !p.tok.is("}") {
		if p.tok.kind != tokenString {
			hint := ""
			if p.tok.kind == tokenName {
				hint = ": a key stands in quotes"
			}
			p.fail(p.tok.at, "expected a key in quotes or }, found %s%s", p.tok.show(), hint)
			return o
		}
		o.keys = append(o.keys, p.tok.text)
		p.advance()
		p.expect(":", "after the key")
		o.values = append(o.values, p.expression(bindLoosest))
		if !p.accept(",") {
			break
		}
	}
	p.expect("}", "to close the object")
	o.high = tallest(o.values...)
	return o
}
