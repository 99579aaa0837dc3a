package yamldoc

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
)

// checker is a value that says what is wrong with it. The paths are relative to it; ""
// is the value itself.
type checker interface {
	Check(report func(path, problem, remedy string))
}

// Check calls the Check method of every value inside the one that v points to, whether
// the document mentions it or not. What is reported stands at its path's place, or at
// the nearest one above. What only follows from a problem of decoding is left out.
func (l *Loader) Check(t *Tree, v any) { l.CheckAt(t, "", v) }

// CheckAt is Check for a value that stands under a path of the tree.
func (l *Loader) CheckAt(t *Tree, path string, v any) {
	c := checking{loader: l, tree: t}
	c.value(reflect.ValueOf(v).Elem(), path, false)
}

type checking struct {
	loader *Loader
	tree   *Tree
}

// value checks v, which is addressable, and what is inside it. An inlined struct is
// its holder's to check.
func (c checking) value(v reflect.Value, path string, inlined bool) {
	if !inlined && !slices.Contains(c.loader.options.OwnCheck, v.Type()) && v.Kind() != reflect.Pointer {
		if x, ok := reflect.TypeAssert[checker](v.Addr()); ok {
			x.Check(func(sub, problem, remedy string) { c.report(Join(path, sub), problem, remedy) })
		}
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			c.value(v.Elem(), path, false)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			name, inline := keyOf(v.Type().Field(i))
			switch {
			case inline:
				c.value(v.Field(i), path, true)
			case name != "":
				c.value(v.Field(i), Join(path, name), false)
			}
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			return
		}
		for i := range v.Len() {
			c.value(v.Index(i), fmt.Sprintf("%s[%d]", path, i), false)
		}
	case reflect.Map:
		keys := v.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return cmp.Compare(a.String(), b.String()) })
		for _, k := range keys {
			element := reflect.New(v.Type().Elem()).Elem() // a map's own are not addressable
			element.Set(v.MapIndex(k))
			c.value(element, Join(path, k.String()), false)
		}
	default:
	}
}

func (c checking) report(path, problem, remedy string) {
	if c.tree.Excused(path) {
		return
	}
	c.loader.Report(Problem{Position: c.tree.At(path), Path: path, Message: prefixed(path, problem), Remedy: remedy})
}
