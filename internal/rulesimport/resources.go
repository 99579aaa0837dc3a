package rulesimport

import (
	"strings"
)

// template reads the rules of a CloudFormation template, and those of SAM's functions.
func (im *importer) template(t *template) {
	im.macros(t.root.get("Transform"))
	lambdas := im.templateFunctions(t)
	for _, e := range t.resources.entries {
		id, resource := e.key.text, e.value
		switch kind := resource.get("Type").text; {
		case strings.HasPrefix(id, "Fn::"):
			im.problem(e.key, id+" makes resources that only AWS knows", "import the processed template: aws cloudformation get-template --template-stage Processed")
		case kind == "AWS::IoT::TopicRule":
			im.topicRule(t, e.key, resource)
		case lambdas[id] != nil && kind == "AWS::Serverless::Function":
			im.samEvents(t, e.key, lambdas[id], resource)
		case kind == "AWS::CloudFormation::Stack" || kind == "AWS::Serverless::Application":
			im.warn(e.key, id+" is another template, which has not been read", "import it too if it has rules")
		}
	}
}

// macros says which of a template's macros have not been run.
func (im *importer) macros(n *node) {
	for _, item := range n.items {
		im.macros(item)
	}
	name := n
	if n.kind == mapKind {
		name = n.get("Name")
	}
	switch {
	case name.kind != scalarKind, strings.HasPrefix(name.text, "AWS::Serverless-"), name.text == "AWS::LanguageExtensions":
	default:
		im.warn(n, "the macro "+name.text+" changes this template at AWS, and has not been run", "import the processed template: aws cloudformation get-template --template-stage Processed")
	}
}

// exists reports whether a resource's condition holds. If not, that is said.
func (im *importer) exists(t *template, key, resource *node, what string) bool {
	c := resource.get("Condition")
	if c.kind != scalarKind {
		return true
	}
	holds, unknown := t.condition(c, c.text)
	if unknown != nil {
		im.missing(key.text, "its condition "+c.text, unknown.wants)
		return false
	}
	if !holds {
		im.warn(key, what+" "+key.text+" is left out: its condition "+c.text+" does not hold", "")
	}
	return holds
}

func (im *importer) topicRule(t *template, key, resource *node) {
	if !im.exists(t, key, resource, "the rule") {
		return
	}
	properties := t.value(resource.get("Properties"))
	if properties.kind == unknownKind {
		im.missing(key.text, "Properties", properties.wants)
		return
	}
	for _, e := range properties.entries {
		if k := e.key.text; k != "RuleName" && k != "TopicRulePayload" && k != "Tags" {
			im.problem(e.key, "rule "+key.text+": a topic rule has no property "+k, "correct its name, or remove it")
		}
	}
	name := key.text
	if n := properties.get("RuleName"); n.given() {
		if wants := lacks(n); len(wants) > 0 {
			im.missing(key.text, "RuleName", wants)
		} else if im.madeUp(key.text, "RuleName", n) {
			name = n.text
		}
	}
	im.add(key, name, camel(properties.get("TopicRulePayload")), nil)
}

// samEvents reads the IoTRule events of a function.
// (https://docs.aws.amazon.com/serverless-application-model/latest/developerguide/sam-property-function-iotrule.html)
func (im *importer) samEvents(t *template, key *node, f *lambda, resource *node) {
	events := resource.path("Properties", "Events")
	if events.given() && (events.kind != mapKind || intrinsicForm(events)) {
		im.problem(events, "the events of "+key.text+" cannot be worked out here", "write them out as a map")
	}
	for _, e := range events.entries {
		if e.value.get("Type").text != "IoTRule" || !im.exists(t, key, resource, "what calls") {
			continue
		}
		// SAM gives the rule's resource this id, and the rule has no other name.
		properties := t.value(e.value.get("Properties"))
		im.add(e.key, f.name+e.key.text, camel(properties), f)
	}
}

