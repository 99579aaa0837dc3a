package sql

import (
	"math"
	"math/rand/v2"

	"github.com/cockroachdb/apd/v3"
)

// numericFunctions calculate. All of them want numbers, and convert Strings that are
// some; any other argument makes them Undefined.
func numericFunctions() []Function {
	one := []param{numberArg}
	return []Function{
		{
			Name: "abs", Signature: "abs(number)", Text: "The number without its sign: of an Int an Int, else a Decimal.",
			Examples: []Example{{"abs(-5)", "5"}, {"abs('-5.123')", "5.123"}, {"abs(true)", ""}},
			min:      1, max: 1, params: one,
			call: func(_ *Input, a []value, _ *memo) value {
				if compareNumbers(a[0], integer(0)) < 0 {
					return negate(a[0])
				}
				return plain(a[0])
			},
		},
		double("acos", "The inverse cosine of a number between -1 and 1, in radians.", math.Acos,
			Example{"acos(0)", "1.5707963267948966"}, Example{"acos('1')", "0.0"}, Example{"acos(2)", ""}),
		double("asin", "The inverse sine of a number between -1 and 1, in radians.", math.Asin,
			Example{"asin(0)", "0.0"}, Example{"asin(1)", "1.5707963267948966"}, Example{"asin(-1.1)", ""}),
		double("atan", "The inverse tangent in radians.", math.Atan,
			Example{"atan(0)", "0.0"}, Example{"atan('1')", "0.7853981633974483"}, Example{"atan(null)", ""}),
		{
			Name: "atan2", Signature: "atan2(y, x)", Text: "The angle, in radians, between the positive x-axis and the point (x, y).",
			Examples: []Example{{"atan2(1, 0)", "1.5707963267948966"}, {"atan2('0', 1)", "0.0"}, {"atan2(1, [])", ""}},
			min:      2, max: 2, params: one,
			call: func(in *Input, a []value, _ *memo) value { return in.double(math.Atan2(a[0].double(), a[1].double())) },
		},
		double("cos", "The cosine of an angle in radians.", math.Cos,
			Example{"cos(0)", "1.0"}, Example{"cos('0')", "1.0"}, Example{"cos(true)", ""}),
		double("cosh", "The hyperbolic cosine.", math.Cosh,
			Example{"cosh(2.3)", "5.037220649268761"}, Example{"cosh(0)", "1.0"}, Example{"cosh('x')", ""}),
		double("exp", "e to the power of the number.", math.Exp,
			Example{"exp(1)", "2.718281828459045"}, Example{"exp('0')", "1.0"}, Example{"exp(1000)", ""}),
		double("ln", "The natural logarithm of a number above 0.", positive(math.Log),
			Example{"ln(1)", "0.0"}, Example{"ln(exp(1))", "1.0"}, Example{"ln(0)", ""}),
		double("log", "The logarithm to the base 10 of a number above 0.", positive(log10),
			Example{"log(100)", "2.0"}, Example{"log('1000')", "3.0"}, Example{"log(-1)", ""}),
		double("sin", "The sine of an angle in radians.", math.Sin,
			Example{"sin(0)", "0.0"}, Example{"sin('1')", "0.8414709848078965"}, Example{"sin({})", ""}),
		double("sinh", "The hyperbolic sine.", math.Sinh,
			Example{"sinh(2.3)", "4.936961805545957"}, Example{"sinh(0)", "0.0"}, Example{"sinh(false)", ""}),
		double("sqrt", "The square root of a number that is not below 0.", math.Sqrt,
			Example{"sqrt(9)", "3.0"}, Example{"sqrt('2.25')", "1.5"}, Example{"sqrt(-1)", ""}),
		double("tan", "The tangent of an angle in radians.", math.Tan,
			Example{"tan(3)", "-0.1425465430742778"}, Example{"tan(0)", "0.0"}, Example{"tan(null)", ""}),
		double("tanh", "The hyperbolic tangent.", math.Tanh,
			Example{"tanh(2.3)", "0.9800963962661914"}, Example{"tanh(0)", "0.0"}, Example{"tanh([1])", ""}),
		{
			Name: "power", Signature: "power(base, exponent)", Text: "The base to the power of the exponent, in double precision.",
			Examples: []Example{{"power(2, 5)", "32.0"}, {"power('9', 0.5)", "3.0"}, {"power(-1, 0.5)", ""}},
			min:      2, max: 2, params: one,
			call: func(in *Input, a []value, _ *memo) value {
				if !in.spend(longPower) {
					return undefined
				}
				return in.double(power(a[0].double(), a[1].double()))
			},
		},
		round("ceil", "The number rounded up to an Int.", up,
			Example{"ceil(1.2)", "2"}, Example{"ceil(-1.2)", "-1"}, Example{"ceil('1.2')", "2"}, Example{"ceil(true)", ""}),
		round("floor", "The number rounded down to an Int.", down,
			Example{"floor(1.2)", "1"}, Example{"floor(-1.2)", "-2"}, Example{"floor('7')", "7"}, Example{"floor([1,2,3])", ""}),
		round("round", "The nearest Int; a half goes away from zero.", halfAway,
			Example{"round(1.2)", "1"}, Example{"round(1.5)", "2"}, Example{"round(-1.1)", "-1"}, Example{"round(-1.5)", "-2"}, Example{"round(null)", ""}),
		{
			Name: "trunc", Signature: "trunc(number, places)", Text: "The number cut to so many decimal places, 0 to 34, without trailing zeros.",
			Examples: []Example{{"trunc(2.3, 0)", "2"}, {"trunc(2.3123, 2)", "2.31"}, {"trunc(2.00, 5)", "2"}, {"trunc('2.888', 2.9)", "2.88"}, {"trunc(2.5, '1')", ""}},
			min:      2, max: 2, params: []param{numberArg, anything},
			call: truncate,
		},
		{
			Name: "sign", Signature: "sign(number)", Text: "-1, 0 or 1, as the number is below, at or above 0.",
			Examples: []Example{{"sign(-7)", "-1"}, {"sign(0.0)", "0"}, {"sign('13')", "1"}, {"sign(null)", ""}},
			min:      1, max: 1, params: one,
			call: func(_ *Input, a []value, _ *memo) value { return integer(int64(compareNumbers(a[0], integer(0)))) },
		},
		modulo("mod"), modulo("remainder"),
		bitwise("bitand", "The bits that both numbers have.", (*apd.BigInt).And,
			Example{"bitand(13, 5)", "5"}, Example{"bitand(13.9, '5')", "5"}, Example{"bitand(true, 5)", ""}),
		bitwise("bitor", "The bits that either number has.", (*apd.BigInt).Or,
			Example{"bitor(8, 5)", "13"}, Example{"bitor(-1, 5)", "-1"}, Example{"bitor(1, null)", ""}),
		bitwise("bitxor", "The bits that one of the numbers has and the other has not.", (*apd.BigInt).Xor,
			Example{"bitxor(13, 5)", "8"}, Example{"bitxor('13', 5.5)", "8"}, Example{"bitxor([], 5)", ""}),
		{
			Name: "bitnot", Signature: "bitnot(number)", Text: "All bits turned over, in two's complement; a Decimal is rounded down first.",
			Examples: []Example{{"bitnot(13)", "-14"}, {"bitnot('-1.5')", "1"}, {"bitnot(false)", ""}},
			min:      1, max: 1, params: one,
			call: func(_ *Input, a []value, _ *memo) value { return subtract(integer(-1), rounded(a[0], down)) },
		},
		{
			Name: "rand", Signature: "rand()", Text: "A random number of at least 0 and below 1.",
			Examples: []Example{{"rand() < 1", "true"}, {"rand() >= 0", "true"}, {"rand(1)", ""}},
			context:  true,
			call:     func(in *Input, _ []value, _ *memo) value { return in.double(rand.Float64()) }, //nolint:gosec // no secret depends on it
		},
		{
			Name: "nanvl", Signature: "nanvl(value, default)", Text: "The value, or the default if the value is Undefined, Null or no number that can be written.",
			Examples: []Example{{"nanvl(8, 3)", "8"}, {"nanvl(null, 3)", "3"}, {"nanvl(sqrt(-1), 'none')", `"none"`}},
			min:      2, max: 2,
			call: func(_ *Input, a []value, _ *memo) value {
				if a[0].kind == kindUndefined || a[0].kind == kindNull {
					return a[1]
				}
				return a[0]
			},
		},
	}
}

