package config

import (
	"reflect"
	"time"

	"github.com/invopop/jsonschema"
	orderedmap "github.com/pb33f/ordered-map/v2"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/broker/listen"
)

// The forms of durations and sizes, as the loader reads them.
const (
	durationStep = `([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)`
	durationForm = `^[-+]?([0-9]+d(` + durationStep + `)*|(` + durationStep + `)+|0)$`
	sizeForm     = `^[-+]?([0-9]+(\.[0-9]*)?|\.[0-9]+) *([KMGTkmgt]([Ii]?[Bb])?|[Bb])?$`
)

// property says what the loader takes for a value of type t. What the reflector found
// out from the tags stays: description, examples, bounds.
func (b *schemaBuilder) property(p *jsonschema.Schema, t reflect.Type, bytes bool) {
	switch t {
	case reflect.TypeFor[Rules]():
		setType(p, "array", "object", "null")
		p.Items, p.AdditionalProperties = b.namedRule(), ref(nameRule)
		if b.defs[nameSettings] == nil {
			return // a rule file has none
		}
		p.Properties = jsonschema.NewProperties()
		for _, key := range ruleSettingKeys() { // or a rule of that name
			p.Properties.Set(key, &jsonschema.Schema{
				If: &jsonschema.Schema{Type: "object"}, Then: ref(nameRule), Else: ref(settingPrefix + key),
			})
		}
		p.Properties.Set(keyList, &jsonschema.Schema{
			If: &jsonschema.Schema{Type: "array"}, Then: &jsonschema.Schema{Items: b.namedRule()}, Else: ref(nameRule),
		})
		return
	case reflect.TypeFor[listen.Addresses]():
		setType(p, "string", "number", "boolean", "array")
		p.Items = &jsonschema.Schema{Type: "string"}
		return
	case reflect.TypeFor[action.Value]():
		p.OneOf, p.AnyOf = nil, nil
		setType(p, textTypes[:]...)
		return
	case reflect.TypeFor[time.Duration]():
		setType(p, "string", "integer")
		p.Pattern, p.Minimum, p.Maximum = orReference(durationForm), "0", "0"
		return
	}
	switch t.Kind() {
	case reflect.Pointer:
		b.property(p, t.Elem(), bytes)
	case reflect.Bool:
		setType(p, "boolean", "string")
		p.Pattern = reference
	case reflect.String:
		b.text(p)
	case reflect.Slice:
		setType(p, "array", "null")
		if p.Items != nil && p.Items.Ref == "" {
			b.property(p.Items, t.Elem(), bytes)
		}
	case reflect.Map:
		setType(p, "object", "null")
		if p.AdditionalProperties != nil && p.AdditionalProperties.Ref == "" && t.Elem().Kind() != reflect.Interface {
			b.property(p.AdditionalProperties, t.Elem(), bytes)
		}
	case reflect.Float32, reflect.Float64:
		setType(p, "number", "string")
		p.Pattern = reference
	case reflect.Struct, reflect.Interface:
	default:
		setType(p, "integer", "string")
		p.Pattern = reference
		if bytes {
			p.Pattern = orReference(sizeForm)
		}
	}
}

// single lets a list of one stand without the list, also inside maps.
func (b *schemaBuilder) single(p *jsonschema.Schema, t reflect.Type) {
	switch t.Kind() {
	case reflect.Map:
		if p.AdditionalProperties != nil {
			b.single(p.AdditionalProperties, t.Elem())
		}
	case reflect.Slice:
		if t.Elem().Kind() == reflect.Struct {
			setType(p, "array", "object", "null")
			p.If, p.Then = &jsonschema.Schema{Type: "object"}, p.Items
			return
		}
		setType(p, append([]string{"array", "null"}, textTypes[:]...)...)
	default:
	}
}

func (b *schemaBuilder) text(p *jsonschema.Schema) {
	if len(p.Enum) > 0 {
		p.Type = ""
		p.AnyOf = []*jsonschema.Schema{{Enum: p.Enum}, {Type: "string", Pattern: reference}}
		p.Enum = nil
		return
	}
	setType(p, textTypes[:]...)
	if p.Pattern != "" {
		p.Pattern = orReference(p.Pattern)
	}
}

// property is a map of one property.
func property(name string, s *jsonschema.Schema) *orderedmap.OrderedMap[string, *jsonschema.Schema] {
	m := jsonschema.NewProperties()
	m.Set(name, s)
	return m
}

func copyProperties(from *orderedmap.OrderedMap[string, *jsonschema.Schema]) *orderedmap.OrderedMap[string, *jsonschema.Schema] {
	m := jsonschema.NewProperties()
	for p := from.Oldest(); p != nil; p = p.Next() {
		m.Set(p.Key, p.Value)
	}
	return m
}
