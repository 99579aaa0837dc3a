package sql

import (
	"math"
	"math/big"
)

// power is x to the power of y. Where y is a multiple of one half, as it nearly always is,
// the result is the double next to the true one: math.Pow multiplies doubles and is off
// by more than Java's in every third case.
func power(x, y float64) float64 {
	const (
		most = 2048 // of |y|: beyond, everything but 1 is out of range, or close to 1
		bits = 192  // so that a few dozen roundings are not seen in the 53 of a double
	)
	whole, fraction := math.Modf(math.Abs(y))
	if x == 0 || math.IsInf(x, 0) || whole > most || fraction != 0 && (fraction != 0.5 || x < 0) {
		return math.Pow(x, y)
	}
	square := new(big.Float).SetPrec(bits).SetFloat64(x)
	p := new(big.Float).SetPrec(bits).SetInt64(1)
	if fraction != 0 {
		p.Sqrt(square)
	}
	for n := uint(whole); n > 0; n >>= 1 {
		if n&1 != 0 {
			p.Mul(p, square)
		}
		square.Mul(square, square)
	}
	if y < 0 {
		p.Quo(new(big.Float).SetInt64(1), p)
	}
	f, _ := p.Float64()
	return f
}
