package sql

import (
	"context"
	"slices"
	"strings"
)

// Template is a text with expressions in it: a/${topic(2)}/b. It is immutable and
// safe for concurrent use.
// (https://docs.aws.amazon.com/iot/latest/developerguide/iot-substitution-templates.html)
type Template struct {
	version  Version
	program  *Program // whose SET variables it uses; nil if it uses none of them
	parts    []templatePart
	pure     bool
	warnings []*Error
}

// templatePart is plain text or an expression.
type templatePart struct {
	text string
	run  evaluate // nil for text
}

// CompileTemplate prepares a substitution template. The SET variables of p, which may
// be nil, can be used in it, the aliases of its SELECT cannot. $$ stands for $. The
// error is an *Error with the place in src.
func CompileTemplate(src string, v Version, p *Program) (*Template, error) {
	version, err := v.resolve()
	if err != nil {
		return nil, newError(src, 0, err.Error())
	}
	c := &compiler{src: src, version: version, variables: map[string]int{}, template: true}
	if p != nil {
		c.options = p.options
		if len(p.names) > 0 {
			c.variables = p.names
		}
	}
	t := &Template{version: version}
	var plain strings.Builder
	for i := 0; i < len(src); {
		switch {
		case strings.HasPrefix(src[i:], "$$"):
			plain.WriteByte('$')
			i += 2
		case strings.HasPrefix(src[i:], "${"):
			t.text(&plain)
			x, end, fault := parseHole(src, i)
			if fault != nil {
				return nil, fault
			}
			t.parts = append(t.parts, templatePart{run: c.expr(x).run})
			if c.err != nil {
				return nil, c.err
			}
			i = end
		default:
			plain.WriteByte(src[i])
			i++
		}
	}
	t.text(&plain)
	t.pure, t.warnings = !c.outside, c.warnings
	if c.used {
		t.program, t.pure = p, t.pure && p.pureSet
	}
	return t, nil
}

// text ends a stretch of plain text.
func (t *Template) text(plain *strings.Builder) {
	if plain.Len() > 0 {
		t.parts = append(t.parts, templatePart{text: plain.String()})
		plain.Reset()
	}
}

// parseHole reads the expression whose ${ is at i and returns the place behind its }.
func parseHole(src string, i int) (x expr, end int, fault *Error) {
	if len(src) > maxSource {
		return nil, 0, newError(src, 0, "the template is too long")
	}
	p := &parser{lex: lexer{src: src, pos: i + 2}, spreadAt: -1}
	p.advance()
	if p.tok.is("}") {
		p.fail(i, "${} is empty: expected an expression between the braces; $${} stands for the text ${}")
	}
	x = p.expression(bindLoosest)
	if p.err == nil && p.tok.kind == tokenEnd {
		p.fail(i, "${ has no closing }")
	}
	if !p.tok.is("}") {
		p.fail(p.tok.at, "expected } or an operator after the expression, found %s", p.tok.show())
	}
	return x, p.tok.end, p.err
}

// Render fills the template in from the original message. Undefined and Null give
// nothing, a String its text, everything else its JSON. An err means what it means
// for Run.
func (t *Template) Render(ctx context.Context, in *Input) (string, error) {
	if s, ok := t.Constant(); ok {
		return s, nil
	}
	in.begin(ctx, t.version)
	if t.program != nil {
		in.set(t.program)
	}
	b := in.buffer[:0]
	for i := range t.parts {
		p := &t.parts[i]
		if p.run == nil {
			b = append(b, p.text...)
			continue
		}
		s, _ := in.toText(p.run(in))
		in.spend(len(s))
		b = append(b, s...)
	}
	in.buffer = b[:0]
	if in.err != nil {
		return "", in.err
	}
	return string(b), nil
}

// Constant returns the template's text if no expression is in it.
func (t *Template) Constant() (string, bool) {
	switch {
	case len(t.parts) == 0:
		return "", true
	case len(t.parts) == 1 && t.parts[0].run == nil:
		return t.parts[0].text, true
	}
	return "", false
}

// Pure reports whether the template calls nothing outside.
func (t *Template) Pure() bool { return t.pure }

// Warnings names what can never give a value.
func (t *Template) Warnings() []*Error { return slices.Clone(t.warnings) }
