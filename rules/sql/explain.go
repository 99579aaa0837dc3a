package sql

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
)

// Explanation is how a statement came to its result for one message.
type Explanation struct {
	// Variables are those that SET sets.
	Variables []Term `json:"set,omitempty"`
	// Where is the condition; nil if the statement has none.
	Where *Term `json:"where,omitempty"`
	// Columns are those of SELECT, * aside. There are none if WHERE was not true.
	Columns []Term `json:"select,omitempty"`
	// Output, Matched and Err are what Run returned.
	Output  []byte `json:"-"`
	Matched bool   `json:"matched"`
	Err     error  `json:"-"`
}

// Term is an expression of a statement and what it gave.
type Term struct {
	// Name is the variable's or the column's; empty for other expressions.
	Name string `json:"name,omitempty"`
	// Expression is the source in its canonical form.
	Expression string `json:"expression"`
	// Type is the value's type as AWS names it; empty if the expression was not
	// evaluated.
	Type string `json:"type,omitempty"`
	// Value is the value as JSON; nil if it is Undefined or was not evaluated.
	Value json.RawMessage `json:"value,omitempty"`
	// Note says why a path is Undefined.
	Note string `json:"note,omitempty"`
	// Parts are the expressions inside, constants and what stands in a nested query
	// left out.
	Parts []Term `json:"parts,omitempty"`
}

// watch notes the last value of every expression. It belongs to one explanation.
type watch struct{ values map[expr]value }

func (w *watch) watched(e expr, x code) code {
	if x.fixed {
		w.values[e] = x.value
		return x
	}
	run := x.run
	return code{run: func(in *Input) value {
		v := run(in)
		w.values[e] = v
		return v
	}}
}

// Explain runs the statement as Run does and notes what every expression gives. All
// parts of WHERE are evaluated, also behind one that is not true, unless the statement
// calls the outside. Templates rendered afterwards from the same Input see the same
// variables. It compiles the statement again: it is for people, not for traffic.
func (p *Program) Explain(ctx context.Context, in *Input) *Explanation {
	w := &watch{values: map[expr]value{}}
	c := &compiler{version: p.version, variables: map[string]int{}, options: p.options, watch: w}
	q := c.statement(p.parsed) //nolint:contextcheck // what is constant is computed apart from any message
	for i := range q.where {
		q.where[i].key = "" // no short cuts
	}
	var x Explanation
	x.Output, x.Matched, x.Err = q.Run(ctx, in)
	if x.Err == nil && p.pure {
		for i, e := range conjuncts(p.parsed.where) {
			if _, ok := w.values[e]; !ok {
				q.where[i].run(in)
			}
		}
	}
	if n := len(in.sets); n > 0 && in.sets[n-1].of == q && !slices.ContainsFunc(in.sets, func(s variableSet) bool { return s.of == p }) {
		in.sets = append(in.sets, variableSet{p, in.sets[n-1].values})
	}
	t := &teller{values: w.values, payload: &in.payload}
	t.scratch.begin(ctx, p.version)
	for _, v := range p.parsed.variables {
		x.Variables = append(x.Variables, t.named("@"+v.name, v.value))
	}
	if p.parsed.where != nil {
		term := t.term(p.parsed.where)
		x.Where = &term
	}
	if x.Matched || x.Err != nil {
		x.Columns = t.columns(&p.parsed.query)
	}
	return &x
}

// conjuncts are the parts of a condition that AND joins, as [compiler.where] cuts it.
func conjuncts(e expr) []expr {
	if b, ok := e.(*binary); ok && b.op == opAnd {
		return append(conjuncts(b.l), conjuncts(b.r)...)
	}
	if e == nil {
		return nil
	}
	return []expr{e}
}

// teller makes Terms of expressions and the values that were noted.
type teller struct {
	values  map[expr]value
	payload *payload
	scratch Input // to write values with, apart from the run's budget
}

func (t *teller) columns(s *selection) []Term {
	if s.value != nil {
		if _, ok := s.value.(*star); ok {
			return nil
		}
		return []Term{t.named("VALUE", s.value)}
	}
	var terms []Term
	for i, it := range s.items {
		switch e := it.x.(type) {
		case *star:
		case *spread:
			inner := t.named("", e.x)
			inner.Name = inner.Expression + ".*"
			terms = append(terms, inner)
		default:
			name := strings.Join(it.alias, ".")
			if it.alias == nil {
				name = keyOf(e, i)
			}
			terms = append(terms, t.named(name, e))
		}
	}
	return terms
}

func (t *teller) named(name string, e expr) Term {
	term := t.term(e)
	term.Name = name
	return term
}

func (t *teller) term(e expr) Term {
	var text printer
	text.expr(e, bindLoosest)
	term := Term{Expression: text.String()}
	if v, ok := t.value(e); ok {
		term.Type = v.kind.String()
		if v.defined() {
			t.scratch.work = maxWork
			term.Value = t.scratch.appendJSON(nil, v)
		} else if way, ok := e.(*path); ok {
			term.Note = t.missing(way)
		}
	}
	for _, part := range below(e) {
		if !unchanging(part) {
			term.Parts = append(term.Parts, t.term(part))
		}
	}
	return term
}

// value is what an expression gave. The parts of WHERE that AND joins run one by one,
// so that what they make together is put together here.
func (t *teller) value(e expr) (value, bool) {
	v, ok := t.values[e]
	if b, is := e.(*binary); is && !ok && b.op == opAnd {
		l, left := t.value(b.l)
		r, right := t.value(b.r)
		return logical(opAnd, l, r), left && right
	}
	return v, ok
}
