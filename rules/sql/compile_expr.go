package sql

import (
	"fmt"
	"slices"
)

// node compiles one node of an expression.
func (c *compiler) node(e expr) code {
	switch e := e.(type) {
	case *number:
		return c.number(e)
	case *str:
		return fixed(text(e.text))
	case *constant:
		return fixed(e.value)
	case *path:
		return c.path(e)
	case *star:
		return c.star()
	case *spread:
		c.fail(e.at, "x.* can only be a column of SELECT by itself")
		return fixed(undefined)
	case *variable:
		return c.variable(e)
	case *member:
		return c.member(e)
	case *index:
		return c.index(e)
	case *call:
		return c.call(e)
	case *casting:
		return c.casting(e)
	case *unary:
		return c.unary(e)
	case *binary:
		return c.binary(e)
	case *choice:
		return c.choice(e)
	case *arrayLiteral:
		return c.array(e)
	case *objectLiteral:
		return c.object(e)
	case *query:
		return c.query(e)
	}
	return fixed(undefined)
}

// number compiles a literal. Under 2015-10-08 it keeps its text, so that 10.0 is
// written 10.0.
func (c *compiler) number(e *number) code {
	v := parseNumber(e.text, c.version.modern())
	switch {
	case v.form == formWild:
		c.fail(e.at, "the number %s is out of range: numbers lie between 1E-%d and 9.99E%d", shorten(e.text, 40), maxExponent, maxExponent)
	case c.version.modern() || v.kind == kindInt:
		v.s = ""
	default:
		v.s = pointed(string(appendNumber(nil, value{kind: kindDecimal, form: v.form, n: v.n, exp: v.exp, ref: v.ref})))
	}
	return fixed(v)
}

// star compiles *: the payload, or the element of the nested query around.
func (c *compiler) star() code {
	if len(c.aliases) > 0 {
		return code{run: func(in *Input) value { return in.scopes[len(in.scopes)-1].item }}
	}
	return code{run: func(in *Input) value { return in.payload.root(in.whole) }}
}

func (c *compiler) variable(e *variable) code {
	i, ok := c.variables[e.name]
	switch {
	case ok:
		c.used = true
		return code{run: func(in *Input) value { return in.variables[i] }}
	case c.setting == e.name:
		c.fail(e.at, "@%s cannot be used in its own value", e.name)
	default:
		names := make([]string, 0, len(c.variables))
		for n := range c.variables {
			names = append(names, n)
		}
		hint := ": write SET @" + e.name + " = ... before SELECT"
		if n, ok := nearest(e.name, names); ok {
			hint = ": did you mean @" + n + "?"
		}
		c.fail(e.at, "the variable @%s is not set here%s", e.name, hint)
	}
	return fixed(undefined)
}

// path compiles a path. In nested queries its first name is looked for from the
// inside out: the query's alias, the element's keys, and last the payload.
func (c *compiler) path(e *path) code {
	first, rest := e.names[0], e.names[1:]
	base := func(in *Input) value { return in.lookup(first) }
	if len(c.aliases) > 0 {
		base = func(in *Input) value {
			for i := len(in.scopes) - 1; i >= 0; i-- {
				s := &in.scopes[i]
				if s.alias == first {
					return s.item
				}
				if v := in.member(s.item, first); v.defined() {
					return v
				}
			}
			return in.lookup(first)
		}
	}
	switch len(rest) {
	case 0:
		return code{run: base}
	case 1:
		name := rest[0]
		return code{run: func(in *Input) value { return in.member(base(in), name) }}
	}
	return code{run: func(in *Input) value {
		v := base(in)
		for _, name := range rest {
			v = in.member(v, name)
		}
		return v
	}}
}

// member steps into an object; anything else has no members.
func (in *Input) member(v value, name string) value {
	if v.kind != kindObject || !in.spend(1+len(v.s)/16) {
		return undefined
	}
	return find(v, name, in.whole)
}

func (c *compiler) member(e *member) code {
	x, name := c.expr(e.x), e.name
	return c.fold(e.at, func(in *Input) value { return in.member(x.run(in), name) }, "."+name, x)
}

// index compiles x[i], which is get(x, i).
func (c *compiler) index(e *index) code {
	x, i := c.expr(e.x), c.expr(e.i)
	return c.fold(e.at, func(in *Input) value { return in.get(x.run(in), i.run(in)) }, "the element", x, i)
}

func (c *compiler) casting(e *casting) code {
	x := c.expr(e.x)
	to := castTypeOf(e.to, c.version)
	if to == castUnknown {
		types := "String, Int or Double"
		if c.version.modern() {
			types = "String, Int, Double, Decimal or Boolean"
		}
		c.warn(e.toAt, "cast knows no type %s in version %s and is always Undefined: use %s", shorten(e.to, 40), c.version, types)
	}
	return c.fold(e.at, func(in *Input) value { return in.cast(x.run(in), to) }, "this cast", x)
}

