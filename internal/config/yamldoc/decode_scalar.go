package yamldoc

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// expanded replaces the references in a scalar. It is false if one failed, and then
// that has been reported.
func (d *Decoder) expanded(n *Node, w where) (expansion, bool) {
	if !strings.Contains(n.text, "${") {
		return expansion{text: n.text}, true
	}
	e := d.loader.expand(n.text, w.template, func(offset int, message, remedy string) {
		d.tree.taint(w.path)
		d.loader.reportAt(n.src, n.place(offset), w.path, prefixed(w.path, message), remedy)
	})
	return e, !e.failed
}

// scalar decodes text, truth values, numbers and durations.
func (d *Decoder) scalar(n *Node, v reflect.Value, w where) {
	switch n.kind {
	case Scalar:
	case Null:
		d.empty(n, w)
		return
	default:
		must, remedy := scalarNeeded(v, w.rules)
		d.wrong(n, w, must, remedy)
		return
	}
	e, ok := d.expanded(n, w)
	if w.rules.secret && len(e.segments) == 0 {
		d.loader.keepLiteral(n.text)
	}
	switch {
	case v.Kind() == reflect.String:
		v.SetString(e.text) // also a reference that failed, so that it is not also missing
		if ok && len(w.rules.enum) > 0 && !slices.Contains(w.rules.enum, e.text) {
			d.fail(n, w, d.said(n, e)+" is not known here", Suggest(e.text, w.rules.enum))
		}
		return
	case !ok:
		return
	}
	if n.isText && len(e.segments) == 0 && v.Type() != durationType && !w.rules.bytes {
		// Quotes say text. What a reference gives has no type of its own.
		must, _ := scalarNeeded(v, w.rules)
		remedy := ""
		if probe := reflect.New(v.Type()).Elem(); set(probe, e.text, w.rules) == setDone {
			remedy = "remove the quotes"
		}
		d.wrong(n, w, must, remedy)
		return
	}
	switch result := set(v, e.text, w.rules); result {
	case setDone:
		d.bounds(n, v, e, w)
	case setRange:
		d.fail(n, w, d.said(n, e)+" is out of range", bounded(v, w.rules))
	default:
		must, remedy := scalarNeeded(v, w.rules)
		switch yes := strings.ToLower(e.text); {
		case v.Kind() == reflect.Bool && (yes == "yes" || yes == "on"):
			remedy = "write true"
		case v.Kind() == reflect.Bool && (yes == "no" || yes == "off"):
			remedy = "write false"
		case v.Type() == durationType && resolve(e.text) != nil && isNumber(e.text) && len(e.segments) == 0:
			remedy = fmt.Sprintf("add a unit: %ss, %sm or %sh", e.text, e.text, e.text)
		}
		d.fail(n, w, d.said(n, e)+" is not "+must, remedy)
	}
}

func isNumber(text string) bool {
	switch resolve(text).(type) {
	case int64, float64:
		return true
	}
	return false
}

// said is the scalar as messages quote it: with references, never with what they
// stand for.
func (d *Decoder) said(n *Node, e expansion) string {
	text := n.excerpt()
	if !strings.HasPrefix(text, `"`) {
		text = `"` + text + `"`
	}
	if len(e.segments) > 0 {
		return "what " + text + " stands for"
	}
	return text
}

// scalarNeeded names what v takes, and gives an example.
func scalarNeeded(v reflect.Value, r constraints) (must, remedy string) {
	switch {
	case v.Type() == durationType:
		return "a duration", "write it as 500ms, 3s, 5m, 2h or 7d"
	case r.bytes:
		return "a size", "write it as 512, 128KB, 1MB or 2GB"
	}
	switch v.Kind() {
	case reflect.String:
		return "text", ""
	case reflect.Bool:
		return "true or false", ""
	case reflect.Float32, reflect.Float64:
		return "a number", ""
	default:
		return "a whole number", ""
	}
}

// setResult says what became of an attempt to store a scalar.
type setResult uint8

const (
	setDone  setResult = iota
	setForm            // not that kind of thing
	setRange           // too large or too small for the type
)