// double declares a function of one number that calculates in double precision.
func double(name, does string, f func(float64) float64, examples ...Example) Function {
	return Function{
		Name: name, Signature: name + "(number)", Text: does, Examples: examples,
		min: 1, max: 1, params: []param{numberArg},
		call: func(in *Input, a []value, _ *memo) value { return in.double(f(a[0].double())) },
	}
}

// double gives the result of a function of double precision, and charges the run for it.
func (in *Input) double(f float64) value {
	in.spend(longSum)
	return fromDouble(f)
}

// positive keeps a logarithm from zero and below.
func positive(f func(float64) float64) func(float64) float64 {
	return func(x float64) float64 {
		if x <= 0 {
			return math.NaN()
		}
		return f(x)
	}
}

// log10 is exact for powers of ten, as Java's is.
func log10(x float64) float64 {
	l := math.Log10(x)
	if r := math.Round(l); math.Abs(l-r) < 1e-9 && math.Pow(10, r) == x {
		return r
	}
	return l
}

func round(name, does string, how rounding, examples ...Example) Function {
	return Function{
		Name: name, Signature: name + "(number)", Text: does, Examples: examples,
		min: 1, max: 1, params: []param{numberArg},
		call: func(_ *Input, a []value, _ *memo) value { return rounded(a[0], how) },
	}
}

