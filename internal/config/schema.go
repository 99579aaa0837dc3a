package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/auth/policy"
	"github.com/topicwire/topicwire/broker/listen"
)

// Schema is a JSON Schema (draft 2020-12) of the configuration file, for editors. It is
// made of the same structs as the configuration. It accepts what [Load] accepts as far
// as form goes, ${...} references included; what takes a look at several places at
// once, or into a statement, is for Load alone.
func Schema() ([]byte, error) {
	b := newSchemaBuilder()
	root := b.reflect(reflect.TypeFor[Config]())
	def := b.defs[b.names[reflect.TypeFor[Config]()]]
	openRoot(def)
	root.Title = "topicwire configuration"
	return b.marshal(root)
}

// RuleSchema is a JSON Schema of a rule file: one rule, a list of rules, or
// {rules: ...}. JSON files without awsIotSqlVersion mean AWS's default, 2015-10-08,
// and YAML files 2016-03-23.
func RuleSchema() ([]byte, error) {
	b := newSchemaBuilder()
	b.reflect(reflect.TypeFor[ruleDocument]())
	document := b.defs[b.names[reflect.TypeFor[ruleDocument]()]]
	openRoot(document)
	document.Required = []string{"rules"}
	single := *b.defs[nameRuleConfig]
	single.Properties = copyProperties(single.Properties)
	openRoot(&single)
	b.defs["ruleFile"] = &single
	wrapped := *b.defs[nameWrappedRule]
	wrapped.Properties = copyProperties(wrapped.Properties)
	openRoot(&wrapped)
	b.defs["wrappedRuleFile"] = &wrapped
	return b.marshal(&jsonschema.Schema{
		Version: jsonschema.Version,
		Title:   "topicwire rules",
		If:      &jsonschema.Schema{Type: "array"},
		Then:    &jsonschema.Schema{Items: b.namedRule()},
		Else: &jsonschema.Schema{
			If:   has("rules"),
			Then: ref(b.names[reflect.TypeFor[ruleDocument]()]),
			Else: &jsonschema.Schema{If: has(keyPayload), Then: ref("wrappedRuleFile"), Else: ref("ruleFile")},
		},
	})
}

// The definitions that others are made of.
const (
	nameRuleConfig  = "bridge.RuleConfig"
	nameWrappedRule = "wrappedRule"
	nameRule        = "rule"
	nameSettings    = "config.RuleSettings"
	settingPrefix   = "rules."
)

// schemaBuilder makes schemas of structs.
type schemaBuilder struct {
	defs  jsonschema.Definitions
	names map[reflect.Type]string
}

func newSchemaBuilder() *schemaBuilder {
	return &schemaBuilder{defs: jsonschema.Definitions{}, names: make(map[reflect.Type]string)}
}

// reflect adds the definitions of a struct and everything in it, and gives a schema
// that refers to it.
func (b *schemaBuilder) reflect(t reflect.Type) *jsonschema.Schema {
	types := make(map[string]reflect.Type)
	r := &jsonschema.Reflector{
		FieldNameTag:               "yaml",
		RequiredFromJSONSchemaTags: true,
		Anonymous:                  true,
		Namer: func(t reflect.Type) string {
			if t.Name() == "" {
				return "" // it stands where it is used
			}
			name := path.Base(t.PkgPath()) + "." + t.Name()
			types[name] = t
			b.names[t] = name
			return name
		},
		Mapper: func(t reflect.Type) *jsonschema.Schema {
			switch t {
			case reflect.TypeFor[Rules](), reflect.TypeFor[listen.Addresses]():
				return &jsonschema.Schema{}
			case reflect.TypeFor[policy.Strings]():
				return &jsonschema.Schema{Items: &jsonschema.Schema{Type: "string"}}
			}
			return nil
		},
	}
	// What Rules are made of is reflected beside them.
	parts := []reflect.Type{reflect.TypeFor[bridge.RuleConfig](), t}
	if t == reflect.TypeFor[Config]() {
		parts = append(parts, reflect.TypeFor[RuleSettings]())
	}
	for _, t := range parts {
		maps.Copy(b.defs, r.ReflectFromType(t).Definitions)
	}
	for name, t := range types {
		if def, ok := b.defs[name]; ok && t.Kind() == reflect.Struct {
			b.structure(def, t)
		}
	}
	b.rules()
	b.settings()
	return &jsonschema.Schema{Version: jsonschema.Version, Ref: "#/$defs/" + b.names[t]}
}

