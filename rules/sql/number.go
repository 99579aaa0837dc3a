package sql

import (
	"math"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// Numbers are exact decimals of 34 digits, rounded half to even, between 1E-999 and
// 9.99E999. A number of up to 18 digits is an int64 and a power of ten; all others go
// through apd.
const (
	precision   = 34
	maxExponent = 999 // of the first digit
	fastDigits  = 18
)

// decimals calculates with 34 digits. It is never changed.
var decimals = apd.Context{Precision: precision, MaxExponent: 5000, MinExponent: -5000, Rounding: apd.RoundHalfEven}

// parseNumber turns the text of a number, which must have the form of one, into a
// value that keeps the text. With whole, as 2016-03-23 has it, a number whose value
// is whole is an Int, however it is written.
func parseNumber(s string, whole bool) value {
	if len(s) > maxNumber {
		return value{kind: kindDecimal, form: formWild, s: s}
	}
	v := value{kind: kindInt, s: s}
	i, negative := 0, false
	if i < len(s) && s[i] == '-' {
		negative = true
		i++
	}
	digits := 0
	for ; i < len(s); i++ {
		c := s[i]
		if digit(c) {
			if digits > 0 || c != '0' {
				digits++
			}
			if digits > fastDigits {
				return parseBig(s, whole)
			}
			v.n = v.n*10 + int64(c-'0')
			if v.kind == kindDecimal {
				v.exp--
				if v.exp < -maxExponent {
					return parseBig(s, whole)
				}
			}
			continue
		}
		if c != '.' {
			return parseBig(s, whole) // an exponent
		}
		v.kind = kindDecimal
	}
	if negative {
		v.n = -v.n
	}
	if whole && v.kind == kindDecimal {
		v = settle(v)
	}
	return v
}

// settle makes an Int of a small Decimal whose value is whole.
func settle(v value) value {
	n, exp := v.n, v.exp
	for exp < 0 && n%10 == 0 {
		if n == 0 {
			exp = 0
			break
		}
		n, exp = n/10, exp+1
	}
	if exp == 0 {
		v.kind, v.n, v.exp = kindInt, n, 0
	}
	return v
}

// parseBig does the same for numbers that are long or have an exponent. It reads the
// text once, however long it is.
func parseBig(s string, whole bool) value {
	wild := value{kind: kindDecimal, form: formWild, s: s}
	mantissa, power, written := s, 0, kindInt
	if i := strings.IndexAny(s, "eE"); i >= 0 {
		mantissa, written = s[:i], kindDecimal
		e := strings.TrimLeft(strings.TrimPrefix(s[i+1:], "+"), "0")
		if strings.HasPrefix(e, "-") {
			e = "-" + strings.TrimLeft(e[1:], "0")
		}
		switch {
		case e == "" || e == "-":
		case len(e) > 9:
			power = math.MaxInt32
			if e[0] == '-' {
				power = -math.MaxInt32
			}
		default:
			power, _ = strconv.Atoi(e)
		}
	}
	negative := strings.HasPrefix(mantissa, "-")
	mantissa = strings.TrimPrefix(mantissa, "-")
	front, behind, point := strings.Cut(mantissa, ".")
	if point {
		written = kindDecimal
	}
	digits := make([]byte, 0, precision+8)
	dropped, inexact := 0, false
	for _, part := range [2]string{front, behind} {
		for i := range len(part) {
			switch c := part[i]; {
			case len(digits) == 0 && c == '0':
			case len(digits) < precision+4:
				digits = append(digits, c)
			default:
				dropped++
				inexact = inexact || c != '0'
			}
		}
	}
	if len(digits) == 0 {
		v := value{kind: written, s: s}
		if whole {
			v.kind = kindInt
		}
		return v
	}
	exp := power - len(behind) + dropped
	if first := exp + len(digits) - 1; first > maxExponent || first < -maxExponent {
		return wild
	}
	if inexact {
		digits = append(digits, '1') // only says to which side to round
		exp--
	}
	var coefficient apd.BigInt
	coefficient.SetString(string(digits), 10)
	d := apd.Decimal{Coeff: coefficient, Exponent: int32(exp), Negative: negative}
	_, _ = decimals.Round(&d, &d)
	as := kindDecimal
	if written == kindInt || whole {
		as = kindInt // fromBig makes a Decimal of it again if it is not whole or too long
	}
	v := fromBig(&d, as)
	v.s = s
	return v
}

// fromBig makes a value of d, which it keeps. It is Undefined if d is no number of
// the language, and a Decimal if an Int is asked for and d is none.
func fromBig(d *apd.Decimal, as kind) value {
	if d.Form != apd.Finite {
		return undefined
	}
	if d.IsZero() {
		return value{kind: as}
	}
	first := int(d.Exponent) + int(d.NumDigits()) - 1
	if first > maxExponent || first < -maxExponent {
		return undefined
	}
	if as == kindInt && d.Exponent != 0 {
		if first >= precision {
			as = kindDecimal
		} else {
			var w apd.Decimal
			w.Reduce(d)
			if w.Exponent > 0 {
				wide := apd.Context{Precision: precision + 2, MaxExponent: 5000, MinExponent: -5000}
				_, _ = wide.Quantize(&w, &w, 0)
			}
			if w.Exponent < 0 {
				as = kindDecimal
			} else {
				d = &w
			}
		}
	}
	if as == kindInt && first >= precision {
		as = kindDecimal
	}
	if d.Coeff.IsInt64() && d.Exponent > -2000 && d.Exponent < 2000 {
		n := d.Coeff.Int64()
		if d.Negative {
			n = -n
		}
		return value{kind: as, n: n, exp: int16(d.Exponent)}
	}
	return value{kind: as, form: formBig, ref: d}
}

// big gives a number as a decimal that the caller may change.
func (v value) big() *apd.Decimal {
	if d, ok := v.ref.(*apd.Decimal); ok {
		return new(apd.Decimal).Set(d)
	}
	return apd.New(v.n, int32(v.exp))
}

// inRange reports whether the language can calculate with the number.
func (v value) inRange() bool { return v.isNumber() && v.form != formWild }

// whole reports whether the number has no fraction.
func (v value) whole() bool {
	switch {
	case v.kind == kindInt:
		return true
	case v.form == formSmall:
		return v.exp >= 0 || settle(v).kind == kindInt
	case v.form == formBig:
		var w apd.Decimal
		w.Reduce(v.big())
		return w.Exponent >= 0
	}
	return false
}

// double gives a number in double precision, as the functions that calculate in it
// see it.
func (v value) double() float64 {
	if v.form == formSmall && v.exp == 0 {
		return float64(v.n)
	}
	f, _ := strconv.ParseFloat(string(appendNumber(nil, v)), 64)
	return f
}

// fromDouble makes a Decimal of the result of a function that calculates in double
// precision; Undefined if it has none. Such a result is written like AWS's examples
// write log(100) = 2.0 and power(2,5) = 32.0: with a point, whole or not.
func fromDouble(f float64) value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return undefined
	}
	if f == 0 {
		f = 0 // not -0
	}
	digits := strconv.FormatFloat(f, 'e', -1, 64)
	v := parseNumber(digits, false)
	if f >= 1e17 || f <= -1e17 { // beyond what its digits tell
		mantissa, exponent, _ := strings.Cut(digits, "e+")
		v.s = pointed(mantissa) + "E" + exponent
	} else {
		v.s = pointed(string(appendNumber(nil, value{kind: kindDecimal, form: v.form, n: v.n, exp: v.exp, ref: v.ref})))
	}
	v.kind = kindDecimal
	return v
}

// pointed adds .0 to the text of a whole number.
func pointed(s string) string {
	if strings.ContainsAny(s, ".eE") {
		return s
	}
	return s + ".0"
}
