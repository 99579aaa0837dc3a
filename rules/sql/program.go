package sql

import (
	"context"
)

// Program is a compiled statement. It is immutable and safe for concurrent use.
type Program struct {
	version   Version
	parsed    *statement
	variables []assigned
	names     map[string]int // of the variables
	where     []condition    // all must be true
	value     evaluate       // of SELECT VALUE
	untouched bool           // SELECT * or SELECT VALUE *: the payload itself
	columns   []column
	plain     bool // the columns can be written one after the other
	starred   bool // so can the columns behind the first, which is *
	pure      bool
	pureSet   bool // the SET variables call nothing outside
	warnings  []*Error
	options   []Option
}

// assigned is a SET variable.
type assigned struct {
	name string
	run  evaluate
}

// condition is a part of WHERE. One that compares a member of the payload with a
// constant holds both for a look at that member alone.
type condition struct {
	run  evaluate
	key  string
	rare int // where the key's rarest letter is
	op   operator
	with value
}

// output compiles the statement's own SELECT.
func (c *compiler) output(p *Program, s *selection) {
	if s.value != nil {
		_, p.untouched = s.value.(*star)
		p.value = c.expr(s.value).run
		return
	}
	if len(s.items) == 1 && s.items[0].alias == nil {
		_, p.untouched = s.items[0].x.(*star)
	}
	p.columns = c.columns(s.items)
	p.plain = distinct(p.columns)
	if _, ok := s.items[0].x.(*star); ok && s.items[0].alias == nil {
		p.starred = distinct(p.columns[1:])
	}
}

// distinct reports whether each column gives one key, and no two the same.
func distinct(cols []column) bool {
	seen := map[string]bool{}
	for i := range cols {
		if cols[i].spread || len(cols[i].way) > 0 || seen[cols[i].key] {
			return false
		}
		seen[cols[i].key] = true
	}
	return true
}

// Filter returns the topic filter of FROM. ok is false if the statement has none:
// then only Basic Ingest reaches the rule.
func (p *Program) Filter() (filter string, ok bool) {
	return p.parsed.from.text, p.parsed.from.kind != tokenEnd
}

// Pure reports whether the statement calls nothing outside, so that it can be run
// where nobody may wait.
func (p *Program) Pure() bool { return p.pure }

// Version is the version of the language the statement was compiled under.
func (p *Program) Version() Version { return p.version }

// Warnings names what runs as on AWS and yet cannot be meant: a call with a wrong
// number of arguments, an operator on a literal of the wrong type.
func (p *Program) Warnings() []*Error { return p.warnings }

// String writes the statement in a canonical form, which compiles to the same program.
func (p *Program) String() string {
	var w printer
	w.statement(p.parsed)
	return w.String()
}

// Run runs the statement over a message. matched is false, and out nil, if WHERE is
// not true; the topic is not looked at, since the caller chose the rule by it.
// SELECT * alone returns the message's payload itself, which must not be changed;
// any other out is the caller's. An err means that a function outside failed or that
// the statement reached a limit: the rule has no result then.
func (p *Program) Run(ctx context.Context, in *Input) (out []byte, matched bool, err error) {
	in.begin(ctx, p.version)
	if len(p.variables) == 0 && p.missed(in) {
		return nil, false, nil
	}
	in.set(p)
	for i := range p.where {
		v := p.where[i].run(in)
		if in.err != nil {
			return nil, false, in.err
		}
		if !v.isTrue() && !toBoolean(v).isTrue() {
			return nil, false, nil
		}
	}
	if in.err != nil {
		return nil, false, in.err
	}
	if p.untouched {
		return in.m.Payload, true, nil
	}
	b := p.write(in, in.buffer[:0])
	in.buffer = b[:0]
	if in.err != nil {
		return nil, false, in.err
	}
	out = make([]byte, len(b))
	copy(out, b)
	return out, true, nil
}

