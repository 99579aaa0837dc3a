package yamldoc

import (
	"reflect"
	"strconv"
	"strings"
)

// field is a key of a struct and what its tags ask of the value.
type field struct {
	name     string
	index    []int
	required bool
	short    bool // a scalar in the struct's place is this field's value
	example  string
	rules    constraints
}

// constraints are what tags ask of a scalar, or of every scalar in a list.
type constraints struct {
	enum     []string
	min, max *float64
	bytes    bool // takes sizes such as 128KB
	secret   bool // messages do not show it
	single   bool // a list of one may be written without the list
}

// fieldsOf lists the keys of a struct, those of its inlined structs among them.
func (l *Loader) fieldsOf(t reflect.Type) []field {
	if fields, ok := l.fields[t]; ok {
		return fields
	}
	var fields []field
	for i := range t.NumField() {
		f := t.Field(i)
		name, inline := keyOf(f)
		switch {
		case inline:
			for _, inner := range l.fieldsOf(f.Type) {
				inner.index = append([]int{i}, inner.index...)
				fields = append(fields, inner)
			}
		case name != "":
			fields = append(fields, newField(f, name, i))
		}
	}
	l.fields[t] = fields
	return fields
}

// keyOf reads the yaml tag. A field without one is no part of the configuration.
func keyOf(f reflect.StructField) (name string, inline bool) {
	tag, tagged := f.Tag.Lookup("yaml")
	name, options, _ := strings.Cut(tag, ",")
	if f.Type.Kind() == reflect.Struct && (strings.Contains(options, "inline") || f.Anonymous && !tagged) {
		return "", true
	}
	if name == "-" || !f.IsExported() {
		return "", false
	}
	return name, false
}

func newField(f reflect.StructField, name string, index int) field {
	out := field{name: name, index: []int{index}}
	out.rules.bytes = f.Tag.Get("unit") == "bytes"
	out.rules.secret = f.Tag.Get("secret") == "true"
	out.rules.single = f.Tag.Get("single") == "true"
	out.short = f.Tag.Get("short") == "true"
	for _, part := range splitTag(f.Tag.Get("jsonschema")) {
		key, value, _ := strings.Cut(part, "=")
		switch key {
		case "required":
			out.required = true
		case "example":
			out.example = value
		case "enum":
			out.rules.enum = append(out.rules.enum, value)
		case "minimum":
			out.rules.min = number(value)
		case "maximum":
			out.rules.max = number(value)
		}
	}
	return out
}

func number(s string) *float64 {
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return nil
	}
	return &f
}

// splitTag splits at commas that have no backslash before them.
func splitTag(tag string) []string {
	parts := strings.Split(tag, ",")
	for i := 0; i < len(parts)-1; {
		if head, ok := strings.CutSuffix(parts[i], `\`); ok {
			parts[i] = head + "," + parts[i+1]
			parts = append(parts[:i+1], parts[i+2:]...)
			continue
		}
		i++
	}
	return parts
}

// names are the keys of a struct.
func names(fields []field) []string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.name
	}
	return all
}
