package rulesimport

import (
	"slices"
	"strings"
)

// template is a CloudFormation template whose intrinsics are resolved as far as it
// says what they come to.
// (https://docs.aws.amazon.com/AWSCloudFormation/latest/TemplateReference/intrinsic-function-reference.html)
type template struct {
	params    *params
	root      *node
	resources *node
	// functions are the resources that are functions: logical id to the name they have
	// with us.
	functions map[string]string
	// deciding are the conditions being worked out, to find those that need themselves.
	deciding map[string]bool
	budget   budget
	depth    int
}

func newTemplate(root *node, given *params) *template {
	return &template{
		params: given, root: root, resources: root.get("Resources"), functions: make(map[string]string),
		deciding: make(map[string]bool), budget: budget{maxWork},
	}
}

// value is n with its intrinsics resolved.
func (t *template) value(n *node) *node {
	if t.depth++; t.depth > 4*maxDepth || !t.budget.spend(len(n.text)) {
		t.depth--
		return n.unknown(tooMuch)
	}
	defer func() { t.depth-- }()
	switch n.kind {
	case scalarKind:
		return t.dynamic(n)
	case listKind:
		out := n.like(listKind)
		for _, item := range n.items {
			if v := t.value(item); v.kind != absentKind {
				out.items = append(out.items, v)
			}
		}
		return out
	case mapKind:
		if len(n.entries) == 1 {
			if v, ok := t.intrinsic(n, n.entries[0].key.text, n.entries[0].value); ok {
				return v
			}
		}
		out := n.like(mapKind)
		for _, e := range n.entries {
			if strings.HasPrefix(e.key.text, "Fn::") {
				return t.strange(n, e.key.text)
			}
			if v := t.value(e.value); v.kind != absentKind {
				out.entries = append(out.entries, entry{e.key, v})
			}
		}
		return out
	case nullKind, absentKind, unknownKind:
	}
	return n
}

// dynamic replaces {{resolve:...}}, which CloudFormation fetches when it deploys.
func (t *template) dynamic(n *node) *node {
	text, from := n.text, 0
	for {
		i := strings.Index(text[from:], "{{resolve:")
		if i < 0 {
			break
		}
		i += from
		end := strings.Index(text[i:], "}}")
		if end < 0 {
			break
		}
		name := text[i+2 : i+end]
		value, ok := t.params.get(name)
		if !ok {
			return n.unknown(want{name: name})
		}
		text = text[:i] + value + text[i+end+2:]
		from = i + len(value)
	}
	if text == n.text {
		return n
	}
	return n.scalar(text)
}

// intrinsic resolves a map of one key, if that is an intrinsic's.
func (t *template) intrinsic(n *node, key string, arg *node) (*node, bool) {
	switch key {
	case "Ref":
		return t.ref(n, arg), true
	case "Fn::GetAtt":
		return t.getAtt(n, arg), true
	case "Fn::Sub":
		return t.sub(n, arg), true
	case "Fn::Join":
		return t.join(n, arg), true
	case "Fn::Select":
		return t.selected(n, arg), true
	case "Fn::Split":
		return t.split(n, arg), true
	case "Fn::FindInMap":
		return t.findInMap(n, arg), true
	case "Fn::If":
		return t.choose(n, arg), true
	case "Fn::Base64":
		return t.base64(n, arg), true
	case "Fn::ImportValue":
		return t.importValue(n, arg), true
	}
	if strings.HasPrefix(key, "Fn::") {
		return t.strange(n, key), true
	}
	return nil, false
}

// strange is the value of an intrinsic that is worked out nowhere but at AWS.
func (t *template) strange(n *node, key string) *node {
	return n.impossible(key+" cannot be worked out here", "write out what it comes to")
}

// wrong is the value of an intrinsic whose argument is not what it takes.
func wrong(n *node, key, form string) *node {
	return n.impossible(key+" does not have its form", "write "+form)
}

// text resolves n to a text.
func (t *template) text(n *node) *node {
	v := t.value(n)
	if v.kind == scalarKind || v.kind == unknownKind {
		return v
	}
	return n.unknown(want{reason: "is " + v.describe() + ", and text is wanted", remedy: "write text"})
}

// ref resolves a Ref, or ${Name} in a Sub.
func (t *template) ref(n, arg *node) *node {
	name := t.text(arg)
	if name.kind != scalarKind {
		return name
	}
	return t.named(n, name.text)
}

func (t *template) named(n *node, name string) *node {
	declared := t.root.path("Parameters", name)
	list := strings.HasPrefix(declared.get("Type").text, "List<") || strings.HasPrefix(declared.get("Type").text, "AWS::SSM::Parameter::Value<List<") ||
		declared.get("Type").text == "CommaDelimitedList"
	if value, ok := t.params.get(name); ok {
		return parameter(n, value, list)
	}
	if v, ok := t.pseudo(n, name); ok {
		return v
	}
	if declared.kind == mapKind {
		def := declared.get("Default")
		// The default of a parameter of this type is the name of another parameter, in SSM.
		if def.kind != scalarKind || strings.HasPrefix(declared.get("Type").text, "AWS::SSM::") {
			return n.unknown(want{name: name})
		}
		return parameter(n, def.text, list)
	}
	if f, ok := t.functions[name]; ok {
		return n.scalar(f)
	}
	resource := t.resources.get(name)
	switch kind := resource.get("Type").text; kind {
	case "AWS::Lambda::Alias", "AWS::Lambda::Version":
		return t.qualified(n, name, resource)
	}
	// SAM makes these of AutoPublishAlias.
	if id, qualifier, ok := strings.Cut(name, "."); ok && (qualifier == "Alias" || qualifier == "Version") {
		if f, ok := t.functions[id]; ok {
			return t.arn(n, f)
		}
	}
	return n.unknown(want{name: name})
}

// parameter is a parameter's value as a Ref gives it.
func parameter(n *node, value string, list bool) *node {
	if !list {
		return n.scalar(value)
	}
	out := n.like(listKind)
	for item := range strings.SplitSeq(value, ",") {
		out.items = append(out.items, n.scalar(strings.TrimSpace(item)))
	}
	return out
}

// qualified is the ARN of a version or alias. Here a function has one version, so it
// is the function's.
func (t *template) qualified(n *node, name string, resource *node) *node {
	of := t.text(resource.path("Properties", "FunctionName"))
	if of.kind == scalarKind {
		f := of.text[strings.LastIndexByte(of.text, ':')+1:]
		if slices.Contains(sortedValues(t.functions), f) {
			return t.arn(n, f)
		}
	}
	return n.unknown(want{name: name})
}
