package sql

import (
	"fmt"
	"slices"
	"strings"
)

// Function describes a function of the language. The one table of them holds what
// runs, what the documentation says and the examples, which are tests.
type Function struct {
	// Name is the function's name as AWS writes it. Upper and lower case are the same.
	Name string
	// Signature shows its arguments; those in brackets may be left out.
	Signature string
	// Text says in a sentence or two what it gives.
	Text string
	// Since is the first version that has it; empty if all have.
	Since Version
	// Examples are calls and what they give.
	Examples []Example

	min, max int // arguments; max < 0 for any number
	params   []param
	context  bool // it gives something else for another message or at another time
	outside  bool // it calls something outside
	call     builtin
	lint     func(arg int, v value) (problem string, refuse bool)
}

// Example is an expression and its value as JSON; empty for Undefined.
type Example struct{ Expression, Value string }

// builtin computes a function. The arguments are converted as params says; the slice
// is only lent. The memo belongs to this one place in the statement.
type builtin func(in *Input, a []value, m *memo) value

// param is the type that a function wants of an argument. An argument that does not
// convert to it makes the whole call Undefined. The last param counts for all further
// arguments.
type param uint8

const (
	anything   param = iota
	numberArg        // the standard conversion to a number
	textArg          // the standard conversion to a String
	stringOnly       // a String, without conversion
)

// Functions lists the functions by name.
func Functions() []Function { return slices.Clone(functions) }

// FindFunction gives a function by its name, in upper or lower case. The error is what
// a statement that calls it is refused with.
func FindFunction(name string) (Function, error) {
	if f, ok := lookupFunction(name); ok {
		return *f, nil
	}
	return Function{}, errNoFunction(name)
}

// errNoFunction says why there is no function of that name, or which was meant.
func errNoFunction(name string) error {
	if what, ok := unavailable(name); ok {
		return fmt.Errorf("%s() is not available: topicwire does not reach %s", strings.ToLower(name), what) //nolint:err113 // the text is for a person
	}
	var names []string
	for _, f := range functions {
		names = append(names, f.Name)
	}
	short := shorten(name, 60)
	if n, ok := nearest(name, names); ok {
		return fmt.Errorf("unknown function %s(): did you mean %s()?", short, n) //nolint:err113 // the text is for a person
	}
	return fmt.Errorf("unknown function %s(): `topicwire rules functions` lists them", short) //nolint:err113 // the text is for a person
}

// functions is the table. It is never changed.
var functions = sortedFunctions(
	numericFunctions, stringFunctions, regexpFunctions, codecFunctions, collectionFunctions,
	timeFunctions, contextFunctions, outsideFunctions,
)

func sortedFunctions(groups ...func() []Function) []Function {
	var all []Function
	for _, g := range groups {
		all = append(all, g()...)
	}
	slices.SortFunc(all, func(a, b Function) int { return compareNames(a.Name, b.Name) })
	return all
}

func compareNames(a, b string) int { return strings.Compare(strings.ToLower(a), strings.ToLower(b)) }

// lookupFunction finds a function by its name.
func lookupFunction(name string) (*Function, bool) {
	i, ok := slices.BinarySearchFunc(functions, name, func(f Function, name string) int { return compareNames(f.Name, name) })
	if !ok {
		return nil, false
	}
	return &functions[i], true
}

// unavailable are functions of AWS that reach services which are not here, and what
// each would reach.
func unavailable(name string) (what string, ok bool) {
	switch strings.ToLower(name) {
	case "get_thing_shadow":
		return "device shadows", true
	case "get_dynamodb":
		return "DynamoDB", true
	case "get_secret":
		return "AWS Secrets Manager", true
	case "get_registry_data":
		return "the AWS IoT registry", true
	case "machinelearning_predict":
		return "Amazon Machine Learning", true
	}
	return "", false
}

// convert gives the argument as the function wants it, or Undefined.
func (in *Input) convert(v value, p param) value {
	switch {
	case p == anything:
		return v
	case p == numberArg:
		return in.number(v)
	case v.kind == kindString:
		in.spend(1 + len(v.s)/16)
		if v.form == formEscaped {
			v.form, v.s = formText, unescape(v.s)
		}
		return v
	case p == textArg:
		if s, ok := in.toText(v); ok && in.spend(1+len(s)/16) {
			return text(s)
		}
	}
	return undefined
}

// param gives the type of the i-th argument.
func (f *Function) param(i int) param {
	if len(f.params) == 0 {
		return anything
	}
	return f.params[min(i, len(f.params)-1)]
}
