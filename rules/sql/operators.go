package sql

// truth is a value with three states, for the operators that give a Boolean or
// Undefined.
func truth(ok, is bool) value {
	if !ok {
		return undefined
	}
	return boolean(is)
}

// logical is AND and OR. Both sides must convert to a Boolean; there is no short cut,
// so that true OR missing is Undefined.
func logical(op operator, a, b value) value {
	a, b = toBoolean(a), toBoolean(b)
	if !a.defined() || !b.defined() {
		return undefined
	}
	if op == opAnd {
		return boolean(a.n&b.n != 0)
	}
	return boolean(a.n|b.n != 0)
}

// not is NOT.
func not(v value) value {
	v = toBoolean(v)
	return truth(v.defined(), v.n == 0)
}

// compare is > >= < <=. Both sides must convert to numbers: there is no order of
// strings.
func (in *Input) compare(op operator, a, b value) value {
	if !a.small() || !b.small() {
		if a, b = in.number(a), in.number(b); !a.defined() || !b.defined() {
			return undefined
		}
	}
	return ordered(op, compareNumbers(a, b))
}

// ordered tells whether an operator holds for two numbers of which c says the order.
func ordered(op operator, c int) value {
	switch op {
	case opLess:
		return boolean(c < 0)
	case opLessEqual:
		return boolean(c <= 0)
	case opGreater:
		return boolean(c > 0)
	default:
		return boolean(c >= 0)
	}
}

// equality is = and <>. Nothing is converted: values of different types are not
// equal. Undefined on either side gives Undefined.
func (in *Input) equality(op operator, a, b value) value {
	if !a.defined() || !b.defined() {
		return undefined
	}
	return boolean(in.equal(a, b) == (op == opEqual))
}

// equal compares two values. The order of an object's keys does not matter.
func (in *Input) equal(a, b value) bool {
	if a.isNumber() && b.isNumber() {
		if a.form == formWild || b.form == formWild {
			return a.form == b.form && a.s == b.s
		}
		return compareNumbers(a, b) == 0
	}
	if a.kind != b.kind {
		return false
	}
	switch a.kind {
	case kindBoolean:
		return a.n == b.n
	case kindString:
		if a.form != formEscaped && b.form != formEscaped {
			return len(a.s) == len(b.s) && in.spend(1+len(a.s)/64) && a.s == b.s
		}
		return in.spend(len(a.s)+len(b.s)) && a.content() == b.content()
	case kindArray:
		return in.equalArrays(a, b)
	case kindObject:
		return in.equalObjects(a, b)
	default:
		return true // Null
	}
}

func (in *Input) equalArrays(a, b value) bool {
	if !in.spend(len(a.s) + len(b.s)) {
		return false
	}
	if a.form == formTidy && b.form == formTidy && a.s == b.s {
		return true
	}
	x, y := newWalk(a, in.whole), newWalk(b, in.whole)
	for x.next() {
		if !in.spend(8) || !y.next() || !in.equal(x.item, y.item) {
			return false
		}
	}
	return !y.next()
}

func (in *Input) equalObjects(a, b value) bool {
	if !in.spend(len(a.s) + len(b.s)) {
		return false
	}
	if a.form == formTidy && b.form == formTidy && a.s == b.s {
		return true
	}
	x, y := in.materialised(a), in.materialised(b)
	if len(x.keys) != len(y.keys) {
		return false
	}
	for i, k := range x.keys {
		j := y.find(k)
		if j < 0 || !in.spend(8) || !in.equal(x.values[i], y.values[j]) {
			return false
		}
	}
	return true
}

// materialised gives an object with a place for every key.
func (in *Input) materialised(v value) *object {
	if o := v.object(); o != nil {
		return o
	}
	return in.deduplicated(v).object()
}

// among is IN. The right side must be an array, and the left side defined.
func (in *Input) among(x, set value) value {
	if !x.defined() || set.kind != kindArray {
		return undefined
	}
	for w := newWalk(set, in.whole); w.next() && in.spend(8); {
		if in.equal(x, w.item) {
			return yes
		}
	}
	return no
}

// plus is +: it joins strings if either side is one, and adds numbers.
func (in *Input) plus(a, b value) value {
	if a.inRange() && b.inRange() {
		if !a.small() || !b.small() {
			in.spend(longSum)
		}
		return add(a, b)
	}
	if a.kind != kindString && b.kind != kindString {
		return undefined
	}
	x, ok := in.toText(a)
	if !ok {
		return undefined
	}
	y, ok := in.toText(b)
	if !ok || !in.spend(len(x)+len(y)) {
		return undefined
	}
	return text(x + y)
}

// What the long ways of calculating take, in units of work.
const (
	longSum       = 16
	longDivision  = 32
	longPower     = 64
	longRemainder = 1 << 10 // its quotient may have 2000 digits
)

// arithmetic is - * / and %. Strings that are numbers convert to Decimals.
func (in *Input) arithmetic(op operator, a, b value) value {
	if !a.small() || !b.small() {
		if a, b = in.number(a), in.number(b); !a.defined() || !b.defined() {
			return undefined
		}
	}
	switch op {
	case opMinus:
		return subtract(a, b)
	case opTimes:
		return multiply(a, b)
	case opDivide:
		in.spend(longDivision)
		return divide(a, b)
	default:
		return in.remainder(a, b)
	}
}

// remainder is % of two numbers.
func (in *Input) remainder(a, b value) value {
	if _, _, _, ok := aligned(a, b); !ok && !in.spend(longRemainder) {
		return undefined
	}
	return remainder(a, b)
}

// quotient is / where two Ints give a Decimal.
func (in *Input) quotient(a, b value) value {
	if a, b = in.number(a), in.number(b); !a.defined() || !b.defined() || isZero(b) || !in.spend(longDivision) {
		return undefined
	}
	a.kind = kindDecimal
	return calculate(decimals.Quo, a, b)
}
