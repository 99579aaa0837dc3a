package yamldoc

import (
	"encoding"
	"fmt"
	"reflect"
	"strings"
	"time"
)

// NodeDecoder is a type that reads its own shape from a node, with the help of the
// Decoder for what is inside.
type NodeDecoder interface {
	DecodeNode(d *Decoder, n *Node, path string)
}

// configDecoder is a type of another room that takes more than one shape. The value is
// nil-free: string, bool, int64, float64, []any or map[string]any.
type configDecoder interface {
	UnmarshalConfig(value any) error
}

// Decoder fills a value from a document.
type Decoder struct {
	loader *Loader
	tree   *Tree
	root   *Node
}

// where is what a value's surroundings say of it.
type where struct {
	path     string
	key      *Node
	template bool
	rules    constraints
}

// Decode fills the value that into points to from a node, and keeps what the node does
// not mention. It knows structs with `yaml:"name"` tags, embedded ones inlined,
// pointers, slices, map[string]T, text, truth values, integers, floats, time.Duration
// ("3s", "7d"), any, and types with DecodeNode, UnmarshalConfig or UnmarshalText. Of the
// jsonschema tag it obeys required, enum, minimum and maximum; `unit:"bytes"` lets an
// integer be written as "128KB"; `short:"true"` marks the field that a scalar means where
// the whole struct could stand; `single:"true"` lets a list of one be written without the
// list, also inside maps.
//
// Text keeps what was written also where it looks like a number or a truth value.
// Lists, maps and structs may be empty (null); other values may not.
func (l *Loader) Decode(n *Node, into any) *Tree {
	t := &Tree{
		loader: l, places: make(map[string]place),
		tainted: make(map[string]bool), broken: make(map[string]bool), guessed: make(map[string]bool),
	}
	d := &Decoder{loader: l, tree: t, root: n}
	d.value(n, reflect.ValueOf(into).Elem(), where{})
	return t
}

// Element decodes a node that a NodeDecoder found inside its own, under a path.
func (d *Decoder) Element(n *Node, path string, into any) {
	d.value(n, reflect.ValueOf(into).Elem(), where{path: path})
}

// Entry is Element for the value of a key.
func (d *Decoder) Entry(e Entry, path string, into any) {
	d.value(e.Value, reflect.ValueOf(into).Elem(), where{path: path, key: e.key})
}

// Problem reports what a NodeDecoder does not like at a node; at decides the place.
func (d *Decoder) Problem(at Position, path, message, remedy string) {
	d.tree.taint(path)
	d.loader.Report(Problem{Position: at, Path: path, Message: prefixed(path, message), Remedy: remedy})
}

// WrongKind reports a node that should have been something else.
func (d *Decoder) WrongKind(n *Node, path, must, remedy string) {
	d.wrong(n, where{path: path}, must, remedy)
}

func prefixed(path, message string) string {
	if path == "" {
		return message
	}
	return path + ": " + message
}

// fail reports a problem of the value itself.
func (d *Decoder) fail(n *Node, w where, message, remedy string) {
	d.tree.taint(w.path)
	d.tree.broken[w.path] = true
	d.loader.reportAt(n.src, place{node: n, key: w.key}.shown(), w.path, prefixed(w.path, message), remedy)
}

func (d *Decoder) wrong(n *Node, w where, must, remedy string) {
	d.fail(n, w, "is "+n.describe()+", must be "+must, remedy)
}

var durationType = reflect.TypeFor[time.Duration]()

// value decodes into v, which is addressable.
func (d *Decoder) value(n *Node, v reflect.Value, w where) {
	if d.loader.budget--; d.loader.budget < 0 {
		if d.loader.budget == -1 {
			d.exhausted(n, w)
		}
		return
	}
	w.template = w.template || d.loader.isTemplate(v.Type())
	d.tree.places[w.path] = place{n, w.key, w.template}
	if n.wrong {
		d.tree.taint(w.path)
		d.tree.broken[w.path] = true
		return
	}
	if v.Kind() == reflect.Pointer {
		if n.kind == Null {
			switch v.Type().Elem().Kind() {
			case reflect.Struct, reflect.Map, reflect.Slice:
			default:
				d.empty(n, w)
			}
			return
		}
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		d.value(n, v.Elem(), w)
		return
	}
	switch x := v.Addr().Interface().(type) {
	case NodeDecoder:
		x.DecodeNode(d, n, w.path)
	case configDecoder:
		d.custom(n, x, w)
	case *time.Duration:
		d.scalar(n, v, w)
	case encoding.TextUnmarshaler:
		d.text(n, x, w)
	default:
		d.kind(n, v, w)
	}
}

func (d *Decoder) exhausted(n *Node, w where) {
	d.fail(n, w, fmt.Sprintf("aliases make more than %d values of the document", maxValues), "use fewer aliases of aliases")
}

func (d *Decoder) kind(n *Node, v reflect.Value, w where) {
	switch v.Kind() {
	case reflect.Struct:
		d.structure(n, v, w)
	case reflect.Map:
		d.mapping(n, v, w)
	case reflect.Slice:
		d.list(n, v, w)
	case reflect.Interface:
		if x, ok := d.plain(n, w); ok && x != nil {
			v.Set(reflect.ValueOf(x))
		}
	default:
		d.scalar(n, v, w)
	}
}

func (d *Decoder) list(n *Node, v reflect.Value, w where) {
	single := w.rules.single && (n.kind == Scalar || n.kind == Map)
	w.rules.single = false // what is inside is no list
	if single {
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		d.value(n, v.Index(0), where{path: w.path + "[0]", key: w.key, template: w.template, rules: w.rules})
		return
	}
	switch n.kind {
	case Null:
	case List:
		v.Set(reflect.MakeSlice(v.Type(), len(n.items), len(n.items)))
		for i, item := range n.items {
			d.value(item, v.Index(i), where{path: fmt.Sprintf("%s[%d]", w.path, i), template: w.template, rules: w.rules})
		}
	case Scalar:
		d.wrong(n, w, "a list", fmt.Sprintf("write [%s]", n.excerpt()))
	case Map:
		d.wrong(n, w, "a list", `begin each element with "- "`)
	}
}

func (d *Decoder) mapping(n *Node, v reflect.Value, w where) {
	switch {
	case n.kind == Null:
		return
	case n.kind != Map:
		d.wrong(n, w, "a map", `write "name: value" pairs`)
		return
	}
	if v.IsNil() {
		v.Set(reflect.MakeMapWithSize(v.Type(), len(n.entries)))
	}
	for _, e := range n.entries {
		element := reflect.New(v.Type().Elem()).Elem()
		d.value(e.Value, element, where{path: Join(w.path, e.Key), key: e.key, template: w.template, rules: w.rules})
		v.SetMapIndex(reflect.ValueOf(e.Key).Convert(v.Type().Key()), element)
	}
}

// excerpt is the beginning of a scalar as it was written, for a remedy.
func (n *Node) excerpt() string {
	text, _, cut := strings.Cut(n.text, "\n")
	if r := []rune(text); len(r) > 40 {
		text, cut = string(r[:40]), true
	}
	if n.style == singleQuoted || n.style == doubleQuoted {
		text = fmt.Sprintf("%q", text)
	}
	if cut {
		text += "..."
	}
	return text
}
