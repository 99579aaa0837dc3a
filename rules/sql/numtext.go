package sql

import (
	"strconv"

	"github.com/cockroachdb/apd/v3"
)

// Decimals are written without trailing zeros, plainly between 1E-7 and 34 digits
// before the point and in scientific notation beyond. The exponent carries no plus
// sign: the language could not read it back (see numeric).

// appendNumber writes a number in its canonical form, whatever text it had.
func appendNumber(dst []byte, v value) []byte {
	var buf [64]byte
	switch {
	case v.form == formWild:
		return append(dst, v.s...)
	case v.form == formBig:
		d, _ := v.ref.(*apd.Decimal)
		return appendDigits(dst, d.Negative, d.Coeff.Append(buf[:0], 10), int(d.Exponent))
	case v.exp == 0:
		return strconv.AppendInt(dst, v.n, 10)
	case v.n < 0:
		return appendDigits(dst, true, strconv.AppendUint(buf[:0], uint64(-v.n), 10), int(v.exp))
	}
	return appendDigits(dst, false, strconv.AppendUint(buf[:0], uint64(v.n), 10), int(v.exp))
}

// appendDigits writes digits times ten to the power of exp.
func appendDigits(dst []byte, negative bool, digits []byte, exp int) []byte {
	for len(digits) > 1 && digits[len(digits)-1] == '0' {
		digits = digits[:len(digits)-1]
		exp++
	}
	if len(digits) == 0 || digits[0] == '0' {
		return append(dst, '0')
	}
	if negative {
		dst = append(dst, '-')
	}
	first := exp + len(digits) - 1
	switch {
	case exp >= 0 && first < precision:
		return zeros(append(dst, digits...), exp)
	case exp < 0 && first >= 0:
		dst = append(dst, digits[:first+1]...)
		return append(append(dst, '.'), digits[first+1:]...)
	case exp < 0 && first >= -7:
		return append(zeros(append(dst, '0', '.'), -first-1), digits...)
	}
	dst = append(dst, digits[0])
	if len(digits) > 1 {
		dst = append(append(dst, '.'), digits[1:]...)
	}
	return strconv.AppendInt(append(dst, 'E'), int64(first), 10)
}

func zeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}

// numberString converts a number to a String: an Int is plain digits, a Decimal its
// shortest text, with a point if it was one although its value is whole.
func numberString(v value) string {
	var buf [64]byte
	b := appendNumber(buf[:0], v)
	if v.kind == kindDecimal && v.s != "" && v.form != formWild && v.whole() {
		return pointed(string(b))
	}
	return string(b)
}

// numeric reports whether a String is one that converts to a number:
// ^-?\d+(\.\d+)?((?i)E-?\d+)?$ [AWS]. It is narrower than what JSON allows in one
// place: the exponent has no plus sign.
func numeric(s string) bool {
	if len(s) > maxNumber {
		return false
	}
	i := 0
	if i < len(s) && s[i] == '-' {
		i++
	}
	start := i
	for i < len(s) && digit(s[i]) {
		i++
	}
	if i == start {
		return false
	}
	if i < len(s) && s[i] == '.' {
		i++
		start = i
		for i < len(s) && digit(s[i]) {
			i++
		}
		if i == start {
			return false
		}
	}
	if i < len(s) && (s[i] == 'e' || s[i] == 'E') {
		i++
		if i < len(s) && s[i] == '-' {
			i++
		}
		start = i
		for i < len(s) && digit(s[i]) {
			i++
		}
		if i == start {
			return false
		}
	}
	return i == len(s)
}
