package sql_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/rules/sql"
)

// odd are values of every type as they are written in JSON and in SQL alike; the last
// is Undefined.
func odd() []string {
	return []string{
		`null`, `true`, `""`, `"x"`, `"5"`, `"-1.5"`, `"TRUE"`, `"(a"`, `"yyyy"`, `"base64"`, `0`, `-1`, `2.5`, `7`,
		`1000000000000000000000000000000`, `1E-21`, `[]`, `[1,"a",[2.5]]`, `{}`, `{"a":1,"b":{"c":"d"}}`, ``,
	}
}

// combine calls f with every choice of n of the odd values; of three with fewer.
func combine(n int, f func(values []string)) {
	pool := odd()
	step := 1
	if n > 2 {
		step = 2
	}
	var choose func(chosen []string)
	choose = func(chosen []string) {
		if len(chosen) == n {
			f(chosen)
			return
		}
		for i := 0; i < len(pool); i += step {
			choose(append(slices.Clip(chosen), pool[i]))
		}
	}
	choose(nil)
}

// agree evaluates an expression with the values as members of the payload, and again
// with the same values as literals, which the compiler computes: both must agree, and
// be JSON or nothing.
func agree(t *testing.T, format string, values []string) {
	t.Helper()
	names, literals := make([]any, len(values)), make([]any, len(values))
	var members []string
	for i, v := range values {
		names[i], literals[i] = fmt.Sprintf("m%d", i), v
		if v == "" {
			literals[i] = "missing"
			continue
		}
		members = append(members, fmt.Sprintf(`"m%d":%s`, i, v))
	}
	m := published("t", "{"+strings.Join(members, ",")+"}")
	fromPayload := evaluate(fmt.Sprintf(format, names...), "", m)
	fromLiterals := evaluate(fmt.Sprintf(format, literals...), "", m)
	if strings.HasPrefix(fromLiterals, "refused: ") || strings.HasPrefix(fromPayload, "refused: ") {
		return // such as a pattern that RE2 cannot do
	}
	if fromPayload != fromLiterals {
		t.Errorf("%s: %s from the payload, %s from literals", fmt.Sprintf(format, literals...), fromPayload, fromLiterals)
	}
	if fromPayload != "" && !json.Valid([]byte(fromPayload)) {
		t.Errorf("%s gave %s", fmt.Sprintf(format, literals...), fromPayload)
	}
}

// TestEveryFunctionWithAnything calls every function with one to three values of every
// type.
func TestEveryFunctionWithAnything(t *testing.T) {
	for _, f := range sql.Functions() {
		switch f.Name {
		case "rand", "newuuid", "aws_lambda", "cast":
			continue
		}
		for n := 1; n <= 3; n++ {
			if n == 3 && !strings.Contains(f.Signature, ",") {
				continue
			}
			format := f.Name + "(" + strings.TrimSuffix(strings.Repeat("%s, ", n), ", ") + ")"
			combine(n, func(values []string) { agree(t, format, values) })
		}
	}
}

// TestEveryOperatorWithAnything does the same for operators and casts.
func TestEveryOperatorWithAnything(t *testing.T) {
	for _, op := range []string{"AND", "OR", "=", "<>", "<", "<=", ">", ">=", "IN", "+", "-", "*", "/", "%"} {
		combine(2, func(values []string) { agree(t, "%s "+op+" %s", values) })
	}
	for _, format := range []string{
		"NOT %s", "- %s", "+ %s", "cast(%s AS String)", "cast(%s AS Int)", "cast(%s AS Decimal)", "cast(%s AS Double)", "cast(%s AS Boolean)",
		"CASE %s WHEN 5 THEN 'five' WHEN null THEN 'null' WHEN '5' THEN 'text' ELSE 'else' END", "(SELECT VALUE a FROM %s)", "[%s][0]",
	} {
		combine(1, func(values []string) { agree(t, format, values) })
	}
}
