package sql_test

import (
	"context"
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/topicwire/topicwire/rules/sql"
)

// decimalText draws a decimal of up to 30 digits.
func decimalText(t *rapid.T, label string) string {
	digits := rapid.StringMatching(`[1-9][0-9]{0,14}(\.[0-9]{1,14})?`).Draw(t, label)
	if rapid.Bool().Draw(t, label+" is negative") {
		return "-" + digits
	}
	return digits
}

func rat(t *rapid.T, s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		t.Fatalf("%q is no number", s)
	}
	return r
}

// overPayload evaluates an expression over {"a":a,"b":b}.
func overPayload(expression string, v sql.Version, a, b string) string {
	return evaluate(expression, v, published("t", `{"a":`+a+`,"b":`+b+`}`))
}

// TestExactArithmetic compares sums, differences, products, remainders and comparisons
// with math/big. Their results have at most 34 digits here but for products.
func TestExactArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		as, bs := decimalText(t, "a"), decimalText(t, "b")
		a, b := rat(t, as), rat(t, bs)
		quotient := new(big.Int).Quo(new(big.Int).Mul(a.Num(), b.Denom()), new(big.Int).Mul(a.Denom(), b.Num()))
		rest := new(big.Rat).Sub(a, new(big.Rat).Mul(new(big.Rat).SetInt(quotient), b))
		for expression, want := range map[string]*big.Rat{
			"a + b": new(big.Rat).Add(a, b),
			"a - b": new(big.Rat).Sub(a, b),
			"a % b": rest,
			"-a":    new(big.Rat).Neg(a),
		} {
			got := overPayload(expression, "", as, bs)
			if rat(t, got).Cmp(want) != 0 {
				t.Fatalf("%s with %s and %s = %s, want %s", expression, as, bs, got, want.FloatString(30))
			}
		}
		for expression, want := range map[string]bool{"a < b": a.Cmp(b) < 0, "a >= b": a.Cmp(b) >= 0, "a = b": a.Cmp(b) == 0} {
			if got := overPayload(expression, "", as, bs); got != strconv.FormatBool(want) {
				t.Fatalf("%s with %s and %s = %s", expression, as, bs, got)
			}
		}
	})
}

// TestRoundedArithmetic compares products and quotients with math/big: they are within
// half a unit of the 34th digit.
func TestRoundedArithmetic(t *testing.T) {
	unit := new(big.Rat).SetFrac(big.NewInt(1), new(big.Int).Exp(big.NewInt(10), big.NewInt(33), nil))
	rapid.Check(t, func(t *rapid.T) {
		as, bs := decimalText(t, "a"), decimalText(t, "b")
		a, b := rat(t, as), rat(t, bs)
		check := func(expression string, want *big.Rat) {
			got := rat(t, overPayload(expression, sql.V20151008, as, bs))
			off := new(big.Rat).Abs(new(big.Rat).Sub(got, want))
			if off.Cmp(new(big.Rat).Mul(new(big.Rat).Abs(want), unit)) > 0 {
				t.Fatalf("%s with %s and %s = %s, want %s", expression, as, bs, got.FloatString(40), want.FloatString(40))
			}
		}
		check("a * b", new(big.Rat).Mul(a, b))
		if strings.Contains(as+bs, ".") {
			check("a / b", new(big.Rat).Quo(a, b))
		}
	})
}

// TestRounding compares floor, ceil, round and trunc with math/big.
func TestRounding(t *testing.T) {
	one, half := big.NewInt(1), big.NewRat(1, 2)
	floor := func(r *big.Rat) *big.Int {
		return new(big.Int).Div(r.Num(), r.Denom()) // Euclidean: the denominator is positive
	}
	rapid.Check(t, func(t *rapid.T) {
		as := decimalText(t, "a")
		a := rat(t, as)
		up := floor(a)
		if !a.IsInt() {
			up = new(big.Int).Add(up, one)
		}
		nearest := floor(new(big.Rat).Add(new(big.Rat).Abs(a), half))
		if a.Sign() < 0 {
			nearest.Neg(nearest)
		}
		for expression, want := range map[string]*big.Int{
			"floor(a)": floor(a), "ceil(a)": up, "round(a)": nearest,
			"trunc(a, 0)": new(big.Int).Quo(a.Num(), a.Denom()), "cast(a AS Int)": floor(a),
		} {
			if got := overPayload(expression, "", as, "0"); got != want.String() {
				t.Fatalf("%s with %s = %s, want %s", expression, as, got, want)
			}
		}
	})
}

