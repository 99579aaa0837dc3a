package yamldoc

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// converter makes Nodes of the parser's syntax tree of one document.
type converter struct {
	loader  *Loader
	src     *source
	anchors map[string]*Node
	open    map[string]bool // anchors whose value is being converted
}

// node converts a value; nil, which the parser uses for empty documents, is a Null.
func (c *converter) node(n ast.Node, depth int) *Node {
	if isNil(n) {
		return &Node{src: c.src, line: 1, column: 1}
	}
	c.loader.budget += 2 // what is written out may be decoded, and once more by a merge
	at := c.start(n)
	out := &Node{src: c.src, line: at.Line, column: at.Column}
	if depth > maxDepth {
		c.report(out, fmt.Sprintf("nested more than %d levels deep", maxDepth), "")
		return out
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		out.kind = Map
		c.entries(out, n.Values, depth)
	case *ast.MappingValueNode:
		out.kind = Map
		c.entries(out, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out.kind = List
		for _, item := range n.Values {
			if whole, ok := c.unsplit(item); ok {
				out.items = append(out.items, whole)
				continue
			}
			out.items = append(out.items, c.node(item, depth+1))
		}
	case *ast.AnchorNode:
		return c.anchor(n, depth)
	case *ast.AliasNode:
		return c.alias(n, out)
	case *ast.TagNode:
		return c.tagged(n, out, depth)
	case *ast.NullNode:
	case *ast.LiteralNode:
		out.kind, out.isText, out.style = Scalar, true, literalBlock
		if n.Start != nil && n.Start.Type == token.FoldedType {
			out.style = foldedBlock
		}
		if n.Value != nil {
			out.text = n.Value.Value
		}
	default:
		c.scalar(out, n)
	}
	return out
}

// unsplit undoes a mistake of the parser: in a list inside a map in braces it takes
// 127.0.0.1:1883 for the key 127.0.0.1 with the value 1883. A colon that no blank
// follows is part of the text (YAML 1.2.2, section 7.3.3).
func (c *converter) unsplit(item ast.Node) (*Node, bool) {
	if m, ok := item.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) == 1 {
		item = m.Values[0]
	}
	pair, ok := item.(*ast.MappingValueNode)
	if !ok || isNil(pair.Key) || isNil(pair.Value) || pair.Start == nil {
		return nil, false
	}
	if _, ok := pair.Value.(ast.ScalarNode); !ok {
		return nil, false
	}
	key, value, colon := pair.Key.GetToken(), pair.Value.GetToken(), pair.Start.Position
	if !isPlain(key) || !isPlain(value) || value.Position.Line != colon.Line || value.Position.Column != colon.Column+1 {
		return nil, false
	}
	at := c.start(pair.Key)
	return &Node{kind: Scalar, src: c.src, line: at.Line, column: at.Column, text: key.Value + ":" + value.Value}, true
}

// isPlain reports a scalar without quotes.
func isPlain(t *token.Token) bool {
	switch t.Type {
	case token.StringType, token.IntegerType, token.FloatType, token.OctetIntegerType, token.HexIntegerType, token.BinaryIntegerType, token.BoolType, token.NullType:
		return true
	default:
		return false
	}
}

// isNil reports a node that is none, also when it is a nil pointer of some type.
func isNil(n ast.Node) bool {
	switch n := n.(type) {
	case nil:
		return true
	case *ast.StringNode:
		return n == nil
	case *ast.LiteralNode:
		return n == nil
	default:
		return n.GetToken() == nil
	}
}

// scalar fills a scalar from its token, so that a number keeps its text.
func (c *converter) scalar(out *Node, n ast.Node) {
	t := n.GetToken()
	out.kind, out.text = Scalar, t.Value
	switch t.Type {
	case token.SingleQuoteType:
		out.style, out.isText = singleQuoted, true
	case token.DoubleQuoteType:
		out.style, out.isText = doubleQuoted, true
	default:
		if resolve(t.Value) == nil {
			out.kind = Null
		}
	}
	if _, ok := n.(ast.ScalarNode); !ok {
		c.report(out, "not valid YAML here", "write a value")
		out.kind = Null
	}
}

func (c *converter) anchor(n *ast.AnchorNode, depth int) *Node {
	name := ""
	if !isNil(n.Name) {
		name = n.Name.GetToken().Value
	}
	c.open[name] = true
	value := c.node(n.Value, depth) // a fresh Node: an alias cannot have an anchor
	delete(c.open, name)
	c.anchors[name] = value
	return value
}

func (c *converter) alias(n *ast.AliasNode, out *Node) *Node {
	name := ""
	if !isNil(n.Value) {
		name = n.Value.GetToken().Value
	}
	if value, ok := c.anchors[name]; ok {
		return value
	}
	if c.open[name] {
		c.report(out, fmt.Sprintf("alias *%s is inside the value that it stands for", name), "write the value out")
		return out
	}
	remedy := fmt.Sprintf("mark a value before this one with &%s", name)
	if s := Suggest(name, slices.Sorted(maps.Keys(c.anchors))); s != "" {
		remedy = s
	}
	c.report(out, fmt.Sprintf("unknown alias *%s", name), remedy)
	return out
}

// tagged obeys the tags of YAML's core schema and refuses others: they would ask for
// something that is not done.
func (c *converter) tagged(n *ast.TagNode, out *Node, depth int) *Node {
	value := c.node(n.Value, depth)
	if isNil(n.Value) {
		value = out
	}
	tag := n.GetToken().Value
	switch name := strings.TrimPrefix(tag, "!!"); {
	case tag == name || !slices.Contains([]string{"str", "int", "float", "bool", "null", "map", "seq"}, name):
		c.report(out, fmt.Sprintf("the tag %s means nothing here", tag), "remove it")
	case name == "str" && (value.kind == Scalar || value.kind == Null):
		text := *value
		text.kind, text.isText = Scalar, true
		return &text
	}
	return value
}

// start is where a value starts. The parser gives a map the place of its first colon.
func (c *converter) start(n ast.Node) Position {
	t := n.GetToken()
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 && !isNil(n.Values[0].Key) {
			return c.start(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		if !isNil(n.Key) {
			return c.start(n.Key)
		}
	}
	return c.src.clamp(t.Position.Line, t.Position.Column)
}

func (c *converter) report(n *Node, message, remedy string) {
	n.wrong = true
	c.loader.reportAt(c.src, n.Position(), "", message, remedy)
}
