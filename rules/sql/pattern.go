package sql

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// memo keeps what one call in a statement prepared for its last pattern or zone: most
// calls have a constant one. It is safe for concurrent use.
type memo struct {
	re    atomic.Pointer[prepared[*pattern]]
	form  atomic.Pointer[prepared[timeForm]]
	zone  atomic.Pointer[prepared[*time.Location]]
	proto atomic.Pointer[prepared[protoMessage]]
}

// prepared is what a text was made into; nothing, if it was wrong.
type prepared[T any] struct {
	from string
	what T
}

// recall gives what from was made into, and makes it if it was not the last. To make
// it is charged to the run.
func recall[T any](in *Input, p *atomic.Pointer[prepared[T]], from string, make func(string) T) (what T) {
	const units = 4 << 10
	if last := p.Load(); last != nil && last.from == from {
		return last.what
	}
	if !in.spend(units + len(from)) {
		return what
	}
	from = strings.Clone(from) // it may be a view of a payload, which does not stay
	next := &prepared[T]{from, make(from)}
	p.Store(next)
	return next.what
}

// regexp gives the compiled pattern, nil if it is wrong.
func (m *memo) regexp(in *Input, s string) *pattern {
	return recall(in, &m.re, s, func(s string) *pattern {
		re, err := compilePattern(s)
		if err != nil {
			return nil
		}
		in.spend(16 * re.size)
		return re
	})
}

// pattern is a compiled regular expression.
type pattern struct {
	*regexp.Regexp
	size int  // how many instructions it has
	ends bool // it has a $ or \Z that looks before a last line end too
	lazy bool // it has a quantifier that takes as little as it can
	// again finds, behind one character, an empty match right there; nil if the
	// pattern has none.
	again *regexp.Regexp
}

// patternError says why a pattern is refused, and whether Java would take it.
type patternError struct {
	message  string
	javaOnly bool
}

// compilePattern compiles a pattern of Java's dialect with RE2.
func compilePattern(s string) (*pattern, *patternError) {
	if len(s) > maxPattern {
		return nil, &patternError{fmt.Sprintf("the regular expression is longer than %d bytes", maxPattern), true}
	}
	java := fromJava(s)
	switch {
	case java.only != "":
		return nil, &patternError{fmt.Sprintf("the regular expression uses %s, which RE2 does not have", java.only), true}
	case java.wrong != "":
		return nil, &patternError{fmt.Sprintf("the regular expression is not valid: it has %s", java.wrong), false}
	}
	translated := java.out.String()
	tree, err := syntax.Parse(translated, syntax.Perl)
	if err != nil {
		return nil, explain(err)
	}
	prog, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return nil, explain(err)
	}
	if len(prog.Inst) > maxRegexpSize {
		return nil, &patternError{"the regular expression is too large: its repetitions multiply", true}
	}
	p := &pattern{size: len(prog.Inst), ends: java.ends, lazy: java.lazy}
	if p.Regexp, err = regexp.Compile(translated); err != nil {
		return nil, explain(err)
	}
	if nullable(tree) {
		if p.again, err = regexp.Compile(`\A(?s:.)(?:` + translated + `)`); err != nil {
			return nil, explain(err)
		}
	}
	return p, nil
}

// nullable reports whether an expression can match nothing.
func nullable(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpNoMatch, syntax.OpLiteral, syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return false
	case syntax.OpCapture, syntax.OpPlus:
		return nullable(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min == 0 || nullable(re.Sub[0])
	case syntax.OpConcat:
		return !slices.ContainsFunc(re.Sub, func(sub *syntax.Regexp) bool { return !nullable(sub) })
	case syntax.OpAlternate:
		return slices.ContainsFunc(re.Sub, nullable)
	default: // *, ?, and what looks at a place
		return true
	}
}

// explain tells what RE2 cannot do from what is wrong anywhere.
func explain(err error) *patternError {
	var se *syntax.Error
	if !errors.As(err, &se) {
		return &patternError{err.Error(), true}
	}
	uses := func(what string) *patternError {
		return &patternError{fmt.Sprintf("the regular expression uses %s%s, which RE2 does not have", se.Expr, what), true}
	}
	switch se.Code {
	case syntax.ErrInvalidPerlOp:
		return uses(" (look-around or another Java group)")
	case syntax.ErrInvalidEscape:
		return uses(" (a back-reference or another Java escape)")
	case syntax.ErrInvalidRepeatOp:
		if strings.HasSuffix(se.Expr, "+") {
			return uses(" (a possessive quantifier)")
		}
	case syntax.ErrInvalidRepeatSize, syntax.ErrLarge, syntax.ErrNestingDepth:
		return &patternError{fmt.Sprintf("the regular expression is too large: %s", se.Code), true}
	case syntax.ErrInvalidCharRange:
		return uses("")
	default:
	}
	return &patternError{fmt.Sprintf("the regular expression is not valid: %s: %s", se.Code, se.Expr), false}
}