// TestBits compares the bit functions with math/big on numbers of any size and sign.
func TestBits(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		as := rapid.StringMatching(`-?[1-9][0-9]{0,30}`).Draw(t, "a")
		bs := rapid.StringMatching(`-?[1-9][0-9]{0,30}`).Draw(t, "b")
		a, b := rat(t, as).Num(), rat(t, bs).Num()
		for expression, want := range map[string]*big.Int{
			"bitand(a, b)": new(big.Int).And(a, b), "bitor(a, b)": new(big.Int).Or(a, b),
			"bitxor(a, b)": new(big.Int).Xor(a, b), "bitnot(a)": new(big.Int).Not(a),
		} {
			if got := overPayload(expression, "", as, bs); got != want.String() {
				t.Fatalf("%s with %s and %s = %s, want %s", expression, as, bs, got, want)
			}
		}
	})
}

// TestDoubles reads back what the functions of double precision write.
func TestDoubles(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := rapid.Float64Range(-700, 700).Draw(t, "x")
		s := strconv.FormatFloat(x, 'f', -1, 64)
		for name, f := range map[string]func(float64) float64{"exp": math.Exp, "sin": math.Sin, "atan": math.Atan, "cosh": math.Cosh} {
			got, err := strconv.ParseFloat(overPayload(name+"(a)", "", s, "0"), 64)
			if want := f(x); err != nil || got != want {
				t.Fatalf("%s(%s) = %v, %v, want %v", name, s, got, err, want)
			}
		}
	})
}

// TestStarAgreesWithItsLongWay compares SELECT *, a, b as it is written straight from
// the payload with the same selection put together as an object.
func TestStarAgreesWithItsLongWay(t *testing.T) {
	value := rapid.SampledFrom([]string{`1`, `10.0`, `"x\n"`, `{"k" : [1, {}]}`, `null`, `[ ]`, `{"z":1,"z":2}`})
	key := rapid.SampledFrom([]string{`a`, `b`, `c`, `d`, `\u0061`, ``})
	rapid.Check(t, func(t *rapid.T) {
		var members []string
		for range rapid.IntRange(0, 5).Draw(t, "members") {
			members = append(members, `"`+key.Draw(t, "key")+`": `+value.Draw(t, "value"))
		}
		m := published("t", "{"+strings.Join(members, ", ")+"}")
		short := outcome("SELECT *, d AS a, 7 AS e FROM 't'", "", m)
		long := outcome("SET @p = * SELECT VALUE (SELECT *, d AS a, 7 AS e FROM @p) FROM 't'", "", m)
		if short != long {
			t.Fatalf("over %s\n  %s\n  %s", m.Payload, short, long)
		}
	})
}

// TestConcurrentRuns uses one program and one template from many goroutines, each
// with patterns of its own.
func TestConcurrentRuns(t *testing.T) {
	p, err := sql.Compile("SET @p = parse_time(f, 0, z) SELECT regexp_replace(s, r, 'x') AS r, @p AS p, time_to_epoch(@p, f) AS e FROM 't'", "")
	if err != nil {
		t.Fatal(err)
	}
	tpl, err := sql.CompileTemplate("${@p}", "", p)
	if err != nil {
		t.Fatal(err)
	}
	var group sync.WaitGroup
	for g := range 8 {
		group.Go(func() {
			payload := fmt.Sprintf(`{"s":"a%db","r":"%d","f":"yyyy-MM-dd HH:mm","z":"+0%d:00"}`, g, g, g)
			want := fmt.Sprintf(`{"r":"axb","p":"1970-01-01 0%d:00","e":%d}`, g, g*3600000)
			for range 100 {
				in := sql.NewInput(published("t", payload), world{})
				out, _, err := p.Run(context.Background(), in)
				if string(out) != want || err != nil {
					t.Errorf("got %s, %v, want %s", out, err, want)
				}
				if s, err := tpl.Render(context.Background(), in); err != nil || !strings.Contains(want, s) || s == "" {
					t.Errorf("the template gave %s, %v", s, err)
				}
				in.Release()
			}
		})
	}
	group.Wait()
}
