package yamldoc

import (
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// maxDepth is how deeply lists and maps may be nested. No configuration comes near;
// the parser's time and stack grow with it.
const maxDepth = 200

// Parse reads the text of a file, one Node for each of its documents. If the text is
// not YAML it reports that and gives what it has, possibly nothing. An empty document
// is a Null.
func (l *Loader) Parse(name string, data []byte) []*Node {
	text := strings.TrimPrefix(string(data), "\ufeff")
	// The parser counts lines wrongly where they end in CR LF, and YAML makes no
	// difference between line breaks.
	text = strings.ReplaceAll(text, "\r\n", "\n")
	text = strings.ReplaceAll(text, "\r", "\n")
	s := newSource(name, len(l.sources), text)
	l.sources = append(l.sources, s)
	if at, what, ok := unreadable(s); ok {
		l.reportAt(s, at, "", what, "save the file as UTF-8 text")
		return nil
	}
	file, err := parseText(text)
	if err != nil {
		l.reportSyntax(s, err)
		return nil
	}
	docs := make([]*Node, 0, len(file.Docs))
	for _, doc := range file.Docs {
		c := converter{loader: l, src: s, anchors: make(map[string]*Node), open: make(map[string]bool)}
		docs = append(docs, c.node(doc.Body, 0))
	}
	if len(docs) == 0 {
		docs = append(docs, &Node{src: s, line: 1, column: 1})
	}
	return docs
}

// unreadable finds the first byte that no text has.
func unreadable(s *source) (at Position, what string, found bool) {
	for i, line := range s.lines {
		column := 0
		for j, r := range line {
			column++
			switch {
			case r == utf8.RuneError && !strings.HasPrefix(line[j:], "\ufffd"):
				return s.at(i+1, column), "this is not UTF-8 text", true
			case unicode.IsControl(r) && r != '\t' && r != '\u0085':
				return s.at(i+1, column), fmt.Sprintf("there is a control character (%U)", r), true
			}
		}
	}
	return Position{}, "", false
}

// parseText calls the parser. A panic of it becomes an error: a file must not be able
// to end the program.
func parseText(text string) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, fmt.Errorf("the YAML parser cannot read this: %v", r)
		}
	}()
	tokens := lexer.Tokenize(text)
	if deep := tooDeep(tokens); deep != nil {
		return nil, &yaml.SyntaxError{Message: fmt.Sprintf("nested more than %d levels deep", maxDepth), Token: deep}
	}
	// Duplicate keys are ours to report: the parser would stop at the first.
	return parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
}

// tooDeep finds where brackets, or dashes and question marks in a row, go too deep.
func tooDeep(tokens token.Tokens) *token.Token {
	flow, row, line := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType:
			if t.Position.Line != line {
				row, line = 0, t.Position.Line
			}
			row++
		default:
		}
		if flow > maxDepth || row > maxDepth {
			return t
		}
	}
	return nil
}

// reportSyntax reports what the parser did not like, with a remedy for the mistakes
// that people make.
func (l *Loader) reportSyntax(s *source, err error) {
	message, at := err.Error(), s.at(1, 1)
	if syntax, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		message = syntax.Message
		if t := syntax.Token; t != nil && t.Position != nil {
			at = s.clamp(t.Position.Line, t.Position.Column)
		}
	}
	remedy := ""
	switch line := s.line(at.Line); {
	case strings.Contains(message, `'\t'`) || strings.Contains(message, "tab character") || strings.Contains(message, "\t"):
		message, remedy = "a tab where YAML allows only spaces", "indent with spaces"
	case strings.Contains(message, "mapping value is not allowed"), strings.Contains(message, "mapping values are not allowed"):
		remedy = `put text that has ": " in it into quotes, and check the indentation`
	case strings.Contains(message, "must be specified") && strings.Contains(line, "${"):
		remedy = "put text with ${...} into quotes where it stands inside {...} or [...]"
	case strings.Contains(message, "'@'"), strings.Contains(message, "'`'"), strings.Contains(message, "'%'"):
		remedy = "put the text into quotes"
	case strings.Contains(message, "must be specified"), strings.Contains(message, "could not find"), strings.Contains(message, "not found"):
		remedy = "check the brackets and quotes before this place"
	case strings.Contains(message, "unexpected key name"):
		remedy = `write a colon and a blank after the key: "key: value"`
	case strings.Contains(message, "non-map value"), strings.Contains(message, "is not allowed in this context"):
		remedy = `check the indentation, and that there is a ": " after the key`
	case strings.Contains(line, "\t"):
		remedy = "indent with spaces, not with tabs"
	}
	l.reportAt(s, at, "", "not valid YAML: "+message, remedy)
}

// clamp makes a place of the parser's one that exists: for some mistakes it names a
// line after the last or a column of 0.
func (s *source) clamp(line, column int) Position {
	line = min(max(line, 1), len(s.lines))
	if line == len(s.lines) && s.line(line) == "" && line > 1 {
		line-- // the end of the last line shows more than an empty one
		column = utf8.RuneCountInString(s.line(line)) + 1
	}
	return s.at(line, min(max(column, 1), utf8.RuneCountInString(s.line(line))+1))
}
