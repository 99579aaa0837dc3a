package rulesimport

import (
	"encoding/base64"
	"strconv"
	"strings"
)

// pair resolves the two texts that an intrinsic takes.
func (t *template) pair(arg *node) (first, second *node, ok bool) {
	if arg.kind != listKind || len(arg.items) != 2 {
		return nil, nil, false
	}
	return t.text(arg.items[0]), t.value(arg.items[1]), true
}

// split resolves Fn::Split.
func (t *template) split(n, arg *node) *node {
	separator, text, ok := t.pair(arg)
	if !ok {
		return wrong(n, "Fn::Split", "Fn::Split: [separator, text]")
	}
	if wants := lacks(separator, text); len(wants) > 0 {
		return n.unknown(wants...)
	}
	out := n.like(listKind)
	for part := range strings.SplitSeq(text.text, separator.text) {
		if !t.budget.spend(len(part)) {
			return n.unknown(tooMuch)
		}
		out.items = append(out.items, n.scalar(part).withStandIns(text))
	}
	return out
}

// selected resolves Fn::Select.
func (t *template) selected(n, arg *node) *node {
	index, list, ok := t.pair(arg)
	if !ok {
		return wrong(n, "Fn::Select", "Fn::Select: [index, list]")
	}
	if index.kind == unknownKind {
		return index
	}
	if list.kind == unknownKind {
		return list
	}
	i, err := strconv.Atoi(index.text)
	if err != nil || list.kind != listKind || i < 0 || i >= len(list.items) {
		return n.impossible("Fn::Select has no item "+index.text+" to select", "write an index that the list has")
	}
	return list.items[i]
}

// findInMap resolves Fn::FindInMap.
func (t *template) findInMap(n, arg *node) *node {
	if arg.kind != listKind || len(arg.items) < 3 {
		return wrong(n, "Fn::FindInMap", "Fn::FindInMap: [map, key, key]")
	}
	keys := []*node{t.text(arg.items[0]), t.text(arg.items[1]), t.text(arg.items[2])}
	if wants := lacks(keys...); len(wants) > 0 {
		return n.unknown(wants...)
	}
	found := t.root.path("Mappings", keys[0].text, keys[1].text, keys[2].text)
	if !found.given() && len(arg.items) > 3 {
		found = arg.items[3].get("DefaultValue")
	}
	if !found.given() {
		// A stand-in chose the key: the true value of it would be another.
		if used := (&node{doc: n.doc}).withStandIns(keys...).standIns; len(used) > 0 {
			return n.unknown(used...)
		}
		return n.impossible("Mappings has no "+keys[0].text+"."+keys[1].text+"."+keys[2].text, "add it, or give another key")
	}
	return t.value(found).withStandIns(keys...)
}

// base64 resolves Fn::Base64.
func (t *template) base64(n, arg *node) *node {
	text := t.text(arg)
	if text.kind != scalarKind {
		return text
	}
	return n.scalar(base64.StdEncoding.EncodeToString([]byte(text.text))).withStandIns(text)
}

// importValue resolves Fn::ImportValue by a parameter of the export's name.
func (t *template) importValue(n, arg *node) *node {
	name := t.text(arg)
	if name.kind != scalarKind {
		return name
	}
	if value, ok := t.params.get(name.text); ok {
		return n.scalar(value)
	}
	return n.unknown(want{name: name.text})
}

// choose resolves Fn::If.
func (t *template) choose(n, arg *node) *node {
	if arg.kind != listKind || len(arg.items) != 3 {
		return wrong(n, "Fn::If", "Fn::If: [condition, value, value]")
	}
	holds, unknown := t.condition(arg.items[0], arg.items[0].text)
	switch {
	case unknown != nil:
		return unknown
	case holds:
		return t.value(arg.items[1])
	default:
		return t.value(arg.items[2])
	}
}

// condition works out a condition by its name.
func (t *template) condition(n *node, name string) (holds bool, unknown *node) {
	c := t.root.path("Conditions", name)
	if !c.given() {
		return false, n.impossible("there is no condition "+name, "declare it under Conditions")
	}
	if t.deciding[name] {
		return false, n.impossible("the condition "+name+" needs itself", "take the circle apart")
	}
	t.deciding[name] = true
	defer delete(t.deciding, name)
	return t.holds(c)
}

// holds works out a condition.
func (t *template) holds(n *node) (bool, *node) {
	if t.depth++; t.depth > 4*maxDepth || !t.budget.spend(0) {
		t.depth--
		return false, n.unknown(tooMuch)
	}
	defer func() { t.depth-- }()
	if n.kind != mapKind || len(n.entries) != 1 {
		v := t.text(n)
		if v.kind == scalarKind && (v.text == "true" || v.text == "false") {
			return v.text == "true", nil
		}
		return false, n.impossible("this is no condition", "write Fn::Equals, Fn::And, Fn::Or, Fn::Not or Condition")
	}
	key, arg := n.entries[0].key.text, n.entries[0].value
	switch {
	case key == "Condition":
		return t.condition(arg, arg.text)
	case key == "Fn::Equals" && arg.kind == listKind && len(arg.items) == 2:
		sides := []*node{t.value(arg.items[0]), t.value(arg.items[1])}
		if wants := lacks(sides...); len(wants) > 0 {
			return false, n.unknown(wants...)
		}
		if used := n.withStandIns(sides...).standIns; len(used) > 0 {
			return false, n.unknown(used...) // a made-up region must not decide anything
		}
		return sides[0].text == sides[1].text, nil
	case key == "Fn::Not" && arg.kind == listKind && len(arg.items) == 1:
		holds, unknown := t.holds(arg.items[0])
		return !holds, unknown
	case (key == "Fn::And" || key == "Fn::Or") && arg.kind == listKind:
		return t.several(arg.items, key == "Fn::Or")
	}
	return false, n.impossible("this is no condition", "write Fn::Equals, Fn::And, Fn::Or, Fn::Not or Condition")
}

// several works out Fn::And and Fn::Or. One operand that decides makes up for others
// that are unknown.
func (t *template) several(operands []*node, decisive bool) (bool, *node) {
	var unknown *node
	for _, o := range operands {
		holds, u := t.holds(o)
		if u == nil && holds == decisive {
			return decisive, nil
		}
		if unknown == nil {
			unknown = u
		}
	}
	return !decisive, unknown
}