// missed looks at the members that WHERE compares with constants, without reading the
// whole payload, and reports whether that settles it.
func (p *Program) missed(in *Input) bool {
	if in.payload.state != payloadUnread && in.payload.state != payloadPartial {
		return false
	}
	for i := range p.where {
		c := &p.where[i]
		if c.key == "" {
			return false // what comes before may fail, or be cheaper
		}
		v, ok := in.payload.peek(c.key, c.rare, in.whole)
		if !ok {
			return false
		}
		if c.op == opEqual || c.op == opNotEqual {
			v = in.equality(c.op, v, c.with)
		} else {
			v = in.compare(c.op, v, c.with)
		}
		if !v.isTrue() {
			return in.err == nil
		}
	}
	return false
}

// write appends the output to b.
func (p *Program) write(in *Input, b []byte) []byte {
	switch {
	case p.value != nil:
		v := p.value(in)
		if v.kind == kindArray && !p.version.modern() {
			return b // 2015-10-08 cannot give an array
		}
		return in.appendJSON(b, v)
	case p.starred && in.payload.clean():
		return in.appendStarred(b, p.columns[1:])
	case !p.plain:
		o := &object{}
		in.collect(o, p.columns)
		return in.appendJSON(b, o.value())
	}
	b = append(b, '{')
	for i := range p.columns {
		v := p.columns[i].run(in)
		if !v.defined() {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(b, p.columns[i].quoted...)
		b = in.appendJSON(b, v)
	}
	return append(b, '}')
}

// appendStarred writes SELECT *, a, b over a payload that is an object: its members as
// they are, and the columns in the place of the members of their names or at the end.
func (in *Input) appendStarred(b []byte, cols []column) []byte {
	base := len(in.stack)
	for i := range cols {
		v := cols[i].run(in)
		in.stack = append(in.stack, v)
	}
	values := in.stack[base:]
	b = append(b, '{')
	for i := range in.payload.members {
		m := &in.payload.members[i]
		key := in.payload.text[m.key:m.keyEnd]
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, in.payload.text[m.key-1:m.keyEnd+1]...)
		b = append(b, ':')
		if c := overriding(cols, values, key); c >= 0 {
			b = in.appendJSON(b, values[c])
			values[c] = undefined
			continue
		}
		if m.form == formTidy {
			b = append(b, in.payload.text[m.start:m.end]...)
		} else {
			b = in.appendJSON(b, jsonValue(in.payload.text[m.start:m.end], m.form, in.whole))
		}
	}
	for i := range values {
		if !values[i].defined() {
			continue
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = in.appendJSON(append(b, cols[i].quoted...), values[i])
	}
	in.stack = in.stack[:base]
	return append(b, '}')
}

// overriding finds the column that takes a member's place, -1 if none does.
func overriding(cols []column, values []value, key string) int {
	for i := range cols {
		if cols[i].key == key && values[i].defined() {
			return i
		}
	}
	return -1
}

// set computes the SET variables of a program, once for the message: its templates
// see the values that its SELECT saw.
func (in *Input) set(p *Program) {
	if len(p.variables) == 0 {
		return
	}
	for i := range in.sets {
		if in.sets[i].of == p {
			in.variables = in.sets[i].values
			return
		}
	}
	in.variables = make([]value, 0, len(p.variables))
	size := 0
	for i := range p.variables {
		v := p.variables[i].run(in)
		in.variables = append(in.variables, v)
		if size += in.size(v); size > maxVariableSize && in.err == nil {
			in.err, in.fatal = ErrVariableSize, true
		}
		if in.err != nil {
			return
		}
	}
	in.sets = append(in.sets, variableSet{p, in.variables})
}

// size is how long a value is as JSON.
func (in *Input) size(v value) int {
	switch {
	case v.kind == kindString && v.form != formText:
		return len(v.s) + len(`""`)
	case v.s != "" && (v.isNumber() || v.form == formTidy && v.kind != kindString):
		return len(v.s)
	}
	b := in.appendJSON(in.scratch[:0], v)
	in.scratch = b[:0]
	return len(b)
}
