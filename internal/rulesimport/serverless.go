package rulesimport

import (
	"fmt"
	"slices"
	"strings"
)

// serverlessFile is a serverless.yml being read.
type serverlessFile struct {
	*importer
	root      *node
	variables *variables
	template  *template // of its resources
}

// The settings of a function that neither it nor the provider has.
// (https://www.serverless.com/framework/docs/providers/aws/guide/serverless.yml)
const (
	serverlessTimeout = "6"
	serverlessMemory  = "1024"
)

// serverless reads the functions of a serverless.yml, their iot events, and the rules
// among its resources.
func (im *importer) serverless(root *node) {
	s := &serverlessFile{
		importer: im, root: root,
		variables: &variables{params: im.params, root: root, open: make(map[string]bool), budget: budget{maxWork}},
	}
	resources := root.like(mapKind)
	im.merge(resources, s.variables.value(root.get("resources")), "resources")
	s.template = newTemplate(resources, im.params)
	functions := root.like(mapKind)
	im.merge(functions, s.top(root.get("functions")), "functions")
	for _, e := range functions.entries {
		s.template.functions[logicalID(e.key.text)] = e.key.text
	}
	for _, e := range functions.entries {
		s.function(e.key, s.top(e.value))
	}
	if s.template.resources.kind == mapKind {
		im.template(s.template)
	}
}

// top resolves n if it is a variable as a whole, and else leaves what is in it: a
// function that no rule calls may hold whatever it likes.
func (s *serverlessFile) top(n *node) *node {
	if n.kind == scalarKind {
		return s.variables.value(n)
	}
	return n
}

// merge joins the maps of a list, which Serverless takes where it takes a map.
func (im *importer) merge(into, n *node, what string) {
	switch n.kind {
	case mapKind:
		for _, e := range n.entries {
			if have := into.get(e.key.text); have.kind == mapKind && e.value.kind == mapKind {
				have.entries = slices.Concat(have.entries, e.value.entries)
				continue
			}
			value := *e.value
			into.entries = append(into.entries, entry{e.key, &value})
		}
	case listKind:
		for _, item := range n.items {
			im.merge(into, item, what)
		}
	case unknownKind:
		for _, w := range n.wants {
			im.problem(w.at, what+" "+w.describe(), "")
		}
	case scalarKind:
		im.problem(n, what+" is text, and a map is wanted", "write a map")
	case nullKind, absentKind:
	}
}

// logicalID is the id that Serverless gives a function's resource.
func logicalID(name string) string {
	name = strings.NewReplacer("-", "Dash", "_", "Underscore").Replace(name)
	return capitalised(name) + "LambdaFunction"
}

func capitalised(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// value resolves variables, then intrinsics.
func (s *serverlessFile) value(n *node) *node { return s.template.value(s.variables.value(n)) }

func (s *serverlessFile) function(key, n *node) {
	if n.kind == unknownKind {
		for _, w := range n.wants {
			s.problem(w.at, "function "+key.text+" "+w.describe(), "")
		}
		return
	}
	if c := n.get("condition"); c.kind == scalarKind && n.path("events").given() {
		holds, unknown := s.template.condition(c, c.text)
		if unknown != nil {
			s.missing("of function "+key.text, "condition "+c.text, unknown.wants)
			return
		}
		if !holds {
			s.warn(key, "what calls the function "+key.text+" is left out: its condition "+c.text+" does not hold", "")
			return
		}
	}
	events := n.get("events")
	f := s.declare(key.text, key, s.settings(key, n))
	number := 0
	for i, event := range s.top(events).items {
		event = s.top(event)
		iot := event.get("iot")
		if event.kind == unknownKind {
			s.missing(fmt.Sprintf("of function %s, events[%d]", key.text, i), "", event.wants)
		}
		if !iot.given() {
			continue
		}
		number++
		s.event(key, f, iot, number)
	}
}

func (s *serverlessFile) settings(key, n *node) settings {
	provider := s.root.get("provider")
	either := func(name, standard string) *node {
		for _, from := range []*node{n, provider} {
			if v := from.get(name); v.given() {
				return s.value(v)
			}
		}
		if standard != "" {
			return n.scalar(standard)
		}
		return n.like(absentKind)
	}
	set := settings{
		runtime: either("runtime", ""), handler: s.value(n.get("handler")), path: n.scalar("."),
		timeout: either("timeout", serverlessTimeout), memory: either("memorySize", serverlessMemory),
		env: withGlobals(s.value(n.get("environment")), s.value(provider.get("environment"))),
	}
	if set.env.kind != mapKind {
		set.env = s.value(provider.get("environment"))
	}
	if artifact := n.path("package", "artifact"); artifact.given() {
		set.path = s.value(artifact)
	}
	switch runtime := set.runtime.text; {
	case n.has("image"):
		set.why = "it is a container image"
	case runtime == "go1.x" || strings.HasPrefix(runtime, "provided"):
		if !n.path("package", "artifact").given() { // the handler is the program
			set.path, set.handler = set.handler, nil
		}
	}
	name := s.value(n.get("name"))
	if name.kind != scalarKind {
		service := s.root.get("service")
		if service.kind == mapKind {
			service = service.get("name")
		}
		name = s.value(key.scalar(s.value(service).text + "-" + s.variables.stage(key).text + "-" + key.text))
	}
	set.names = []*node{name}
	return set
}

// event makes a rule of an iot event. A rule without a name has the id that Serverless
// gives its resource.
// (https://www.serverless.com/framework/docs/providers/aws/events/iot)
func (s *serverlessFile) event(key *node, f *lambda, n *node, number int) {
	iot := s.value(n)
	name := strings.TrimSuffix(logicalID(key.text), "LambdaFunction") + fmt.Sprintf("IotTopicRule%d", number)
	if iot.kind != mapKind {
		s.missing(name, "iot", lacks(iot))
		if iot.kind != unknownKind {
			s.problem(n, "rule "+name+": an iot event is a map", "write iot: and sql: below it")
		}
		return
	}
	payload := n.like(mapKind)
	for _, e := range iot.entries {
		k := *e.key
		value := e.value
		switch k.text {
		case "name":
			if wants := lacks(value); len(wants) > 0 {
				s.missing(name, "name", wants)
			} else if s.madeUp(name, "name", value) && value.text != "" {
				name = value.text
			}
			continue
		case "sqlVersion":
			k.text = "awsIotSqlVersion"
		case "enabled":
			k.text, value = "ruleDisabled", negated(value)
		}
		payload.entries = append(payload.entries, entry{&k, value})
	}
	s.add(n, name, payload, f)
}

// negated turns true into false and the other way round.
func negated(n *node) *node {
	switch n.text {
	case "true":
		return n.scalar("false")
	case "false":
		return n.scalar("true")
	}
	return n
}
