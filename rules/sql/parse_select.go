package sql

import "github.com/topicwire/topicwire/message"

// assignments reads what stands behind SET.
func (p *parser) assignments() []assignment {
	var vars []assignment
	known := map[string]bool{}
	for {
		if p.tok.kind != tokenVariable {
			p.fail(p.tok.at, "expected a variable such as @name after SET or a comma, found %s", p.tok.show())
			return vars
		}
		v := assignment{at: p.tok.at, name: p.tok.text}
		switch {
		case known[v.name]:
			p.fail(v.at, "@%s is set already: a variable is set once", v.name)
		case len(vars) == maxVariables:
			p.fail(v.at, "a statement has at most %d variables", maxVariables)
		}
		known[v.name] = true
		p.advance()
		p.expect("=", "after @"+v.name)
		v.value = p.expression(bindLoosest)
		vars = append(vars, v)
		if !p.accept(",") {
			return vars
		}
	}
}

// topicFilter reads the string behind FROM.
func (p *parser) topicFilter() token {
	t := p.tok
	switch {
	case t.kind != tokenString:
		p.fail(t.at, "expected a topic filter in single quotes after FROM, such as 'sensors/+/data', found %s", t.show())
	case t.quote != '\'':
		p.fail(t.at, "the topic filter stands in single quotes: FROM %s", quoted(shorten(t.text, 60)))
	default:
		if err := message.ValidateFilter(t.text); err != nil {
			p.fail(t.at, "%v", err)
			break
		}
		if _, _, shared := message.SplitShare(t.text); shared {
			p.fail(t.at, "a rule cannot use a shared subscription: write the filter behind $share/NAME/ alone")
			break
		}
		if len(t.text) >= len(ingestPrefix) && t.text[:len(ingestPrefix)] == ingestPrefix {
			p.fail(t.at, "Basic Ingest topics cannot be a rule's source: publish to %sNAME/... to run the rule NAME, whatever its FROM", ingestPrefix)
			break
		}
		p.advance()
	}
	return t
}

// clauseFollows tells FROM and WHERE where a name is missing before them from names
// that are written like them.
func (p *parser) clauseFollows() bool {
	switch p.tok.keyword {
	case kwFrom:
		return p.peek(1).kind == tokenString
	case kwWhere:
		switch next := p.peek(1); next.kind {
		case tokenName, tokenString, tokenNumber, tokenVariable:
			return next.keyword != kwFrom
		default: // the end or a sign
		}
	default: // a name
	}
	return false
}

// selection reads what stands behind SELECT.
func (p *parser) selection() selection {
	s := selection{at: p.tok.at}
	if p.tok.keyword == kwValue && p.tok.kind == tokenName && p.valueKeyword() {
		p.advance()
		s.value = p.expression(bindLoosest)
		if p.tok.keyword == kwAs {
			p.fail(p.tok.at, "SELECT VALUE gives the value itself and takes no alias")
		}
		return s
	}
	for {
		s.items = append(s.items, p.item())
		if !p.accept(",") {
			return s
		}
	}
}

// valueKeyword tells VALUE x from a path that is named value, by what comes next.
func (p *parser) valueKeyword() bool {
	switch next := p.peek(1); next.kind {
	case tokenEnd:
		return false
	case tokenName:
		switch next.keyword {
		case kwFrom, kwAs, kwWhere, kwAnd, kwOr, kwIn:
			return false
		default:
			return true
		}
	case tokenSign:
		switch next.text {
		case "(", "{":
			return true
		case "[", "-", "+": // value - 32 AS v is a column
			return !p.columnsFollow()
		case "*": // VALUE * ends here, value * 2 goes on
			after := p.peek(2)
			return after.kind == tokenEnd || after.keyword == kwFrom || after.keyword == kwWhere || after.is(")")
		}
		return false
	default:
		return true
	}
}

// columnsFollow looks for what SELECT VALUE cannot have: an alias or another column.
func (p *parser) columnsFollow() bool {
	l, depth, step := p.lex, 0, false
	for {
		t, err := l.next()
		switch {
		case err != nil || t.kind == tokenEnd:
			return false
		case t.is("(") || t.is("[") || t.is("{"):
			depth++
		case t.is(")") || t.is("]") || t.is("}"):
			if depth--; depth < 0 {
				return false
			}
		case depth > 0 || step:
		case t.is(",") || t.keyword == kwAs:
			return true
		case t.keyword == kwFrom || t.keyword == kwWhere:
			return false
		}
		step = t.is(".") // a name behind it is no keyword
	}
}

// item reads one column.
func (p *parser) item() item {
	var it item
	if p.tok.is("*") {
		it.x = &star{node{p.tok.at, 1}}
		p.advance()
	} else {
		outer := p.spreadAt
		p.spreadAt = p.tok.at
		it.x = p.expression(bindLoosest)
		p.spreadAt = outer
	}
	if _, ok := it.x.(*spread); ok || !p.acceptWord(kwAs) {
		return it
	}
	for {
		if p.tok.kind != tokenName || p.clauseFollows() {
			p.fail(p.tok.at, "expected a name after AS or a dot: letters, digits and underscores, found %s", p.tok.show())
			return it
		}
		it.alias = append(it.alias, p.tok.text)
		if len(it.alias) > maxAliasParts {
			p.fail(p.tok.at, "an alias has at most %d parts", maxAliasParts)
		}
		p.advance()
		if !p.accept(".") {
			return it
		}
	}
}
