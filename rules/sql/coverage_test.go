package sql_test

import (
	"bufio"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/rules/sql"
)

// ownCases are the statements of our own case files: those of the reference are apart.
func ownCases(tb testing.TB) []goldenCase {
	tb.Helper()
	var own []goldenCase
	for file, cases := range allCases(tb) {
		if file != "reference.case" {
			own = append(own, cases...)
		}
	}
	return own
}

// wanted is how many cases of our own every row of the language has at least.
const wanted = 3

// Every function and every operator has cases of our own, besides the reference's and
// besides the examples of the function table.
func TestEveryFunctionAndOperatorHasCases(t *testing.T) {
	rows := map[string]*regexp.Regexp{}
	for _, f := range sql.Functions() {
		rows[f.Name+"()"] = regexp.MustCompile(`(?i)\b` + f.Name + `\(`)
	}
	const operand = `['"\w)\]}]`
	for name, form := range map[string]string{
		"AND": `\bAND\b`, "OR": `\bOR\b`, "NOT": `\bNOT\b`, "IN": `\bIN\b`, "EXISTS": `\bEXISTS\s*\(`, "CASE": `\bCASE\b`, "cast()": `\bcast\(`,
		"=": `[^<>]=[^>]`, "<>": `<>`, "<": `<[^=>]`, "<=": `<=`, ">": `[^<=-]>[^=]`, ">=": `>=`,
		"+": operand + `\s*\+`, "- of two": operand + `\s+-\s`, "- of one": `(^|[(,=]|VALUE)\s*-[\w(]`,
		"*": operand + `\s*\*\s*` + operand, "/": operand + `\s*/\s*` + operand, "%": operand + `\s*%\s*` + operand,
		"x.member": `\)\.\w`, "x[i]": `[\w)\]]\[`, "{}": `\{'`, "[]": `(^|[\s(,])\[`, "SET": `\bSET\s+@`, "SELECT VALUE": `SELECT VALUE (?:\(SELECT|\w+ FROM)`,
		"nested query": `\(\s*SELECT`, "*, columns": `SELECT \*\s*,`, "AS": `\bAS\b`, "dotted alias": `AS \w+\.\w+`,
	} {
		rows[name] = regexp.MustCompile(`(?i)` + form)
	}
	own := ownCases(t)
	for name, form := range rows {
		n := 0
		for _, c := range own {
			if form.MatchString(strings.TrimSuffix(strings.TrimPrefix(c.statement, "SELECT VALUE "), " FROM 't'")) || form.MatchString(c.statement) && name == "SELECT VALUE" {
				n++
			}
		}
		if n < wanted {
			t.Errorf("%s has %d cases of our own, want %d", name, n, wanted)
		}
	}
}

// Every row of the tables of conversions has cases of our own. In conversions.case a
// line "# FROM to TO" is over the cases of a row.
func TestEveryConversionHasCases(t *testing.T) {
	f, err := os.Open("testdata/conversions.case")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, row := map[string]int{}, ""
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "# "); ok {
			row = name
		} else if strings.Contains(lines.Text(), " => ") {
			rows[row]++
		}
	}
	for _, from := range []string{"Int", "Decimal", "Boolean", "String", "Array", "Object", "Null", "Undefined"} {
		for _, to := range []string{"Decimal", "Int", "Boolean", "String", "cast Decimal", "cast Int", "cast Boolean", "cast String"} {
			name := from + " to " + to
			if rows[name] < wanted {
				t.Errorf("%s has %d cases of our own, want %d", name, rows[name], wanted)
			}
		}
	}
}
