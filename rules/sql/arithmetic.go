package sql

import (
	"math"
	"math/bits"

	"github.com/cockroachdb/apd/v3"
)

// The functions here take two numbers within the language's range. Two Ints give an
// Int, which becomes a Decimal beyond 34 digits; anything else gives a Decimal.
// (https://docs.aws.amazon.com/iot/latest/developerguide/iot-sql-operators.html)

func resultKind(a, b value) kind {
	if a.kind == kindInt && b.kind == kindInt {
		return kindInt
	}
	return kindDecimal
}

// aligned brings two small numbers to one exponent; ok is false if that takes more
// than an int64.
func aligned(a, b value) (x, y int64, exp int16, ok bool) {
	if a.form != formSmall || b.form != formSmall {
		return 0, 0, 0, false
	}
	switch {
	case a.exp == b.exp:
		return a.n, b.n, a.exp, true
	case a.exp > b.exp:
		x, ok = shifted(a.n, int(a.exp)-int(b.exp))
		return x, b.n, b.exp, ok
	}
	y, ok = shifted(b.n, int(b.exp)-int(a.exp))
	return a.n, y, a.exp, ok
}

// shifted multiplies n by ten to the power of by.
func shifted(n int64, by int) (int64, bool) {
	if by > fastDigits {
		return 0, n == 0
	}
	for range by {
		if n > math.MaxInt64/10 || n < math.MinInt64/10 {
			return 0, false
		}
		n *= 10
	}
	return n, true
}

func add(a, b value) value {
	if x, y, exp, ok := aligned(a, b); ok {
		if sum := x + y; (sum > x) == (y > 0) {
			return value{kind: resultKind(a, b), n: sum, exp: exp}
		}
	}
	return calculate(decimals.Add, a, b)
}

func subtract(a, b value) value {
	if x, y, exp, ok := aligned(a, b); ok {
		if d := x - y; (d < x) == (y > 0) {
			return value{kind: resultKind(a, b), n: d, exp: exp}
		}
	}
	return calculate(decimals.Sub, a, b)
}

func multiply(a, b value) value {
	if a.form == formSmall && b.form == formSmall {
		exp := int(a.exp) + int(b.exp)
		if p, ok := product(a.n, b.n); ok && exp > -maxExponent && exp < maxExponent-fastDigits {
			return ranged(value{kind: resultKind(a, b), n: p, exp: int16(exp)})
		}
	}
	return calculate(decimals.Mul, a, b)
}

func product(a, b int64) (int64, bool) {
	if a == math.MinInt64 || b == math.MinInt64 {
		return 0, false
	}
	hi, lo := bits.Mul64(magnitude(a), magnitude(b))
	if hi != 0 || lo > math.MaxInt64 {
		return 0, false
	}
	if (a < 0) != (b < 0) {
		return -int64(lo), true
	}
	return int64(lo), true
}

func magnitude(n int64) uint64 {
	if n < 0 {
		return uint64(-n)
	}
	return uint64(n)
}

// ranged makes zero of every zero, whatever its exponent.
func ranged(v value) value {
	if v.n == 0 {
		v.exp = 0
	}
	return v
}

// divide gives Undefined for a division by zero. Two Ints give an Int, cut towards
// zero.
func divide(a, b value) value {
	switch {
	case isZero(b):
		return undefined
	case resultKind(a, b) == kindDecimal:
		return calculate(decimals.Quo, a, b)
	case a.form == formSmall && b.form == formSmall && a.exp == 0 && b.exp == 0 && a.n != math.MinInt64:
		return integer(a.n / b.n)
	}
	return calculate(decimals.QuoInteger, a, b)
}

// remainder gives Undefined for a remainder by zero. It has the sign of a.
func remainder(a, b value) value {
	if isZero(b) {
		return undefined
	}
	if x, y, exp, ok := aligned(a, b); ok && y != -1 {
		return ranged(value{kind: resultKind(a, b), n: x % y, exp: exp})
	}
	// The quotient can have 2000 digits, the remainder has no more than the operands.
	wide := apd.Context{Precision: 4 * maxExponent, MaxExponent: 5000, MinExponent: -5000, Rounding: apd.RoundHalfEven}
	return calculate(wide.Rem, a, b)
}

func negate(v value) value {
	if v.form == formBig {
		d := v.big()
		return fromBig(d.Neg(d), v.kind)
	}
	if v.n == math.MinInt64 {
		d := v.big()
		return fromBig(d.Neg(d), v.kind)
	}
	return value{kind: v.kind, n: -v.n, exp: v.exp}
}

func isZero(v value) bool { return v.form == formSmall && v.n == 0 }

// calculate takes the long way through 34-digit decimals.
func calculate(op func(d, x, y *apd.Decimal) (apd.Condition, error), a, b value) value {
	var d apd.Decimal
	if _, err := op(&d, a.big(), b.big()); err != nil {
		return undefined
	}
	if _, err := decimals.Round(&d, &d); err != nil {
		return undefined
	}
	return fromBig(&d, resultKind(a, b))
}

// compareNumbers orders two numbers: -1, 0 or 1.
func compareNumbers(a, b value) int {
	if x, y, _, ok := aligned(a, b); ok {
		switch {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return 0
	}
	return a.big().Cmp(b.big())
}

// rounding is a way to make a number whole.
type rounding uint8

const (
	towardsZero rounding = iota
	down
	up
	halfAway
)

// rounded makes an Int of a number; one of more than 34 digits stays a Decimal.
func rounded(v value, how rounding) value {
	if v.kind == kindInt {
		return value{kind: kindInt, form: v.form, n: v.n, exp: v.exp, ref: v.ref}
	}
	if v.form == formSmall && v.exp <= 0 && v.exp >= -fastDigits {
		unit := int64(1)
		for range -int(v.exp) {
			unit *= 10
		}
		n, rest := v.n/unit, v.n%unit
		switch {
		case how == down && rest < 0:
			n--
		case how == up && rest > 0:
			n++
		case how == halfAway && rest >= unit-rest:
			n++
		case how == halfAway && -rest >= unit+rest:
			n--
		}
		return integer(n)
	}
	ctx := apd.Context{
		Precision: maxExponent + 2*precision, MaxExponent: 5000, MinExponent: -5000,
		Rounding: [...]apd.Rounder{apd.RoundDown, apd.RoundFloor, apd.RoundCeiling, apd.RoundHalfUp}[how],
	}
	d := v.big()
	if d.Exponent < 0 {
		if _, err := ctx.Quantize(d, d, 0); err != nil {
			return undefined
		}
	}
	return fromBig(d, kindInt)
}
