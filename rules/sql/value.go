package sql

// kind is the type of a value in the language.
type kind uint8

const (
	kindUndefined kind = iota // a missing key, a conversion that failed; the zero value
	kindNull
	kindBoolean
	kindInt
	kindDecimal
	kindString
	kindArray
	kindObject
)

// String names the type as AWS's documents do.
func (k kind) String() string {
	return [...]string{"Undefined", "Null", "Boolean", "Int", "Decimal", "String", "Array", "Object"}[k]
}

// form is how a value of a kind is held.
type form uint8

const (
	// Numbers.
	formSmall form = iota // n times ten to the power of exp
	formBig               // ref is an *apd.Decimal
	formWild              // s is the text of a number beyond the language's range

	// Strings.
	formText    // s is the text
	formPlain   // s is the text and needs no escapes as JSON
	formEscaped // s is the inside of a valid JSON string that has escapes

	// Arrays and objects.
	formBuilt  // ref is a *list or an *object
	formTidy   // s is valid JSON text without spaces and without duplicate keys
	formSpaced // s is valid JSON text without duplicate keys
	formMessy  // s is valid JSON text
)

// value is one value of the language. Arrays and objects of a payload stay the JSON
// text they were; so do the numbers, whose text in s is what goes out again as long as
// nobody calculates with them. Values are immutable: whoever changes one makes a new one.
type value struct {
	kind kind
	form form
	exp  int16
	n    int64 // a small number, or a Boolean as 0 or 1
	s    string
	ref  any
}

// list is an array that a statement made.
type list struct{ items []value }

// object is an object that a statement made: keys in the order of the output, each
// once, none of the values Undefined.
type object struct {
	keys   []string
	values []value
	at     map[string]int // where a key is; only in objects that are large
}

var (
	undefined = value{}
	null      = value{kind: kindNull}
	yes       = value{kind: kindBoolean, n: 1}
	no        = value{kind: kindBoolean}
)

func boolean(b bool) value {
	if b {
		return yes
	}
	return no
}

func integer(n int64) value { return value{kind: kindInt, n: n} }

func text(s string) value { return value{kind: kindString, form: formText, s: s} }

func array(items []value) value {
	return value{kind: kindArray, form: formBuilt, ref: &list{items}}
}

func (o *object) value() value { return value{kind: kindObject, form: formBuilt, ref: o} }

func (v value) defined() bool { return v.kind != kindUndefined }

func (v value) isNumber() bool { return v.kind == kindInt || v.kind == kindDecimal }

// small reports whether v is a number held in an int64, as nearly all are.
func (v *value) small() bool {
	return (v.kind == kindInt || v.kind == kindDecimal) && v.form == formSmall
}

func (v value) isTrue() bool { return v.kind == kindBoolean && v.n != 0 }

// list gives the list of an array that a statement made, nil for any other value.
func (v value) list() *list {
	l, _ := v.ref.(*list)
	return l
}

// object gives the object that a statement made, nil for any other value.
func (v value) object() *object {
	o, _ := v.ref.(*object)
	return o
}

// manyKeys is where an object gets a map beside its keys.
const manyKeys = 16

// find gives the place of a key, or -1.
func (o *object) find(key string) int {
	if o.at != nil {
		if i, ok := o.at[key]; ok {
			return i
		}
		return -1
	}
	for i, k := range o.keys {
		if k == key {
			return i
		}
	}
	return -1
}

// put sets a key. A key that is there keeps its place and takes the new value;
// Undefined changes nothing.
func (o *object) put(key string, v value) {
	if !v.defined() {
		return
	}
	if i := o.find(key); i >= 0 {
		o.values[i] = v
		return
	}
	o.keys = append(o.keys, key)
	o.values = append(o.values, v)
	switch {
	case o.at != nil:
		o.at[key] = len(o.keys) - 1
	case len(o.keys) > manyKeys:
		o.at = make(map[string]int, 2*len(o.keys))
		for i, k := range o.keys {
			o.at[k] = i
		}
	}
}