// set stores text in a truth value, a number or a duration.
func set(v reflect.Value, text string, r constraints) setResult {
	switch kind := v.Kind(); kind {
	case reflect.Bool:
		b, ok := resolve(text).(bool)
		if !ok {
			return setForm
		}
		v.SetBool(b)
	case reflect.Float32, reflect.Float64:
		switch f := resolve(text).(type) {
		case float64:
			if math.IsNaN(f) {
				return setForm // it would pass every bound
			}
			v.SetFloat(f)
		case int64:
			v.SetFloat(float64(f))
		default:
			return setForm
		}
	default:
		if !v.CanInt() && !v.CanUint() {
			return setForm
		}
		i, result := integer(v, text, r)
		switch {
		case result != setDone:
			return result
		case v.CanInt() && v.OverflowInt(i), v.CanUint() && (i < 0 || v.OverflowUint(uint64(i))):
			return setRange
		case v.CanInt():
			v.SetInt(i)
		default:
			v.SetUint(uint64(i))
		}
	}
	return setDone
}

func integer(v reflect.Value, text string, r constraints) (int64, setResult) {
	switch {
	case v.Type() == durationType:
		if text == "0" {
			return 0, setDone
		}
		if d, ok := parseDuration(text); ok {
			return int64(d), setDone
		}
		return 0, setForm
	case r.bytes:
		if i, ok := parseSize(text); ok {
			return i, setDone
		}
		return 0, setForm
	}
	switch x := resolve(text).(type) {
	case int64:
		return x, setDone
	case float64:
		switch {
		case x != math.Trunc(x):
		case math.Abs(x) >= 1<<62:
			return 0, setRange
		default:
			return int64(x), setDone // 1e3, 5.0
		}
	}
	return 0, setForm
}

// bounds obeys minimum and maximum.
func (d *Decoder) bounds(n *Node, v reflect.Value, e expansion, w where) {
	var f float64
	switch {
	case v.CanInt():
		f = float64(v.Int())
	case v.CanUint():
		f = float64(v.Uint())
	case v.CanFloat():
		f = v.Float()
	default:
		return
	}
	if w.rules.min != nil && f < *w.rules.min || w.rules.max != nil && f > *w.rules.max {
		d.fail(n, w, d.said(n, e)+" is out of range", bounded(v, w.rules))
	}
}

// bounded says which numbers are allowed.
func bounded(v reflect.Value, r constraints) string {
	show := func(f float64) string {
		if v.Type() == durationType {
			return time.Duration(f).String()
		}
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	switch {
	case r.min != nil && r.max != nil:
		return "use " + show(*r.min) + " to " + show(*r.max)
	case r.min != nil:
		return "use " + show(*r.min) + " or more"
	case r.max != nil:
		return "use " + show(*r.max) + " or less"
	}
	low, high := limits(v)
	return "use " + low + " to " + high
}

// limits are the smallest and the largest number that fit into v.
func limits(v reflect.Value) (low, high string) {
	bits := v.Type().Bits()
	if v.CanUint() {
		return "0", strconv.FormatUint(math.MaxUint64>>(64-bits), 10)
	}
	return strconv.FormatInt(math.MinInt64>>(64-bits), 10), strconv.FormatInt(math.MaxInt64>>(64-bits), 10)
}

// text hands a scalar to a type that reads text.
func (d *Decoder) text(n *Node, into encoding.TextUnmarshaler, w where) {
	switch n.kind {
	case Scalar:
	case Null:
		d.empty(n, w)
		return
	default:
		d.wrong(n, w, "text", "")
		return
	}
	e, ok := d.expanded(n, w)
	if !ok {
		return
	}
	if err := into.UnmarshalText([]byte(e.text)); err != nil {
		d.tree.taint(w.path)
		d.loader.Report(Problem{
			Position: place{node: n, key: w.key}.shown(), Path: w.path,
			Message: prefixed(w.path, d.said(n, e)+" does not work here: "+err.Error()), Remedy: Suggest(e.text, w.rules.enum),
		})
	}
}
