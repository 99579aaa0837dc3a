package rulesimport

import (
	"slices"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"
)

// node converts a value. A nil of the parser's is a null.
func (r *yamlReader) node(n ast.Node, depth int) *node {
	if isNil(n) {
		return r.place(1, 1)
	}
	t := start(n)
	out := r.place(t.Line, t.Column)
	r.size++
	if depth > maxDepth || r.size > maxNodes {
		r.fail(out, "this file is nested too deeply, or too large when its aliases are written out", "make it smaller")
		return out
	}
	switch n := n.(type) {
	case *ast.MappingNode:
		r.entries(out, n.Values, depth)
	case *ast.MappingValueNode:
		r.entries(out, []*ast.MappingValueNode{n}, depth)
	case *ast.SequenceNode:
		out.kind = listKind
		for _, item := range n.Values {
			if text, ok := unsplit(item); ok {
				out.items = append(out.items, out.scalar(text))
				continue
			}
			out.items = append(out.items, r.node(item, depth+1))
		}
	case *ast.AnchorNode:
		before := r.size
		value := r.node(n.Value, depth+1)
		if !isNil(n.Name) {
			r.anchors[n.Name.GetToken().Value] = anchored{value, r.size - before}
		}
		return value
	case *ast.AliasNode:
		return r.alias(n, out)
	case *ast.TagNode:
		return r.tagged(n, out, depth)
	case *ast.NullNode:
	case *ast.LiteralNode:
		out.kind = scalarKind
		if n.Value != nil {
			out.text = n.Value.Value
		}
	default:
		r.scalar(out, n)
	}
	return out
}

func (r *yamlReader) scalar(out *node, n ast.Node) {
	t := n.GetToken()
	if _, ok := n.(ast.ScalarNode); !ok {
		r.fail(out, "not valid YAML here", "write a value")
		return
	}
	out.kind, out.text = scalarKind, t.Value
	if t.Type == token.SingleQuoteType || t.Type == token.DoubleQuoteType {
		return
	}
	switch t.Value {
	case "", "~", "null", "Null", "NULL":
		out.kind = nullKind
	case "True", "TRUE":
		out.text = "true"
	case "False", "FALSE":
		out.text = "false"
	}
}

func (r *yamlReader) alias(n *ast.AliasNode, out *node) *node {
	name := ""
	if !isNil(n.Value) {
		name = n.Value.GetToken().Value
	}
	a, ok := r.anchors[name]
	if !ok {
		r.fail(out, "unknown alias *"+name, "mark a value before this one with &"+name)
		return out
	}
	r.size += a.size
	return a.value
}

// entries fills a map. A map's own keys win over merged ones.
func (r *yamlReader) entries(out *node, values []*ast.MappingValueNode, depth int) {
	out.kind = mapKind
	known := make(map[string]bool, len(values))
	add := func(e entry) {
		if !known[e.key.text] {
			known[e.key.text] = true
			out.entries = append(out.entries, e)
		}
	}
	var merged []*node
	for _, v := range values {
		if v == nil || isNil(v.Key) {
			continue
		}
		if v.Key.IsMergeKey() {
			merged = append(merged, r.node(v.Value, depth+1))
			continue
		}
		var from ast.Node = v.Key
		if k, ok := v.Key.(*ast.MappingKeyNode); ok {
			from = k.Value
		}
		key := r.node(from, depth+1)
		if known[key.text] && key.kind == scalarKind {
			r.fail(key, "the key "+key.text+" stands here twice", "remove one of them")
		}
		add(entry{key, r.node(v.Value, depth+1)})
	}
	for len(merged) > 0 && r.size <= maxNodes {
		m := merged[0]
		merged = slices.Concat(m.items, merged[1:])
		r.size += len(m.items) + len(m.entries)
		for _, e := range m.entries {
			add(e)
		}
	}
}

// unsplit undoes a mistake of the parser: in a list inside a map in braces it takes
// a:b for the key a with the value b. A colon that no blank follows is part of the text
// (YAML 1.2.2, section 7.3.3).
func unsplit(item ast.Node) (string, bool) {
	if m, ok := item.(*ast.MappingNode); ok && !m.IsFlowStyle && len(m.Values) == 1 {
		item = m.Values[0]
	}
	pair, ok := item.(*ast.MappingValueNode)
	if !ok || isNil(pair.Key) || isNil(pair.Value) || pair.Start == nil {
		return "", false
	}
	key, colon, value := pair.Key.GetToken(), pair.Start.Position, start(pair.Value)
	if key.Type == token.SingleQuoteType || key.Type == token.DoubleQuoteType || value.Line != colon.Line || value.Column != colon.Column+1 {
		return "", false
	}
	if _, scalar := pair.Value.(ast.ScalarNode); scalar {
		return key.Value + ":" + pair.Value.GetToken().Value, true
	}
	rest, ok := unsplit(pair.Value)
	return key.Value + ":" + rest, ok
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

// start is where a value starts. The parser gives a map the place of its first colon.
func start(n ast.Node) *token.Position {
	switch n := n.(type) {
	case *ast.MappingNode:
		if !n.IsFlowStyle && len(n.Values) > 0 && !isNil(n.Values[0].Key) {
			return start(n.Values[0].Key)
		}
	case *ast.MappingValueNode:
		if !isNil(n.Key) {
			return start(n.Key)
		}
	}
	return n.GetToken().Position
}
