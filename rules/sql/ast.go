package sql

// statement is a parsed rule.
type statement struct {
	variables []assignment
	query     selection
	from      token // the topic filter; its kind is tokenEnd if there is no FROM
	where     expr  // nil if there is none
}

// assignment is one variable of SET.
type assignment struct {
	at    int
	name  string
	value expr
}

// selection is what SELECT gives: VALUE and one expression, or items.
type selection struct {
	at    int
	value expr // of SELECT VALUE; nil otherwise
	items []item
}

// item is one column of SELECT.
type item struct {
	x     expr     // *star, *spread or any other expression
	alias []string // the names of AS, joined by dots; nil if there is no AS
}

// expr is a node of an expression.
type expr interface {
	// position is where the node's first token begins, in bytes.
	position() int
	// height is how many nodes lie below each other, at most.
	height() int
}

// node is what all nodes have.
type node struct{ at, high int }

func (n node) position() int { return n.at }
func (n node) height() int   { return n.high }

// operator is a unary or binary operator.
type operator uint8

const (
	opOr operator = iota + 1
	opAnd
	opNot
	opEqual
	opNotEqual
	opLess
	opLessEqual
	opGreater
	opGreaterEqual
	opIn
	opPlus
	opMinus
	opTimes
	opDivide
	opModulo
)

// String gives the operator as it is written.
func (o operator) String() string {
	return [...]string{"", "OR", "AND", "NOT", "=", "<>", "<", "<=", ">", ">=", "IN", "+", "-", "*", "/", "%"}[o]
}

// How tightly operators bind, loosest first. NOT stands between AND and the
// comparisons, the signs of a number above everything else.
const (
	bindLoosest = iota
	bindOr
	bindAnd
	bindNot
	bindCompare
	bindAdd
	bindMultiply
	bindSign
	bindPostfix
)

func (o operator) binding() int {
	switch o {
	case opOr:
		return bindOr
	case opAnd:
		return bindAnd
	case opNot:
		return bindNot
	case opPlus, opMinus:
		return bindAdd
	case opTimes, opDivide, opModulo:
		return bindMultiply
	default:
		return bindCompare
	}
}

type (
	// number, str and constant are the literals. A number keeps its text.
	number struct {
		node
		text string
	}
	str struct {
		node
		text string
	}
	constant struct {
		node
		value value // true, false or null
	}
	// path is a name and the names behind its dots.
	path struct {
		node
		names []string
	}
	// star is the whole payload, or the whole element in a nested query.
	star struct{ node }
	// spread is x.* in a SELECT: the members of x, each for itself.
	spread struct {
		node
		x expr
	}
	// variable is @name.
	variable struct {
		node
		name string
	}
	// member is x.name, where x is no path.
	member struct {
		node
		x    expr
		name string
	}
	// index is x[i].
	index struct {
		node
		x, i expr
	}
	// call is a call of a function.
	call struct {
		node
		name string // as it is written
		args []expr
	}
	// casting is cast(x AS type).
	casting struct {
		node
		x    expr
		to   string
		toAt int
	}
	unary struct {
		node
		op operator
		x  expr
	}
	binary struct {
		node
		op   operator
		opAt int
		l, r expr
	}
	// choice is CASE.
	choice struct {
		node
		x         expr
		when      []branch
		otherwise expr // nil if there is no ELSE
	}
	arrayLiteral struct {
		node
		items []expr
	}
	objectLiteral struct {
		node
		keys   []string
		values []expr
	}
	// query is a nested SELECT; with exists, the EXISTS around it.
	query struct {
		node
		exists bool
		what   selection
		from   expr
		alias  string
		where  expr
	}
)

// branch is WHEN test THEN result.
type branch struct{ test, result expr }

// tallest gives the height of a node over the given ones, any of which may be nil.
func tallest(below ...expr) int {
	h := 0
	for _, e := range below {
		if e != nil {
			h = max(h, e.height())
		}
	}
	return h + 1
}

// height gives the height of a selection's expressions.
func (s *selection) height() int {
	h := tallest(s.value)
	for i := range s.items {
		h = max(h, tallest(s.items[i].x))
	}
	return h
}
