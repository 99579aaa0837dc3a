package policy

import (
	"strings"
	"unicode/utf8"
)

// pattern is text with wildcards and variables, as a document has it.
type pattern []piece

// piece is a literal, a wildcard, or a variable.
type piece struct {
	kind pieceKind
	text string   // of a literal
	name variable // of a variable
}

type pieceKind byte

const (
	literal pieceKind = iota
	star              // any run of characters, "/" among them
	one               // one character
	named             // a variable
)

// wildcards says whether * and ? mean more than themselves.
type wildcards bool

const (
	wild  wildcards = true
	plain wildcards = false
)

// parsePattern takes text apart. ${*}, ${?} and ${$} are the characters themselves; + and
// # are ordinary characters everywhere.
func parsePattern(text string, w wildcards) (pattern, *problem) {
	var p pattern
	add := func(s string) {
		if n := len(p); n > 0 && p[n-1].kind == literal {
			p[n-1].text += s
		} else if s != "" {
			p = append(p, piece{kind: literal, text: s})
		}
	}
	for rest := text; rest != ""; {
		switch c := rest[0]; {
		case strings.HasPrefix(rest, "${"):
			inner, after, closed := strings.Cut(rest[2:], "}")
			switch {
			case !closed:
				return nil, problemf("close it: ${iot:ClientId}; a literal $ is written ${$}", "%q has a ${ without its }", text)
			case inner == "*" || inner == "?" || inner == "$":
				add(inner)
			default:
				v, wrong := parseVariable(inner)
				if wrong != nil {
					return nil, wrong
				}
				if v.conditionOnly() {
					return nil, problemf("use it as the key of a condition", "the variable %s has several values: it cannot stand in %q", inner, text)
				}
				p = append(p, piece{kind: named, name: v})
			}
			rest = after
		case c == '*' && bool(w):
			if n := len(p); n == 0 || p[n-1].kind != star {
				p = append(p, piece{kind: star})
			}
			rest = rest[1:]
		case c == '?' && bool(w):
			p = append(p, piece{kind: one})
			rest = rest[1:]
		default:
			i := strings.IndexAny(rest[1:], "$*?") + 1
			if i == 0 {
				i = len(rest)
			}
			add(rest[:i])
			rest = rest[i:]
		}
	}
	return p, nil
}

// variable reports whether there is a variable in p.
func (p pattern) variable() bool {
	for i := range p {
		if p[i].kind == named {
			return true
		}
	}
	return false
}

// lower is p in small letters.
func (p pattern) lower() pattern {
	q := make(pattern, len(p))
	for i := range p {
		q[i] = p[i]
		q[i].text = strings.ToLower(p[i].text)
	}
	return q
}

// constant makes a glob of a pattern without variables.
func (p pattern) constant() glob {
	g, _ := p.fill(nil)
	return g
}

// fill puts the values of one connection in the place of the variables, as literal text:
// an asterisk in a value is an asterisk. missing says which variable has no value, and
// why; then nothing matches.
func (p pattern) fill(f *Facts) (g glob, missing string) {
	tokens := make([]token, 0, len(p))
	for i := range p {
		t := token{kind: p[i].kind, text: p[i].text}
		if t.kind == named {
			value, why := f.one(&p[i].name)
			if why != "" {
				return glob{}, p[i].name.text + " " + why
			}
			t = token{kind: literal, text: value}
		}
		if n := len(tokens); n > 0 && t.kind == literal && tokens[n-1].kind == literal {
			tokens[n-1].text += t.text
			continue
		}
		tokens = append(tokens, t)
	}
	return newGlob(tokens), ""
}

// glob is a pattern whose variables have been filled in.
type glob struct {
	head   string  // the text up to the first wildcard
	shape  shape   // what follows it
	tail   string  // of the shape around: the text behind the star
	tokens []token // of the shape other: from the first wildcard on
}

// shape lets the common forms be matched without a loop.
type shape byte

const (
	exact  shape = iota // nothing
	prefix              // one star
	around              // one star, and text behind it
	other
)

// token is a literal or a wildcard.
type token struct {
	kind pieceKind
	text string
}

func newGlob(tokens []token) glob {
	var g glob
	if len(tokens) > 0 && tokens[0].kind == literal {
		g.head, tokens = tokens[0].text, tokens[1:]
	}
	switch {
	case len(tokens) == 0:
	case len(tokens) == 1 && tokens[0].kind == star:
		g.shape = prefix
	case len(tokens) == 2 && tokens[0].kind == star && tokens[1].kind == literal:
		g.shape, g.tail = around, tokens[1].text
	default:
		g.shape, g.tokens = other, tokens
	}
	return g
}

// everything reports whether g matches all text.
func (g *glob) everything() bool { return g.shape == prefix && g.head == "" }

// String is the glob as it would be written.
func (g *glob) String() string {
	var b strings.Builder
	b.WriteString(g.head)
	tokens := g.tokens
	if g.shape == prefix || g.shape == around {
		tokens = []token{{kind: star}, {text: g.tail}}
	}
	for _, t := range tokens {
		switch t.kind {
		case star:
			b.WriteByte('*')
		case one:
			b.WriteByte('?')
		default:
			b.WriteString(t.text)
		}
	}
	return b.String()
}

// match reports whether all of s matches.
func (g *glob) match(s string) bool {
	switch g.shape {
	case exact:
		return s == g.head
	case prefix:
		return strings.HasPrefix(s, g.head)
	case around:
		return len(s) >= len(g.head)+len(g.tail) && strings.HasPrefix(s, g.head) && strings.HasSuffix(s, g.tail)
	case other:
	}
	if !strings.HasPrefix(s, g.head) {
		return false
	}
	return matchTokens(g.tokens, s[len(g.head):])
}

// matchTokens matches with one step back: what the last star stands for grows until the
// rest fits. Its time is at most the product of the lengths.
func matchTokens(tokens []token, s string) bool {
	last, mark := -1, 0 // the last star, and where what follows it is tried
	i, at := 0, 0
	for {
		if i == len(tokens) {
			if at == len(s) {
				return true
			}
		} else {
			switch t := &tokens[i]; t.kind {
			case star:
				if i == len(tokens)-1 {
					return true
				}
				last, mark = i, at
				i++
				continue
			case one:
				if at < len(s) {
					_, n := utf8.DecodeRuneInString(s[at:])
					at += n
					i++
					continue
				}
			default:
				if strings.HasPrefix(s[at:], t.text) {
					at += len(t.text)
					i++
					continue
				}
			}
		}
		if last < 0 || mark >= len(s) {
			return false
		}
		_, n := utf8.DecodeRuneInString(s[mark:])
		mark += n
		if next := &tokens[last+1]; next.kind == literal {
			skip := strings.Index(s[mark:], next.text)
			if skip < 0 {
				return false
			}
			mark += skip
		}
		i, at = last+1, mark
	}
}

// Match reports whether s fits a pattern with the wildcards * and ?, and no variables.
func Match(pattern, s string) bool {
	tokens := make([]token, 0, 4)
	for rest := pattern; rest != ""; {
		switch rest[0] {
		case '*':
			tokens = append(tokens, token{kind: star})
			rest = rest[1:]
		case '?':
			tokens = append(tokens, token{kind: one})
			rest = rest[1:]
		default:
			i := strings.IndexAny(rest, "*?")
			if i < 0 {
				i = len(rest)
			}
			tokens = append(tokens, token{kind: literal, text: rest[:i]})
			rest = rest[i:]
		}
	}
	g := newGlob(tokens)
	return g.match(s)
}
