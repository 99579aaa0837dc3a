package yamldoc

import (
	"fmt"

	"github.com/goccy/go-yaml/ast"
)

// entries fills a map, reports keys that stand there twice, and adds what merge keys
// bring: the map's own keys win, and of several merged maps the first one
// (https://yaml.org/type/merge.html).
func (c *converter) entries(out *Node, values []*ast.MappingValueNode, depth int) {
	known := make(map[string]*Node, len(values))
	var merges []*Node
	for _, v := range values {
		if v == nil || isNil(v.Key) {
			continue
		}
		if v.Key.IsMergeKey() {
			merges = append(merges, c.node(v.Value, depth+1))
			continue
		}
		key := c.node(unwrapKey(v.Key), depth+1)
		value := c.node(v.Value, depth+1)
		if key.kind == List || key.kind == Map {
			c.report(key, "a key that is "+key.describe(), "write text as the key")
			continue
		}
		if first, ok := known[key.text]; ok {
			c.report(key, fmt.Sprintf("key %q stands here twice", key.text), fmt.Sprintf("remove one of them: the first is on line %d", first.line))
			continue
		}
		known[key.text] = key
		out.entries = append(out.entries, Entry{Key: key.text, Value: value, key: key})
	}
	for _, m := range merges {
		c.merge(out, known, m)
	}
}

// unwrapKey takes the question mark off a key.
func unwrapKey(key ast.MapKeyNode) ast.Node {
	if k, ok := key.(*ast.MappingKeyNode); ok {
		return k.Value
	}
	return key
}

// merge adds the keys of a map, or of the maps in a list, that are not known yet.
func (c *converter) merge(out *Node, known map[string]*Node, from *Node) {
	switch from.kind {
	case Map:
		for _, e := range from.entries {
			if _, ok := known[e.Key]; ok {
				continue
			}
			known[e.Key] = e.key
			e.merged = true
			out.entries = append(out.entries, e)
		}
	case List:
		for _, item := range from.items {
			if item.kind == Map {
				c.merge(out, known, item)
				continue
			}
			c.report(item, "<< takes maps, and this is "+item.describe(), "write *NAME of an anchored map")
		}
	case Null:
	case Scalar:
		c.report(from, "<< takes a map, and this is "+from.describe(), "write *NAME of an anchored map")
	}
}
