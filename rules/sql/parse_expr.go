package sql

// The expression parser is a Pratt parser: expression(min) reads an operand and then
// every operator that binds tighter than min.

// infix gives the binary operator that a token is, 0 if it is none.
func infix(t token) operator {
	switch t.kind {
	case tokenName:
		switch t.keyword {
		case kwAnd:
			return opAnd
		case kwOr:
			return opOr
		case kwIn:
			return opIn
		default: // a name
		}
	case tokenSign:
		switch t.text {
		case "=":
			return opEqual
		case "<>":
			return opNotEqual
		case "<":
			return opLess
		case "<=":
			return opLessEqual
		case ">":
			return opGreater
		case ">=":
			return opGreaterEqual
		case "+":
			return opPlus
		case "-":
			return opMinus
		case "*":
			return opTimes
		case "/":
			return opDivide
		case "%":
			return opModulo
		}
	default: // no operator
	}
	return 0
}

// expression never returns nil: after an error there is a constant in its place.
func (p *parser) expression(min int) expr {
	if !p.enter() {
		return p.nothing()
	}
	defer p.leave()
	left := p.operand(min)
	compared := false
	for p.err == nil {
		op := infix(p.tok)
		if op == 0 || op.binding() <= min {
			break
		}
		if _, ok := left.(*spread); ok {
			break
		}
		at := p.tok.at
		if op.binding() == bindCompare {
			if compared {
				p.fail(at, "comparisons cannot be chained: join them with AND, or use parentheses")
				break
			}
			compared = true
		}
		p.advance()
		right := p.expression(op.binding())
		left = &binary{node: node{left.position(), tallest(left, right)}, op: op, opAt: at, l: left, r: right}
		if left.height() > maxChain {
			p.fail(at, "the expression has more than %d operators below each other", maxChain)
		}
	}
	return p.checkNot(left)
}

// checkNot explains x NOT IN y, which other languages have.
func (p *parser) checkNot(left expr) expr {
	if p.tok.keyword == kwNot && p.tok.kind == tokenName && p.peek(1).keyword == kwIn {
		p.fail(p.tok.at, "there is no NOT IN: write NOT x IN array")
	}
	return left
}

// nothing stands for an expression that could not be read.
func (p *parser) nothing() expr { return &constant{node{p.tok.at, 1}, null} }

// operand reads an operand with the operators before it.
func (p *parser) operand(min int) expr {
	t := p.tok
	var op operator
	bind := bindSign
	switch {
	case t.is("-"):
		op = opMinus
	case t.is("+"):
		op = opPlus
	case t.kind == tokenName && t.keyword == kwNot:
		op, bind = opNot, bindNot
		if min >= bindNot {
			p.fail(t.at, "NOT cannot stand here without parentheses: it binds looser than the operator before it")
			return p.nothing()
		}
	default:
		return p.postfix(p.primary())
	}
	p.advance()
	// One less, so that a second sign or NOT may follow.
	x := p.expression(bind - 1)
	return &unary{node{t.at, tallest(x)}, op, x}
}

// postfix reads .name and [index] behind an operand.
func (p *parser) postfix(x expr) expr {
	for n := 0; p.err == nil; n++ {
		if n > maxNesting {
			p.fail(p.tok.at, "more than %d steps behind each other", maxNesting)
			break
		}
		switch {
		case p.tok.is("."):
			p.advance()
			if p.tok.is("*") && x.position() == p.spreadAt {
				p.advance()
				return &spread{node{x.position(), tallest(x)}, x}
			}
			if p.tok.kind != tokenName || p.clauseFollows() {
				p.failStep()
				return x
			}
			if way, ok := x.(*path); ok {
				way.names = append(way.names, p.tok.text)
			} else {
				x = &member{node{x.position(), tallest(x)}, x, p.tok.text}
			}
			p.advance()
		case p.tok.is("["):
			p.advance()
			i := p.expression(bindLoosest)
			p.expect("]", "after the index")
			x = &index{node{x.position(), tallest(x, i)}, x, i}
		default:
			return x
		}
	}
	return x
}

func (p *parser) failStep() {
	switch {
	case p.tok.kind == tokenNumber || p.tok.kind == tokenString:
		p.fail(p.tok.at, "expected a name after the dot, found %s: reach such a key with get(object, 'key')", p.tok.show())
	case p.tok.is("*"):
		p.fail(p.tok.at, "x.* can only be a column of SELECT by itself")
	default:
		p.fail(p.tok.at, "expected a name after the dot, found %s", p.tok.show())
	}
}
