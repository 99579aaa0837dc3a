package config

import (
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/invopop/jsonschema"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/broker/auth/policy"
	"github.com/topicwire/topicwire/broker/listen"
	"github.com/topicwire/topicwire/internal/config/yamldoc"
)

// Setting is a key of the configuration, for people: what it takes and what it means.
type Setting struct {
	// Key leads to it from the root. NAME stands for a name that the author chooses, []
	// for the elements of a list.
	Key string `json:"key"`
	// Type says what it takes, such as "duration" or "list of text".
	Type string `json:"type"`
	// Values are the only ones that it takes; empty if they are not listed.
	Values []string `json:"values,omitempty"`
	// Minimum and Maximum bound a number; empty if nothing does.
	Minimum string `json:"minimum,omitempty"`
	Maximum string `json:"maximum,omitempty"`
	// Required: it has to be there if what it stands in is.
	Required bool `json:"required,omitempty"`
	// Text is its meaning, with the default.
	Text    string `json:"text"`
	Example string `json:"example,omitempty"`
	// Same is another key that has the same settings below it; they are listed there.
	Same string `json:"same,omitempty"`
}

// Settings lists all keys of the configuration in the order of its sections, made of the
// same structs as the configuration and its schema.
func Settings() []Setting {
	b := newSchemaBuilder()
	b.reflect(reflect.TypeFor[Config]())
	w := settingsWalk{schema: b, seen: make(map[reflect.Type]string)}
	w.structure(reflect.TypeFor[Config](), "")
	return w.list
}

type settingsWalk struct {
	schema *schemaBuilder
	seen   map[reflect.Type]string // where a struct's keys are listed
	list   []Setting
}

// structure lists the keys of a struct that stands at a key.
func (w *settingsWalk) structure(t reflect.Type, at string) {
	def := w.schema.defs[w.schema.names[t]]
	for _, f := range fieldsOf(t) {
		p, ok := def.Properties.Get(f.name)
		if !ok {
			continue
		}
		key := yamldoc.Join(at, f.name)
		w.list = append(w.list, newSetting(key, f, p, slices.Contains(def.Required, f.name)))
		if f.Type == reflect.TypeFor[Rules]() {
			w.rules(key)
			continue
		}
		if inner, suffix := elementOf(f.Type); inner != nil {
			w.inner(inner, key+suffix)
		}
	}
}

// inner lists what is below the key that was listed last, unless that has been done.
func (w *settingsWalk) inner(t reflect.Type, at string) {
	if first, ok := w.seen[t]; ok {
		w.list[len(w.list)-1].Same = first
		return
	}
	w.seen[t] = at
	w.structure(t, at)
}

// rules lists the settings beside rules, and those of a rule.
func (w *settingsWalk) rules(at string) {
	for _, f := range fieldsOf(reflect.TypeFor[RuleSettings]()) {
		w.list = append(w.list, newSetting(yamldoc.Join(at, f.name), f, w.schema.defs[settingPrefix+f.name], false))
	}
	w.inner(reflect.TypeFor[bridge.RuleConfig](), at+"[]")
}

func newSetting(key string, f schemaField, p *jsonschema.Schema, required bool) Setting {
	s := Setting{Key: key, Type: typeWord(f.Type, f), Text: p.Description, Required: required}
	for _, one := range p.AnyOf {
		for _, v := range one.Enum {
			if text, ok := v.(string); ok {
				s.Values = append(s.Values, text)
			}
		}
	}
	if f.Type != reflect.TypeFor[time.Duration]() { // whose bounds are those of a number without a unit
		s.Minimum, s.Maximum = p.Minimum.String(), p.Maximum.String()
	}
	if len(p.Examples) > 0 {
		if text, ok := p.Examples[0].(string); ok {
			s.Example = text
		}
	}
	return s
}

// elementOf is the struct whose keys stand below a value of type t, and what leads to it
// from there; nil if there is none.
func elementOf(t reflect.Type) (inner reflect.Type, suffix string) {
	switch t.Kind() {
	case reflect.Pointer:
		return elementOf(t.Elem())
	case reflect.Slice:
		if inner, suffix = elementOf(t.Elem()); inner != nil {
			suffix = "[]" + suffix
		}
	case reflect.Map:
		if inner, suffix = elementOf(t.Elem()); inner != nil {
			suffix = "." + settingName + suffix
		}
	case reflect.Struct:
		if t != reflect.TypeFor[time.Time]() {
			inner = t
		}
	default:
	}
	return inner, suffix
}

// typeWord says what a value of type t is written as.
func typeWord(t reflect.Type, f schemaField) string {
	switch t {
	case reflect.TypeFor[Rules]():
		return "list or map of rules"
	case reflect.TypeFor[listen.Addresses]():
		return "address, or a list of them"
	case reflect.TypeFor[action.Value]():
		return "text"
	case reflect.TypeFor[policy.Strings]():
		return "text, or a list of it"
	case reflect.TypeFor[time.Duration]():
		return "duration"
	case reflect.TypeFor[time.Time]():
		return "time"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return typeWord(t.Elem(), f)
	case reflect.Slice:
		element := typeWord(t.Elem(), f)
		switch {
		case f.single && element == "section":
			return "section, or a list of them"
		case f.single:
			return element + ", or a list of it"
		}
		return "list of " + plural(element)
	case reflect.Map:
		return "map of " + plural(typeWord(t.Elem(), f))
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Struct:
		return "section"
	case reflect.Interface:
		return "any value"
	case reflect.Float32, reflect.Float64:
		return "number"
	default:
		if f.bytes {
			return "size"
		}
		return "whole number"
	}
}

func plural(word string) string {
	switch word {
	case "text", "true or false":
		return word
	}
	if strings.HasPrefix(word, "map of ") || strings.Contains(word, " or ") {
		return word
	}
	return word + "s"
}

// settingName stands in keys for a name that the author chooses.
const settingName = "NAME"

// FindSettings finds those at a key and below it: "limits", "functions.hello.timeout",
// "rules[0].actions". If there are none it finds those whose keys end so, and then those
// whose last part is the same.
func FindSettings(all []Setting, key string) []Setting {
	asked := keyParts(key)
	match := func(parts []string) bool {
		for i, a := range asked {
			if parts[i] != a && parts[i] != settingName {
				return false
			}
		}
		return true
	}
	for _, fits := range []func(parts []string) bool{
		func(parts []string) bool { // names left out
			own := slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return p == settingName })
			return len(own) >= len(asked) && slices.Equal(own[:len(asked)], asked)
		},
		func(parts []string) bool { return len(parts) >= len(asked) && match(parts) },
		func(parts []string) bool { return len(parts) > len(asked) && match(parts[len(parts)-len(asked):]) },
		func(parts []string) bool { return parts[len(parts)-1] == asked[len(asked)-1] },
	} {
		var found []Setting
		for _, s := range all {
			if fits(keyParts(s.Key)) {
				found = append(found, s)
			}
		}
		if len(found) > 0 {
			return found
		}
	}
	return nil
}

// keyParts takes a key apart; which element of a list it is about makes no difference.
func keyParts(key string) []string {
	parts := strings.Split(key, ".")
	for i, p := range parts {
		parts[i], _, _ = strings.Cut(p, "[")
	}
	return parts
}