func modulo(name string) Function {
	return Function{
		Name: name, Signature: name + "(a, b)", Text: "What is left of a after dividing by b, with the sign of a, as a % b.",
		Examples: []Example{{name + "(8, 3)", "2"}, {name + "(-7.5, '2')", "-1.5"}, {name + "(8, 0)", ""}},
		min:      2, max: 2, params: []param{numberArg},
		call: func(in *Input, a []value, _ *memo) value { return in.remainder(a[0], a[1]) },
	}
}

func bitwise(name, does string, op func(z, x, y *apd.BigInt) *apd.BigInt, examples ...Example) Function {
	return Function{
		Name: name, Signature: name + "(a, b)", Text: does + " Decimals are rounded down first.", Examples: examples,
		min: 2, max: 2, params: []param{numberArg},
		call: func(_ *Input, a []value, _ *memo) value {
			x, y := rounded(a[0], down), rounded(a[1], down)
			if x.kind != kindInt || y.kind != kindInt {
				return undefined // more than 34 digits
			}
			p, q := signed(x), signed(y)
			var z apd.BigInt
			op(&z, &p, &q)
			return fromBig(apd.NewWithBigInt(&z, 0), kindInt)
		},
	}
}

// signed gives an Int as an integer with its sign.
func signed(v value) apd.BigInt {
	d := v.big()
	if d.Negative {
		d.Coeff.Neg(&d.Coeff)
	}
	return d.Coeff
}

// truncate is trunc().
func truncate(_ *Input, a []value, _ *memo) value {
	if !a[1].inRange() {
		return undefined
	}
	p := rounded(a[1], down)
	places := int64(precision)
	if compareNumbers(p, integer(precision)) < 0 {
		places = max(p.n, 0)
		if p.form != formSmall {
			places = 0
		}
	}
	if a[0].kind == kindInt {
		return rounded(a[0], down)
	}
	d := a[0].big()
	if int64(-d.Exponent) > places {
		wide := apd.Context{Precision: maxExponent + 2*precision, MaxExponent: 5000, MinExponent: -5000, Rounding: apd.RoundDown}
		if _, err := wide.Quantize(d, d, int32(-places)); err != nil {
			return undefined
		}
	}
	d.Reduce(d)
	return fromBig(d, kindDecimal)
}