// structure brings a struct's definition in line with the loader.
func (b *schemaBuilder) structure(def *jsonschema.Schema, t reflect.Type) {
	for _, f := range fieldsOf(t) {
		if p, ok := def.Properties.Get(f.name); ok {
			b.property(p, f.Type, f.bytes)
			if f.single {
				b.single(p, f.Type)
			}
		}
	}
	switch t {
	case reflect.TypeFor[action.Config](): // how it is worked off may stand beside its kind
		def.OneOf = []*jsonschema.Schema{has("lambda"), has("http"), has("republish")}
	case reflect.TypeFor[auth.MethodConfig]():
		one := uint64(1)
		def.MinProperties, def.MaxProperties = &one, &one
	case reflect.TypeFor[function.Config]():
		def.OneOf = []*jsonschema.Schema{has("runtime"), has("lambda"), has("http")}
	case reflect.TypeFor[auth.PolicyDocument](): // its file's name is short for it
		setType(def, "object", "null", "string")
	case reflect.TypeFor[broker.Limits](): // limits: aws-iot is short for its profile
		setType(def, "object", "null", "string")
		def.If = &jsonschema.Schema{Type: "string"}
		def.Then, _ = def.Properties.Get("profile")
	default:
		if len(def.Required) == 0 {
			setType(def, "object", "null")
		}
	}
}

// rules defines the forms of a rule and of several.
func (b *schemaBuilder) rules() {
	rule := b.defs[nameRuleConfig]
	rule.Properties.Set(keyRuleName, &jsonschema.Schema{
		Description: "The same as name, as the AWS command line writes it.", Pattern: orReference("^[a-zA-Z0-9_]{1,128}$"),
		Extras: map[string]any{"type": textTypes},
	})
	wrapped := &jsonschema.Schema{
		Description:          "A rule as the AWS command line writes it.",
		Type:                 "object",
		Properties:           jsonschema.NewProperties(),
		Required:             []string{keyPayload},
		AdditionalProperties: jsonschema.FalseSchema,
	}
	for _, key := range []string{"name", keyRuleName} {
		p, _ := rule.Properties.Get(key)
		wrapped.Properties.Set(key, p)
	}
	wrapped.Properties.Set(keyPayload, ref(nameRuleConfig))
	b.defs[nameWrappedRule] = wrapped
	b.defs[nameRule] = &jsonschema.Schema{If: has(keyPayload), Then: ref(nameWrappedRule), Else: ref(nameRuleConfig)}
}

// settings defines what may stand beside rules, each by itself.
func (b *schemaBuilder) settings() {
	def := b.defs[nameSettings]
	if def == nil {
		return
	}
	delete(b.defs, nameSettings)
	for _, key := range ruleSettingKeys() {
		b.defs[settingPrefix+key], _ = def.Properties.Get(key)
	}
}

// namedRule is a rule in a list: nothing else names it.
func (b *schemaBuilder) namedRule() *jsonschema.Schema {
	return &jsonschema.Schema{
		AllOf: []*jsonschema.Schema{ref(nameRule), {
			AnyOf: []*jsonschema.Schema{has("name"), has(keyRuleName), {
				If: has(keyPayload), Then: &jsonschema.Schema{Properties: property(keyPayload, has("name"))}, Else: jsonschema.FalseSchema,
			}},
		}},
	}
}

func (b *schemaBuilder) marshal(root *jsonschema.Schema) ([]byte, error) {
	root.Definitions = b.defs
	data, err := json.MarshalIndent(root, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing the schema: %w", err)
	}
	return append(data, '\n'), nil
}

// openRoot allows what a document may have besides.
func openRoot(def *jsonschema.Schema) {
	def.Properties.Set("$schema", &jsonschema.Schema{Type: "string", Description: "The schema of this file, for editors."})
	def.PatternProperties = map[string]*jsonschema.Schema{"^x-": {Description: "A place for anchors."}}
}

func ref(name string) *jsonschema.Schema { return &jsonschema.Schema{Ref: "#/$defs/" + name} }

// has is satisfied by objects that have a key.
func has(key string) *jsonschema.Schema { return &jsonschema.Schema{Required: []string{key}} }

// orReference lets a pattern pass what becomes known only when it is loaded.
func orReference(pattern string) string { return pattern + "|" + reference }

// reference is what text with a ${...} matches.
const reference = `\$\{`

// textTypes are what text may look like: the loader keeps it as written.
var textTypes = [...]string{"string", "number", "boolean"}

func setType(s *jsonschema.Schema, types ...string) {
	s.Type = ""
	if s.Extras == nil {
		s.Extras = make(map[string]any)
	}
	s.Extras["type"] = types
}

// schemaField is a key of a struct.
type schemaField struct {
	reflect.StructField
	name   string
	bytes  bool
	single bool // a list of one may stand without the list
}

// fieldsOf lists the keys of a struct, those of inlined structs among them.
func fieldsOf(t reflect.Type) []schemaField {
	var fields []schemaField
	for f := range t.Fields() {
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case f.Anonymous && name == "":
			fields = append(fields, fieldsOf(f.Type)...)
		case name != "" && name != "-":
			fields = append(fields, schemaField{f, name, f.Tag.Get("unit") == "bytes", f.Tag.Get("single") == "true"})
		}
	}
	return fields
}
