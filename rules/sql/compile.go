package sql

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// evaluate computes a compiled expression. It never returns an error: a failure
// outside is kept in the Input and the value is Undefined.
type evaluate func(in *Input) value

// code is a compiled expression.
type code struct {
	run   evaluate
	fixed bool // it is the same for every message: value
	value value
}

func fixed(v value) code {
	return code{run: func(*Input) value { return v }, fixed: true, value: v}
}

// compiler turns the parsed statement into code. The first error ends it.
type compiler struct {
	src       string
	version   Version
	variables map[string]int
	setting   string   // the variable whose value is being compiled
	aliases   []string // of the nested queries around, outermost first
	template  bool     // it is a substitution template
	fallback  bool     // it is the second argument of get_or_default
	options   []Option
	outside   bool   // something outside is called
	used      bool   // a variable is used
	folded    int    // the work that constant expressions took
	nodes     int    // how many expressions have been compiled, those in nested queries counted more
	watch     *watch // notes what every expression gives; nil but for Explain
	err       *Error
	warnings  []*Error
}

// Option is a choice of how a statement is compiled. The templates of a program share
// it.
type Option uint8

const (
	// DecimalDivision makes 7/2 3.5 and not 3: AWS's table of operators says that two
	// Ints give an Int, and an example of its own does not.
	DecimalDivision Option = iota + 1
	// NoDescriptors refuses decode(..., 'proto', ...): the Env has no descriptors.
	NoDescriptors
)

// Compile checks a statement and prepares it to run. The error is an *Error with the
// place of the first thing that is wrong.
func Compile(src string, v Version, options ...Option) (*Program, error) {
	version, err := v.resolve()
	if err != nil {
		return nil, newError(src, 0, err.Error())
	}
	p, fault := newParser(src)
	if fault != nil {
		return nil, fault
	}
	s := p.statement()
	if p.err != nil {
		return nil, p.err
	}
	c := &compiler{src: src, version: version, variables: map[string]int{}, options: options}
	prog := c.statement(s)
	if c.err != nil {
		return nil, c.err
	}
	return prog, nil
}

// fail refuses the statement because of the token at a place.
func (c *compiler) fail(at int, format string, args ...any) {
	if c.err == nil {
		c.err = newError(c.src, at, fmt.Sprintf(format, args...))
	}
}

// warn notes what will run as on AWS and cannot give a value.
func (c *compiler) warn(at int, format string, args ...any) {
	if len(c.warnings) == maxWarnings {
		return
	}
	c.warnings = append(c.warnings, newError(c.src, at, fmt.Sprintf(format, args...)))
}

// statement compiles a whole rule.
func (c *compiler) statement(s *statement) *Program {
	p := &Program{version: c.version, parsed: s, options: c.options}
	for i, v := range s.variables {
		c.setting = v.name
		p.variables = append(p.variables, assigned{v.name, c.expr(v.value).run})
		c.variables[v.name] = i
	}
	c.setting = ""
	p.pureSet = !c.outside
	c.where(p, s.where)
	c.output(p, &s.query)
	p.names = c.variables
	slices.SortStableFunc(c.warnings, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	p.pure, p.warnings = !c.outside, c.warnings
	return p
}

// where compiles a condition into its parts: what AND joins must be true one by one.
func (c *compiler) where(p *Program, e expr) {
	if e == nil {
		return
	}
	if b, ok := e.(*binary); ok && b.op == opAnd {
		c.where(p, b.l)
		c.where(p, b.r)
		return
	}
	x := c.expr(e)
	if x.fixed && !toBoolean(x.value).isTrue() {
		c.warn(e.position(), "the condition is never true: no message will pass")
	}
	t := condition{run: x.run}
	if b, ok := e.(*binary); ok {
		c.peek(&t, b)
	}
	p.where = append(p.where, t)
}

// peek prepares a condition that compares one member of the payload with a constant
// for a look at that member alone.
func (c *compiler) peek(t *condition, b *binary) {
	if b.op.binding() != bindCompare || b.op == opIn {
		return
	}
	l, r := b.l, b.r
	op := b.op
	way, ok := l.(*path)
	if !ok {
		way, ok = r.(*path)
		r = l
		op = mirrored(op)
	}
	if !ok || len(way.names) != 1 {
		return
	}
	quiet := *c
	x := quiet.expr(r)
	if !x.fixed {
		return
	}
	t.key, t.rare, t.op, t.with = way.names[0], rarest(way.names[0]), op, x.value
}

// mirrored is the operator for swapped sides.
func mirrored(op operator) operator {
	switch op {
	case opLess:
		return opGreater
	case opLessEqual:
		return opGreaterEqual
	case opGreater:
		return opLess
	case opGreaterEqual:
		return opLessEqual
	default:
		return op
	}
}

// expr compiles an expression.
func (c *compiler) expr(e expr) code {
	c.nodes += 1 + len(c.aliases)
	x := c.node(e)
	if c.watch != nil {
		return c.watch.watched(e, x)
	}
	return x
}

// fold computes code whose operands are all fixed, once and for all.
func (c *compiler) fold(at int, run evaluate, what string, operands ...code) code {
	for _, o := range operands {
		if !o.fixed {
			return code{run: run}
		}
	}
	in := &Input{}
	in.begin(context.Background(), c.version)
	in.work = maxFoldWork - c.folded
	v := run(in)
	c.folded = maxFoldWork - in.work
	if in.err != nil {
		return code{run: run} // it will fail when it runs, or there is too much to fold
	}
	if !v.defined() {
		c.warnAlways(at, what, operands...)
	}
	return fixed(v)
}

// warnAlways warns of what is always Undefined, unless an operand is, which has been
// warned of.
func (c *compiler) warnAlways(at int, what string, operands ...code) {
	for _, o := range operands {
		if o.fixed && !o.value.defined() {
			return
		}
	}
	c.warn(at, "%s is always Undefined", what)
}

// modern refuses what 2015-10-08 does not have.
func (c *compiler) modern(at int, what string) {
	if !c.version.modern() {
		c.fail(at, "%s needs SQL version %s, the rule has %s", what, V20160323, c.version)
	}
}
