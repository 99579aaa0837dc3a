package sql

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
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

// pattern is a compiled regular expression and how many instructions it has.
type pattern struct {
	*regexp.Regexp
	size int
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
	translated, only := fromJava(s)
	if only != "" {
		return nil, &patternError{fmt.Sprintf("the regular expression uses %s, which RE2 does not have", only), true}
	}
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
	re, err := regexp.Compile(translated)
	if err != nil {
		return nil, explain(err)
	}
	return &pattern{re, len(prog.Inst)}, nil
}

// explain tells what RE2 cannot do from what is wrong anywhere.
func explain(err error) *patternError {
	var se *syntax.Error
	if !errors.As(err, &se) {
		return &patternError{err.Error(), true}
	}
	switch se.Code {
	case syntax.ErrInvalidPerlOp:
		return &patternError{fmt.Sprintf("the regular expression uses %s (look-around or another Java group), which RE2 does not have", se.Expr), true}
	case syntax.ErrInvalidEscape:
		return &patternError{fmt.Sprintf("the regular expression uses %s (a back-reference or another Java escape), which RE2 does not have", se.Expr), true}
	case syntax.ErrInvalidRepeatOp:
		return &patternError{fmt.Sprintf("the regular expression uses %s (a possessive or doubled quantifier), which RE2 does not have", se.Expr), true}
	case syntax.ErrInvalidRepeatSize, syntax.ErrLarge, syntax.ErrNestingDepth:
		return &patternError{fmt.Sprintf("the regular expression is too large: %s", se.Code), true}
	case syntax.ErrInvalidCharRange:
		return &patternError{fmt.Sprintf("the regular expression uses %s, which RE2 does not have", se.Expr), true}
	default:
		return &patternError{fmt.Sprintf("the regular expression is not valid: %s: %s", se.Code, se.Expr), false}
	}
}

// fromJava rewrites what Java and RE2 write differently. only names what RE2 would
// take for something else.
func fromJava(s string) (translated, only string) {
	if !strings.ContainsAny(s, `\[`) {
		return s, ""
	}
	var b strings.Builder
	class := false // inside [...]
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case c == '\\' && i+1 < len(s):
			i++
			switch {
			case s[i] == 'u' && i+4 < len(s):
				b.WriteString(`\x{` + s[i+1:i+5] + `}`)
				i += 4
			case s[i] == 'e':
				b.WriteString(`\x1b`)
			case s[i] == 'h' && class:
				b.WriteString(`\t\x{20}\x{A0}`)
			case s[i] == 'h':
				b.WriteString(`[\t\x{20}\x{A0}]`)
			case s[i] == 'R' && !class:
				b.WriteString(`(?:\r\n|[\n\x0b\f\r\x{85}\x{2028}\x{2029}])`)
			case s[i] == 'Z' && !class:
				b.WriteString(`(?:\n?\z)`)
			case s[i] == 'Q':
				end := strings.Index(s[i:], `\E`)
				if end < 0 {
					end = len(s) - i
				}
				b.WriteString(regexp.QuoteMeta(s[i+1 : i+end]))
				i = min(i+end+1, len(s))
			default:
				b.WriteByte('\\')
				b.WriteByte(s[i])
			}
			continue
		case !class && c == '[':
			class = true
			b.WriteByte(c)
			if i+1 < len(s) && s[i+1] == '^' {
				b.WriteByte('^')
				i++
			}
			continue
		case class && c == '[' && !strings.HasPrefix(s[i:], "[:"):
			return "", "a character class inside another"
		case class && c == '&' && strings.HasPrefix(s[i:], "&&"):
			return "", "an intersection of character classes"
		case class && c == ']':
			class = false
		}
		b.WriteByte(c)
	}
	return b.String(), ""
}
