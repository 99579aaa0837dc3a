package rulesimport

import (
	"regexp"
	"strings"
)

var subName = regexp.MustCompile(`^[A-Za-z0-9_.:]+$`)

// sub resolves Fn::Sub in both forms. ${!x} is ${x} in the result, which AWS IoT then
// takes as a substitution template.
func (t *template) sub(n, arg *node) *node {
	own := n.like(mapKind)
	if arg.kind == listKind && len(arg.items) == 2 && arg.items[1].kind == mapKind {
		arg, own = arg.items[0], arg.items[1]
	}
	if arg.kind != scalarKind {
		return wrong(n, "Fn::Sub", `Fn::Sub: "text with ${Name}"`)
	}
	var out strings.Builder
	var parts []*node
	rest := arg.text
	for {
		i := strings.Index(rest, "${")
		if i < 0 {
			break
		}
		end := strings.IndexByte(rest[i:], '}')
		if end < 0 {
			break
		}
		out.WriteString(rest[:i])
		name := strings.TrimSpace(rest[i+2 : i+end])
		rest = rest[i+end+1:]
		if literal, ok := strings.CutPrefix(name, "!"); ok {
			out.WriteString("${" + literal + "}")
			continue
		}
		v := t.subValue(arg, own, name)
		parts = append(parts, v)
		out.WriteString(v.text)
		if !t.budget.spend(out.Len()) {
			return n.unknown(tooMuch)
		}
	}
	if wants := lacks(parts...); len(wants) > 0 {
		return n.unknown(wants...)
	}
	return n.scalar(out.String() + rest).withStandIns(parts...)
}

// subValue is what a ${name} stands for.
func (t *template) subValue(n, own *node, name string) *node {
	if v := own.get(name); v.given() {
		return t.text(v)
	}
	if !subName.MatchString(name) {
		return n.impossible("${"+name+"} stands inside Fn::Sub, which takes names alone", "write ${!"+name+"} for a substitution template of AWS IoT")
	}
	if strings.Contains(name, ".") {
		return t.attribute(n, name)
	}
	return t.named(n, name)
}

// getAtt resolves Fn::GetAtt, written as "A.B" or [A, B].
func (t *template) getAtt(n, arg *node) *node {
	if arg.kind == listKind && len(arg.items) == 2 {
		parts := []*node{t.text(arg.items[0]), t.text(arg.items[1])}
		if wants := lacks(parts...); len(wants) > 0 {
			return n.unknown(wants...)
		}
		return t.attribute(n, parts[0].text+"."+parts[1].text)
	}
	if arg.kind != scalarKind || !strings.Contains(arg.text, ".") {
		return wrong(n, "Fn::GetAtt", "Fn::GetAtt: Resource.Attribute")
	}
	return t.attribute(n, arg.text)
}

// attribute is an attribute of a resource, "Resource.Attribute".
func (t *template) attribute(n *node, name string) *node {
	if value, ok := t.params.get(name); ok {
		return n.scalar(value)
	}
	id, attribute, _ := strings.Cut(name, ".")
	if f, ok := t.functions[id]; ok && attribute == "Arn" {
		return t.arn(n, f)
	}
	switch t.resources.path(id, "Type").text {
	case "AWS::Lambda::Alias", "AWS::Lambda::Version":
		return t.named(n, id)
	}
	return t.named(n, name)
}

// join resolves Fn::Join.
func (t *template) join(n, arg *node) *node {
	if arg.kind != listKind || len(arg.items) != 2 {
		return wrong(n, "Fn::Join", "Fn::Join: [separator, [text, ...]]")
	}
	separator, list := t.text(arg.items[0]), t.value(arg.items[1])
	if list.kind == unknownKind {
		return list
	}
	if list.kind != listKind {
		return wrong(n, "Fn::Join", "Fn::Join: [separator, [text, ...]]")
	}
	if wants := lacks(append([]*node{separator}, list.items...)...); len(wants) > 0 {
		return n.unknown(wants...)
	}
	var out strings.Builder
	for i, item := range list.items {
		if i > 0 {
			out.WriteString(separator.text)
		}
		out.WriteString(item.text)
		if !t.budget.spend(out.Len()) {
			return n.unknown(tooMuch)
		}
	}
	return n.scalar(out.String()).withStandIns(append(list.items, separator)...)
}
