package sql

import "strings"

// printer writes a statement so that it parses again to the same program.
type printer struct{ strings.Builder }

func (p *printer) statement(s *statement) {
	for i, v := range s.variables {
		if i == 0 {
			p.WriteString("SET ")
		}
		p.comma(i)
		p.WriteString("@" + v.name + " = ")
		p.expr(v.value, bindLoosest)
	}
	if len(s.variables) > 0 {
		p.WriteByte(' ')
	}
	p.selection(&s.query)
	if s.from.kind != tokenEnd {
		p.WriteString(" FROM " + quoted(s.from.text))
	}
	if s.where != nil {
		p.WriteString(" WHERE ")
		p.expr(s.where, bindLoosest)
	}
}

func (p *printer) selection(s *selection) {
	p.WriteString("SELECT ")
	if s.value != nil {
		p.WriteString("VALUE ")
		p.expr(s.value, bindLoosest)
		return
	}
	for i, it := range s.items {
		p.comma(i)
		if it.x == nil {
			continue
		}
		p.expr(it.x, bindLoosest)
		if it.alias != nil {
			p.WriteString(" AS " + strings.Join(it.alias, "."))
		}
	}
}

func (p *printer) comma(i int) {
	if i > 0 {
		p.WriteString(", ")
	}
}

// expr writes an expression, in parentheses if it binds no tighter than min.
func (p *printer) expr(e expr, min int) {
	if b := binding(e); b <= min {
		p.WriteByte('(')
		defer p.WriteByte(')')
	}
	switch e := e.(type) {
	case *number:
		p.WriteString(e.text)
	case *str:
		p.WriteString(quoted(e.text))
	case *constant:
		switch {
		case e.value.kind == kindNull:
			p.WriteString("NULL")
		case e.value.isTrue():
			p.WriteString("TRUE")
		default:
			p.WriteString("FALSE")
		}
	case *path:
		p.path(e)
	case *star:
		p.WriteByte('*')
	case *spread:
		if way, ok := e.x.(*path); ok {
			p.WriteString(strings.Join(way.names, ".")) // no parentheses: x.* begins its column
		} else {
			p.expr(e.x, bindSign)
		}
		p.WriteString(".*")
	case *variable:
		p.WriteString("@" + e.name)
	case *member:
		p.expr(e.x, bindSign)
		p.WriteString("." + e.name)
	case *index:
		p.expr(e.x, bindSign)
		p.WriteByte('[')
		p.expr(e.i, bindLoosest)
		p.WriteByte(']')
	case *call:
		p.WriteString(e.name + "(")
		p.list(e.args)
		p.WriteByte(')')
	case *casting:
		p.WriteString("cast(")
		p.expr(e.x, bindLoosest)
		p.WriteString(" AS " + e.to + ")")
	case *unary:
		p.unary(e)
	case *binary:
		p.binary(e)
	case *choice:
		p.choice(e)
	case *arrayLiteral:
		p.WriteByte('[')
		p.list(e.items)
		p.WriteByte(']')
	case *objectLiteral:
		p.object(e)
	case *query:
		p.query(e)
	}
}

// binding is how tightly the outermost operator of an expression binds.
func binding(e expr) int {
	switch e := e.(type) {
	case *unary:
		if e.op == opNot {
			return bindNot
		}
		return bindSign
	case *binary:
		return e.op.binding()
	default:
		return bindPostfix
	}
}

// path writes a path. One that begins with a word of the language stands in
// parentheses, so that it is a name wherever it stands.
func (p *printer) path(e *path) {
	first := e.names[0]
	if keywordOf(first) == kwValue {
		first = "(" + first + ")"
	}
	p.WriteString(first)
	for _, n := range e.names[1:] {
		p.WriteString("." + n)
	}
}

func (p *printer) list(items []expr) {
	for i, e := range items {
		p.comma(i)
		p.expr(e, bindLoosest)
	}
}

func (p *printer) unary(e *unary) {
	if e.op == opNot {
		p.WriteString("NOT ")
		p.expr(e.x, bindNot-1)
		return
	}
	p.WriteString(e.op.String())
	if x, ok := e.x.(*unary); ok && x.op != opNot {
		p.WriteByte(' ') // two minus signs would begin a comment
	}
	p.expr(e.x, bindSign-1)
}

func (p *printer) binary(e *binary) {
	b := e.op.binding()
	left := b - 1 // operators of one kind bind from left to right
	if b == bindCompare {
		left = b
	}
	p.expr(e.l, left)
	p.WriteString(" " + e.op.String() + " ")
	p.expr(e.r, b)
}

func (p *printer) choice(e *choice) {
	p.WriteString("CASE ")
	p.expr(e.x, bindLoosest)
	for _, b := range e.when {
		p.WriteString(" WHEN ")
		p.expr(b.test, bindLoosest)
		p.WriteString(" THEN ")
		p.expr(b.result, bindLoosest)
	}
	if e.otherwise != nil {
		p.WriteString(" ELSE ")
		p.expr(e.otherwise, bindLoosest)
	}
	p.WriteString(" END")
}

func (p *printer) object(e *objectLiteral) {
	p.WriteByte('{')
	for i, k := range e.keys {
		p.comma(i)
		p.WriteString(quoted(k) + ": ")
		p.expr(e.values[i], bindLoosest)
	}
	p.WriteByte('}')
}

func (p *printer) query(e *query) {
	if e.exists {
		p.WriteString("EXISTS ")
	}
	p.WriteByte('(')
	p.selection(&e.what)
	p.WriteString(" FROM ")
	p.expr(e.from, bindLoosest)
	if e.alias != "" {
		p.WriteString(" AS " + e.alias)
	}
	if e.where != nil {
		p.WriteString(" WHERE ")
		p.expr(e.where, bindLoosest)
	}
	p.WriteByte(')')
}
