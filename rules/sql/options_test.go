package sql_test

import (
	"testing"

	"github.com/topicwire/topicwire/rules/sql"
)

// With DecimalDivision two Ints give a Decimal, in statements, folded constants and the
// templates of the program; everything else is as without.
func TestDecimalDivision(t *testing.T) {
	for _, c := range []struct{ expression, truncated, decimal string }{
		{"7 / 2", "3", "3.5"},
		{"a / 2", "3", "3.5"},
		{"a / -2", "-3", "-3.5"},
		{"6 / 3", "2", "2"},
		{"1 / 3", "0", "0.3333333333333333333333333333333333"},
		{"(75 - 32) * 5 / 9", "23", "23.88888888888888888888888888888889"}, // the example that contradicts
		{"7 / 2.5", "2.8", "2.8"},
		{"'7' / 2", "3.5", "3.5"},
		{"a / 0", "", ""},
		{"a / true", "", ""},
		{"a % 2", "1", "1"},
	} {
		for _, o := range []struct {
			options []sql.Option
			want    string
		}{{nil, c.truncated}, {[]sql.Option{sql.DecimalDivision}, c.decimal}} {
			p, err := sql.Compile("SELECT VALUE "+c.expression+" FROM 't'", "", o.options...)
			if err != nil {
				t.Fatal(err)
			}
			template, err := sql.CompileTemplate("${"+c.expression+"}", "", p)
			if err != nil {
				t.Fatal(err)
			}
			in := sql.NewInput(published("t", `{"a": 7}`), world{})
			out, _, err := p.Run(t.Context(), in)
			if err != nil || string(out) != o.want {
				t.Errorf("%s with %v = %q, %v, want %q", c.expression, o.options, out, err, o.want)
			}
			if got, err := template.Render(t.Context(), in); err != nil || got != o.want {
				t.Errorf("${%s} with %v = %q, %v, want %q", c.expression, o.options, got, err, o.want)
			}
			in.Release()
		}
	}
}
