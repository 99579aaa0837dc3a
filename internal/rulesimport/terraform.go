package rulesimport

import (
	"regexp"
	"strings"
)

// terraformPlan is the output of terraform show -json being read.
// (https://developer.hashicorp.com/terraform/internals/json-format)
type terraformPlan struct {
	*importer
	functions map[string]*lambda // by address, without an index
}

// terraform reads the rules of a plan or a state. What a plan does not know yet, such
// as the ARN of a function to be made, its configuration says where to look for.
func (im *importer) terraform(root *node) {
	p := &terraformPlan{importer: im, functions: make(map[string]*lambda)}
	values := root.path("planned_values", "root_module")
	if !values.given() {
		values = root.path("values", "root_module")
	}
	config := root.path("configuration", "root_module")
	p.module(values, config, "aws_lambda_function", p.function)
	p.module(values, config, "aws_iot_topic_rule", p.topicRule)
}

// module visits the resources of a type, in the module and those inside it.
func (p *terraformPlan) module(values, config *node, kind string, visit func(module string, resource, config *node)) {
	prefix := values.get("address").text
	for _, r := range values.get("resources").items {
		if r.get("type").text != kind || r.get("mode").text == "data" {
			continue
		}
		written := config.like(absentKind)
		for _, c := range config.get("resources").items {
			if c.get("type").text == kind && c.get("name").text == r.get("name").text {
				written = c.get("expressions")
			}
		}
		visit(withoutIndex(prefix), r, written)
	}
	for _, m := range values.get("child_modules").items {
		address := withoutIndex(m.get("address").text)
		name := address[strings.LastIndexByte(address, '.')+1:]
		p.module(m, config.path("module_calls", name, "module"), kind, visit)
	}
}

var index = regexp.MustCompile(`\[(?:\d+|"(?:[^"\\]|\\.)*")\]`)

func withoutIndex(address string) string { return index.ReplaceAllString(address, "") }

// within is an address in a module.
func within(module, address string) string {
	if module == "" {
		return address
	}
	return module + "." + address
}

func (p *terraformPlan) function(module string, r, _ *node) {
	v := r.get("values")
	name := v.get("function_name")
	if name.kind != scalarKind {
		name = r.get("name")
	}
	s := settings{
		runtime: v.get("runtime"), handler: v.get("handler"), path: v.get("filename"), timeout: v.get("timeout"), memory: v.get("memory_size"),
	}
	if env := v.get("environment"); len(env.items) > 0 {
		s.env = env.items[0].get("variables")
	}
	if v.get("package_type").text == "Image" {
		s.why = "it is a container image"
	}
	p.functions[within(module, withoutIndex("aws_lambda_function."+r.get("name").text))] = p.declare(name.text, name, s)
}

// The attributes of aws_iot_topic_rule that are not actions, by the API's names. Those
// without a name play no part here.
var terraformNames = map[string]string{
	"sql": "sql", "sql_version": "awsIotSqlVersion", "description": "description", "enabled": "ruleDisabled",
	"name": "", "id": "", "arn": "", "tags": "", "tags_all": "", "region": "", "error_action": "", "timeouts": "",
}

// topicRule reads an aws_iot_topic_rule.
// (https://registry.terraform.io/providers/hashicorp/aws/latest/docs/resources/iot_topic_rule)
func (p *terraformPlan) topicRule(module string, r, config *node) {
	address := r.get("address").text
	v := p.complete(module, address, r.get("values"), config)
	name := v.get("name")
	if wants := lacks(name); len(wants) > 0 {
		p.missing(address, "name", wants)
		return
	}
	payload := v.like(mapKind)
	actions := v.like(listKind)
	for _, e := range v.entries {
		api, known := terraformNames[e.key.text]
		switch {
		case !known && e.value.kind == unknownKind:
			actions.items = append(actions.items, e.value)
		case !known:
			for _, item := range e.value.items {
				actions.items = append(actions.items, terraformAction(e.key, item))
			}
		case e.key.text == "error_action":
			if len(e.value.items) > 0 {
				payload.entries = append(payload.entries, entry{e.key.scalar("errorAction"), errorAction(e.value.items[0])})
			}
		case e.key.text == "enabled":
			payload.entries = append(payload.entries, entry{e.key.scalar(api), negated(e.value)})
		case api != "":
			payload.entries = append(payload.entries, entry{e.key.scalar(api), e.value})
		}
	}
	payload.entries = append(payload.entries, entry{v.scalar("actions"), actions})
	p.add(name, name.text, payload, nil)
}

// errorAction is the one block of error_action that is not empty.
func errorAction(n *node) *node {
	for _, e := range n.entries {
		for _, item := range e.value.items {
			return terraformAction(e.key, item)
		}
	}
	return n
}

// terraformAction is an action in the API's form.
func terraformAction(key, n *node) *node {
	out := n.like(mapKind)
	out.entries = []entry{{key.scalar(apiName(key.text)), apiForm(n)}}
	return out
}

// apiForm brings keys into the API's form. Null and empty is what a block does not say.
func apiForm(n *node) *node {
	out := *n
	out.items, out.entries = nil, nil
	for _, item := range n.items {
		out.items = append(out.items, apiForm(item))
	}
	for _, e := range n.entries {
		if !e.value.given() || e.value.kind == scalarKind && e.value.text == "" || e.value.kind == listKind && len(e.value.items) == 0 {
			continue
		}
		out.entries = append(out.entries, entry{e.key.scalar(apiName(e.key.text)), apiForm(e.value)})
	}
	return &out
}

// apiName is the API's name of a block or attribute: function_arn is functionArn.
func apiName(s string) string {
	switch s {
	case "dynamodb":
		return "dynamoDB"
	case "dynamodbv2":
		return "dynamoDBv2"
	case "http_header":
		return "headers"
	}
	words := strings.Split(s, "_")
	for i := 1; i < len(words); i++ {
		words[i] = capitalised(words[i])
	}
	return strings.Join(words, "")
}

// complete adds to values what the configuration refers to and a plan does not know.
func (p *terraformPlan) complete(module, address string, values, config *node) *node {
	switch {
	case config.kind == listKind && values.kind == listKind:
		out := values.like(listKind)
		for i, item := range values.items {
			if i < len(config.items) && len(values.items) == len(config.items) {
				item = p.complete(module, address, item, config.items[i])
			}
			out.items = append(out.items, item)
		}
		return out
	case config.kind != mapKind || values.kind != mapKind:
		return values
	}
	out := *values
	out.entries = nil
	for _, e := range values.entries {
		e.value = p.complete(module, address+"."+e.key.text, e.value, config.get(e.key.text))
		out.entries = append(out.entries, e)
	}
	for _, e := range config.entries {
		references := e.value.get("references").items
		if values.get(e.key.text).kind != absentKind || len(references) == 0 {
			continue
		}
		out.entries = append(out.entries, entry{e.key, p.reference(module, address+"."+e.key.text, values, references)})
	}
	return &out
}

// reference is what the expression of a field stands for: a function that was read, or
// something to ask for, by the field's address.
func (p *terraformPlan) reference(module, field string, at *node, references []*node) *node {
	for _, r := range references {
		address := strings.TrimSuffix(strings.TrimSuffix(withoutIndex(r.text), ".arn"), ".qualified_arn")
		if f, ok := p.functions[within(module, address)]; ok {
			return at.scalar(f.name)
		}
	}
	if value, ok := p.params.get(field); ok {
		return at.scalar(value)
	}
	return at.unknown(want{name: field})
}