// templateFunctions reads the functions of a template. First their names are known,
// then their settings are read: these may name other functions.
func (im *importer) templateFunctions(t *template) map[string]*lambda {
	for _, e := range t.resources.entries {
		switch e.value.get("Type").text {
		case "AWS::Lambda::Function", "AWS::Serverless::Function":
			if _, named := t.functions[e.key.text]; !named {
				t.functions[e.key.text] = e.key.text
			}
		}
	}
	lambdas := make(map[string]*lambda)
	for _, e := range t.resources.entries {
		kind := e.value.get("Type").text
		if kind != "AWS::Lambda::Function" && kind != "AWS::Serverless::Function" {
			continue
		}
		properties := e.value.get("Properties")
		if kind == "AWS::Serverless::Function" {
			properties = withGlobals(properties, t.root.path("Globals", "Function"))
		}
		lambdas[e.key.text] = im.templateFunction(t, e.key, e.value, properties)
	}
	return lambdas
}

func (im *importer) templateFunction(t *template, key, resource, properties *node) *lambda {
	metadata := resource.get("Metadata")
	get := func(name string) *node { return t.value(properties.get(name)) }
	s := settings{
		runtime: get("Runtime"), handler: get("Handler"), timeout: get("Timeout"), memory: get("MemorySize"),
		env: t.value(properties.path("Environment", "Variables")), names: []*node{get("FunctionName")},
	}
	switch {
	case metadata.has("aws:asset:path"): // written by CDK
		s.path = metadata.get("aws:asset:path")
	case properties.has("CodeUri"):
		s.path = get("CodeUri")
	case properties.get("Code").kind == scalarKind: // before aws cloudformation package
		s.path = properties.get("Code")
	}
	if s.path != nil && s.path.kind == scalarKind && strings.HasPrefix(s.path.text, "s3://") || s.path != nil && s.path.kind == mapKind {
		s.path = nil
	}
	if properties.get("PackageType").text == "Image" || metadata.has("DockerContext") {
		s.why = "it is a container image"
	}
	if metadata.get("BuildMethod").text == "go1.x" { // the folder holds the source
		s.runtime, s.handler = key.scalar("go"), nil
	}
	return im.declare(t.functions[key.text], key, s)
}

// withGlobals adds SAM's Globals to a function's properties. Maps are joined; of
// everything else the function's own counts.
func withGlobals(own, globals *node) *node {
	if globals.kind != mapKind {
		return own
	}
	out := own.like(mapKind)
	for _, e := range globals.entries {
		if !own.has(e.key.text) {
			out.entries = append(out.entries, e)
		}
	}
	for _, e := range own.entries {
		if g := globals.get(e.key.text); g.kind == mapKind && e.value.kind == mapKind && !intrinsicForm(e.value) && !intrinsicForm(g) {
			e.value = withGlobals(e.value, g)
		}
		out.entries = append(out.entries, e)
	}
	return out
}

func intrinsicForm(n *node) bool {
	return len(n.entries) == 1 && (n.entries[0].key.text == "Ref" || strings.HasPrefix(n.entries[0].key.text, "Fn::"))
}

// camel brings CloudFormation's keys into the API's form: FunctionArn is functionArn.
func camel(n *node) *node {
	if n.kind != listKind && n.kind != mapKind {
		return n
	}
	out := n.like(n.kind)
	for _, item := range n.items {
		out.items = append(out.items, camel(item))
	}
	for _, e := range n.entries {
		k := *e.key
		if k.text != "" {
			k.text = strings.ToLower(k.text[:1]) + k.text[1:]
		}
		out.entries = append(out.entries, entry{&k, camel(e.value)})
	}
	return out
}

// without is a map without some keys.
func (n *node) without(keys ...string) *node {
	out := *n
	out.entries = nil
	for _, e := range n.entries {
		skip := false
		for _, k := range keys {
			skip = skip || e.key.text == k
		}
		if !skip {
			out.entries = append(out.entries, e)
		}
	}
	return &out
}