func (c *compiler) unary(e *unary) code {
	x := c.expr(e.x)
	run := func(in *Input) value { return not(x.run(in)) }
	switch e.op {
	case opMinus:
		run = func(in *Input) value {
			if v := in.number(x.run(in)); v.defined() {
				return negate(v)
			}
			return undefined
		}
		if x.fixed && x.value.kind == kindDecimal && x.value.s != "" { // a literal that keeps its text
			v := negate(x.value)
			v.s = "-" + x.value.s
			return fixed(v)
		}
	case opPlus:
		run = func(in *Input) value { return plain(in.number(x.run(in))) }
	default: // NOT, which run is already
	}
	return c.fold(e.at, run, e.op.String()+" of "+x.value.kind.String(), x)
}

func (c *compiler) binary(e *binary) code {
	l, r := c.expr(e.l), c.expr(e.r)
	op := e.op
	var run evaluate
	switch op {
	case opAnd, opOr:
		run = func(in *Input) value { return logical(op, l.run(in), r.run(in)) }
	case opEqual, opNotEqual:
		run = func(in *Input) value { return in.equality(op, l.run(in), r.run(in)) }
	case opLess, opLessEqual, opGreater, opGreaterEqual:
		run = func(in *Input) value { return in.compare(op, l.run(in), r.run(in)) }
	case opIn:
		run = func(in *Input) value { return in.among(l.run(in), r.run(in)) }
	case opPlus:
		run = func(in *Input) value { return in.plus(l.run(in), r.run(in)) }
	default:
		run = func(in *Input) value { return in.arithmetic(op, l.run(in), r.run(in)) }
		if op == opDivide && slices.Contains(c.options, DecimalDivision) {
			run = func(in *Input) value { return in.quotient(l.run(in), r.run(in)) }
		}
	}
	if l.fixed && r.fixed {
		return c.fold(e.opAt, run, fmt.Sprintf("%s %s %s", l.value.kind, op, r.value.kind), l, r)
	}
	c.operand(e, l, true)
	c.operand(e, r, false)
	return code{run: run}
}

// operand warns of a constant operand with which the operator is always Undefined.
func (c *compiler) operand(e *binary, x code, left bool) {
	if !x.fixed || !x.value.defined() {
		return
	}
	bad := false
	switch e.op {
	case opAnd, opOr:
		bad = !toBoolean(x.value).defined()
	case opEqual, opNotEqual:
	case opIn:
		bad = !left && x.value.kind != kindArray
	case opPlus:
		bad = x.value.kind == kindNull
	default:
		bad = !toNumber(x.value).defined()
	}
	if bad {
		what := "this " + x.value.kind.String()
		if x.value.kind == kindString {
			what = "the String " + quoted(shorten(x.value.s, 30))
		}
		c.warn(e.opAt, "%s with %s is always Undefined", e.op, what)
	}
}

// choice compiles CASE: the first WHEN that equals the value; Undefined if the value is.
func (c *compiler) choice(e *choice) code {
	type pair struct{ test, result evaluate }
	x := c.expr(e.x)
	pairs := make([]pair, len(e.when))
	for i, b := range e.when {
		pairs[i] = pair{c.expr(b.test).run, c.expr(b.result).run}
	}
	otherwise := fixed(undefined)
	if e.otherwise != nil {
		otherwise = c.expr(e.otherwise)
	}
	return code{run: func(in *Input) value {
		v := x.run(in)
		if !v.defined() {
			return undefined
		}
		for i := range pairs {
			if in.equality(opEqual, v, pairs[i].test(in)).isTrue() {
				return pairs[i].result(in)
			}
		}
		return otherwise.run(in)
	}}
}

func (c *compiler) array(e *arrayLiteral) code {
	c.modern(e.at, "an array literal")
	items := make([]code, len(e.items))
	for i := range e.items {
		items[i] = c.expr(e.items[i])
	}
	return c.fold(e.at, func(in *Input) value {
		if !in.spend(64 * len(items)) {
			return undefined
		}
		values := make([]value, 0, len(items))
		for i := range items {
			if v := items[i].run(in); v.defined() {
				values = append(values, v)
			}
		}
		return array(values)
	}, "the array", items...)
}

func (c *compiler) object(e *objectLiteral) code {
	c.modern(e.at, "an object literal")
	values := make([]code, len(e.values))
	for i := range e.values {
		values[i] = c.expr(e.values[i])
	}
	keys := e.keys
	return c.fold(e.at, func(in *Input) value {
		if !in.spend(96 * len(values)) {
			return undefined
		}
		o := &object{keys: make([]string, 0, len(keys)), values: make([]value, 0, len(keys))}
		for i := range values {
			o.put(keys[i], values[i].run(in))
		}
		return o.value()
	}, "the object", values...)
}
