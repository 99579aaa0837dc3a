package yamldoc

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
)

func (d *Decoder) structure(n *Node, v reflect.Value, w where) {
	fields := d.loader.fieldsOf(v.Type())
	known := names(fields)
	switch n.kind {
	case Map:
	case Null:
		d.required(n, fields, nil, w)
		return
	case Scalar:
		if i := slices.IndexFunc(fields, func(f field) bool { return f.short }); i >= 0 {
			f := fields[i]
			d.value(n, v.FieldByIndex(f.index), where{path: Join(w.path, f.name), key: w.key, template: w.template, rules: f.rules})
			d.required(n, fields, map[string]bool{f.name: true}, w)
			return
		}
		fallthrough
	default:
		remedy := "write its keys below it"
		if len(known) > 0 && len(known) <= maxListed {
			remedy += ": " + strings.Join(known, ", ")
		}
		d.wrong(n, w, "a map", remedy)
		return
	}
	given := make(map[string]bool, len(n.entries))
	for _, e := range n.entries {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == e.Key })
		if i < 0 {
			d.unknown(n, e, known, given, w)
			continue
		}
		f := fields[i]
		given[f.name] = true
		d.value(e.Value, v.FieldByIndex(f.index), where{
			path: Join(w.path, f.name), key: e.key, template: w.template, rules: f.rules,
		})
	}
	d.required(n, fields, given, w)
}

// unknown reports a key that means nothing. At the root, keys that begin with x- are a
// place for anchors, and $schema is for editors.
func (d *Decoder) unknown(n *Node, e Entry, known []string, given map[string]bool, w where) {
	if n == d.root && (strings.HasPrefix(e.Key, "x-") || e.Key == "$schema") {
		return
	}
	if near, ok := Nearest(e.Key, known); ok {
		// What it was meant to be is not missing.
		given[near] = true
		d.tree.taint(Join(w.path, near))
	}
	d.tree.taint(w.path)
	d.tree.guessed[w.path] = true
	remedy := ""
	if _, ok := Nearest(e.Key, known); !ok && d.loader.options.Keys != nil {
		remedy = d.loader.options.Keys(w.path, e.Key, known)
	}
	if remedy == "" {
		remedy = Suggest(e.Key, known)
	}
	d.loader.reportAt(e.key.src, e.KeyPosition(), Join(w.path, e.Key), fmt.Sprintf("unknown key %q", e.Key), remedy)
}

func (d *Decoder) required(n *Node, fields []field, given map[string]bool, w where) {
	for _, f := range fields {
		if !f.required || given[f.name] {
			continue
		}
		value := "..."
		if f.example != "" {
			value = f.example
		}
		d.tree.taint(Join(w.path, f.name))
		d.loader.reportAt(n.src, place{node: n, key: w.key}.shown(), Join(w.path, f.name),
			prefixed(w.path, fmt.Sprintf("%q is missing", f.name)), fmt.Sprintf("add %s: %s", f.name, value))
	}
}

// custom hands a value to a type that takes more than one shape.
func (d *Decoder) custom(n *Node, into configDecoder, w where) {
	if n.kind == Null {
		d.empty(n, w)
		return
	}
	value, ok := d.plain(n, w)
	if !ok {
		return
	}
	if err := into.UnmarshalConfig(value); err != nil {
		d.tree.taint(w.path)
		d.loader.Report(Problem{Position: place{node: n, key: w.key}.shown(), Path: w.path, Message: prefixed(w.path, err.Error())})
	}
}

// plain makes a value of a node that has no type of its own: nil, bool, int64,
// float64, string, []any or map[string]any. It is false if a reference failed.
func (d *Decoder) plain(n *Node, w where) (any, bool) {
	d.tree.places[w.path] = place{n, w.key, w.template}
	if d.loader.budget--; d.loader.budget < 0 {
		if d.loader.budget == -1 {
			d.exhausted(n, w)
		}
		return nil, false
	}
	good := true
	switch n.kind {
	case Null:
		return nil, true
	case List:
		list := make([]any, len(n.items))
		for i, item := range n.items {
			x, ok := d.plain(item, where{path: fmt.Sprintf("%s[%d]", w.path, i), template: w.template})
			list[i], good = x, good && ok
		}
		return list, good
	case Map:
		m := make(map[string]any, len(n.entries))
		for _, e := range n.entries {
			x, ok := d.plain(e.Value, where{path: Join(w.path, e.Key), key: e.key, template: w.template})
			m[e.Key], good = x, good && ok
		}
		return m, good
	case Scalar:
	}
	e, ok := d.expanded(n, w)
	if n.isText || !ok {
		return e.text, ok
	}
	return resolve(e.text), true
}

func (d *Decoder) empty(n *Node, w where) {
	d.fail(n, w, "has no value", "give it one, or remove the key")
}
