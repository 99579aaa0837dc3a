package rulesimport

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"

	"github.com/topicwire/topicwire/internal/config/yamldoc"
)

// read makes a node of a file's text, JSON or YAML.
func read(name string, data []byte) (*node, *yamldoc.Problem) {
	text := strings.TrimPrefix(string(data), "\ufeff")
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\r", "\n")
	doc := &document{name: name, lines: strings.Split(text, "\n")}
	if !utf8.ValidString(text) || strings.ContainsRune(text, 0) {
		return nil, &yamldoc.Problem{Position: yamldoc.Position{File: name}, Message: "this is not UTF-8 text", Remedy: "save the file as UTF-8 text"}
	}
	if first := strings.TrimLeft(text, " \t\n"); first == "" {
		return &node{doc: doc, line: 1, column: 1}, nil
	} else if first[0] == '{' || first[0] == '[' {
		return readJSON(doc, []byte(text))
	}
	return readYAML(doc, text)
}

// readYAML reads a YAML text; several documents become a list. The short tags of
// CloudFormation become the long forms: !Sub x is Fn::Sub: x.
func readYAML(doc *document, text string) (*node, *yamldoc.Problem) {
	file, err := parse(text)
	c := &yamlReader{doc: doc, anchors: make(map[string]anchored)}
	if err != nil {
		at, message := &node{doc: doc, line: 1, column: 1}, err.Error()
		if syntax, ok := errors.AsType[*yaml.SyntaxError](err); ok {
			message = syntax.Message
			if t := syntax.Token; t != nil && t.Position != nil {
				at = c.place(t.Position.Line, t.Position.Column)
			}
		}
		return nil, c.problem(at, "not valid YAML: "+firstLine(message), "correct it")
	}
	if line := emptyDocument(doc.lines); line > 0 {
		return nil, c.problem(c.place(line, 1), "a second line of dashes with nothing between", "remove it") // the parser stops there
	}
	all := &node{kind: listKind, doc: doc, line: 1, column: 1}
	for _, d := range file.Docs {
		if d.Body == nil {
			continue // nothing between two lines of dashes
		}
		all.items = append(all.items, c.node(d.Body, 0))
		if c.err != nil {
			return nil, c.err
		}
	}
	switch len(all.items) {
	case 0:
		return all.like(nullKind), nil
	case 1:
		return all.items[0], nil
	}
	return all, nil
}

// emptyDocument finds the line, from 1, that ends a document of nothing; 0 if there is
// none.
func emptyDocument(lines []string) int {
	dashes := false
	for i, l := range lines {
		switch l = strings.TrimSpace(l); {
		case l == "---" && dashes:
			return i + 1
		case l == "---":
			dashes = true
		case l != "" && l[0] != '#':
			dashes = false
		}
	}
	return 0
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(s, "\n")
	return s
}

// parse calls the parser. A panic of it becomes an error: a file must not be able to
// end the program.
func parse(text string) (file *ast.File, err error) {
	defer func() {
		if r := recover(); r != nil {
			file, err = nil, fmt.Errorf("the YAML parser cannot read this: %v", r)
		}
	}()
	tokens := lexer.Tokenize(text)
	flow, row, line := 0, 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.SequenceStartType, token.MappingStartType:
			flow++
		case token.SequenceEndType, token.MappingEndType:
			flow--
		case token.SequenceEntryType, token.MappingKeyType, token.TagType:
			if t.Position.Line != line {
				row, line = 0, t.Position.Line
			}
			row++
		default:
		}
		if flow > maxDepth || row > maxDepth {
			return nil, &yaml.SyntaxError{Message: errDeep.Error(), Token: t}
		}
	}
	file, err = parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	correctColumns(tokens)
	return file, err
}

// correctColumns undoes a mistake of the lexer, which counts one column too few for
// each tag before a token on its line.
func correctColumns(tokens token.Tokens) {
	tags, line := 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			tags, line = 0, t.Position.Line
		}
		t.Position.Column += tags
		if t.Type == token.TagType {
			tags++
		}
	}
}

// yamlReader makes nodes of the parser's syntax tree.
type yamlReader struct {
	doc     *document
	anchors map[string]anchored
	size    int // of what has been read, aliases written out
	err     *yamldoc.Problem
}

// anchored is a value with an anchor and how many nodes it holds.
type anchored struct {
	value *node
	size  int
}

func (r *yamlReader) problem(at *node, message, remedy string) *yamldoc.Problem {
	return &yamldoc.Problem{Position: at.position(), Message: message, Remedy: remedy, Source: at.source()}
}

func (r *yamlReader) fail(at *node, message, remedy string) {
	if r.err == nil {
		r.err = r.problem(at, message, remedy)
	}
}

// place makes a null node at a place, moved into the text if need be: for some
// mistakes the parser names places that are not there.
func (r *yamlReader) place(line, column int) *node {
	return &node{doc: r.doc, line: min(max(line, 1), len(r.doc.lines)), column: max(column, 1)}
}

// long are the long forms of CloudFormation's tags that are not Fn:: and the name.
var long = map[string]string{"!Ref": "Ref", "!Condition": "Condition"}

// tagged makes the long form of a tag.
func (r *yamlReader) tagged(t *ast.TagNode, out *node, depth int) *node {
	tag := t.GetToken().Value
	value := out
	if !isNil(t.Value) {
		value = r.node(t.Value, depth+1)
	}
	switch {
	case strings.HasPrefix(tag, "!!"):
		if tag == "!!str" && value.kind == nullKind {
			return out.scalar(value.text)
		}
		return value
	case len(tag) < 2:
		return value
	}
	name, ok := long[tag]
	if !ok {
		name = "Fn::" + tag[1:]
	}
	form := out.like(mapKind)
	form.entries = []entry{{out.scalar(name), value}}
	return form
}
