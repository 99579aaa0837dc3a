package sql_test

import (
	"context"
	"testing"

	"github.com/topicwire/topicwire/rules/sql"
)

func TestTemplates(t *testing.T) {
	for _, c := range []struct{ template, payload, want string }{
		{"", "{}", ""},
		{"plain", "{}", "plain"},
		{"$$aws/things/T/shadow/update", "{}", "$aws/things/T/shadow/update"},
		{"$$${a}$", `{"a":1}`, "$1$"},
		{"$a{b}$", "{}", "$a{b}$"},
		{"$${a}", `{"a":1}`, "${a}"},
		{"${color}", `{"color":"red"}`, "red"},
		{"a/${missing}/b", "{}", "a//b"},
		{"a/${n}/b", `{"n":null}`, "a//b"},
		{"${n}-${s}-${b}-${a}-${o}", `{"n":10.50,"s":"x\"y","b":true,"a":[1, "z"],"o":{"k" : 1}}`, `10.5-x"y-true-[1,"z"]-{"k":1}`},
		{"${parse_time('yyyy', timestamp(), 'UTC')}", "{}", "2016"},
		{"${'at ' + timestamp()}", "{}", "at 1481825251155"},
		{"${get({'a}': 'b}'}, 'a}')}!", "{}", "b}!"},
		{"${ {'a': {'b': 1}} }", "{}", `{"a":{"b":1}}`},
		{"${topic(2)}/${topic()}", "{}", "myThings/things/myThings/thingOne"},
		{"${*}", `{"a" : 1}`, `{"a":1}`},
		{"${*}", "not json", ""},
		{"${encode(*, 'base64')}", "not json", "bm90IGpzb24="},
		{"${CASE n WHEN 1 THEN 'one' END}", `{"n":1}`, "one"},
		{"${(SELECT VALUE v FROM e)}", `{"e":[{"v":1},{"v":2}]}`, "[1,2]"},
		{"${log(100)} ${1e30}", "{}", "2.0 1000000000000000000000000000000"},
	} {
		tpl, err := sql.CompileTemplate(c.template, "", nil)
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		in := sql.NewInput(published("things/myThings/thingOne", c.payload), world{})
		got, err := tpl.Render(context.Background(), in)
		if got != c.want || err != nil {
			t.Errorf("%s = %q, %v, want %q", c.template, got, err, c.want)
		}
		in.Release()
	}
}

func TestTemplatesRefused(t *testing.T) {
	for _, c := range [][2]string{
		{"a/${", "1:5: expected an expression, found the end"},
		{"a/${b", "1:3: ${ has no closing }"},
		{"a/${}", "1:3: ${} is empty: expected an expression between the braces; $${} stands for the text ${}"},
		{"a/${b c}", "1:7: expected } or an operator after the expression, found c"},
		{"ä/${upper(b}", "1:12: expected ) to close the arguments of upper, found }"},
		{"${uper(b)}", "1:3: unknown function uper(): did you mean upper()?"},
		{"${@x}", "1:3: the variable @x is not set here: write SET @x = ... before SELECT"},
		{"x\n${a ==}", "2:5: unexpected ==: write a single = for equal"},
		{"${decode(*, 'proto', 'b', 'k', 'f', 'm')}", "1:3: decode() of protobuf cannot stand in a substitution template"},
	} {
		_, err := sql.CompileTemplate(c[0], "", nil)
		if err == nil || err.Error() != c[1] {
			t.Errorf("%s\n  got  %v\n  want %s", c[0], err, c[1])
		}
	}
}

// TestTemplateVariables sees the values that SELECT saw, even of what changes.
func TestTemplateVariables(t *testing.T) {
	p, err := sql.Compile("SET @id = newuuid(), @c = (f - 32) * 5 / 9.5 SELECT @id AS id FROM 't'", "")
	if err != nil {
		t.Fatal(err)
	}
	tpl, err := sql.CompileTemplate(`{"id":"${@id}"}`, "", p)
	if err != nil {
		t.Fatal(err)
	}
	in := sql.NewInput(published("t", `{"f":70}`), world{})
	defer in.Release()
	out, _, err := p.Run(context.Background(), in)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := tpl.Render(context.Background(), in); got != string(out) || err != nil {
		t.Errorf("the template has %s, %v, SELECT has %s", got, err, out)
	}
	if s, ok := tpl.Constant(); ok {
		t.Errorf("%q is called constant", s)
	}
	alone, err := sql.CompileTemplate("temp-${@c}C.json", "", p)
	if err != nil {
		t.Fatal(err)
	}
	fresh := sql.NewInput(published("t", `{"f":51}`), world{})
	defer fresh.Release()
	if got, err := alone.Render(context.Background(), fresh); got != "temp-10C.json" || err != nil {
		t.Errorf("got %s, %v", got, err)
	}
}

func TestTemplatePure(t *testing.T) {
	p, err := sql.Compile("SET @l = aws_lambda('echo', 1), @t = topic() SELECT @t AS t FROM 't'", "")
	if err != nil {
		t.Fatal(err)
	}
	calls := 0
	for template, pure := range map[string]bool{"${topic()}": true, "${@t}": false, "${aws_lambda('echo', 1)}": false, "plain": true} {
		tpl, err := sql.CompileTemplate(template, "", p)
		if err != nil {
			t.Fatal(err)
		}
		if tpl.Pure() != pure {
			t.Errorf("%s: pure is %v", template, tpl.Pure())
		}
		before := calls
		in := sql.NewInput(published("t", "{}"), world{calls: &calls})
		if _, err := tpl.Render(context.Background(), in); err != nil {
			t.Error(err)
		}
		in.Release()
		if called := calls > before; called == pure {
			t.Errorf("%s: called outside: %v", template, called)
		}
	}
}

func TestTemplateAliasIsNotVisible(t *testing.T) {
	p, err := sql.Compile("SELECT color AS c FROM 't'", "")
	if err != nil {
		t.Fatal(err)
	}
	tpl, err := sql.CompileTemplate("[${c}]", "", p)
	if err != nil {
		t.Fatal(err)
	}
	in := sql.NewInput(published("t", `{"color":"red"}`), world{})
	defer in.Release()
	if got, _ := tpl.Render(context.Background(), in); got != "[]" {
		t.Errorf("got %s, want []", got)
	}
}

// TestTemplateAgreesWithSelect renders every expression of the case files as a
// template too: it must give what the String conversion in SELECT gives.
func TestTemplateAgreesWithSelect(t *testing.T) {
	compared := 0
	for _, cases := range allCases(t) {
		for _, c := range cases {
			if c.statement != "SELECT VALUE "+c.title+" FROM 't'" {
				continue // a block
			}
			p, err := sql.Compile("SELECT VALUE cast("+c.title+" AS String) FROM 't'", c.version)
			tpl, err2 := sql.CompileTemplate("${"+c.title+"}", c.version, nil)
			if err != nil || err2 != nil {
				continue
			}
			in := sql.NewInput(published(c.topic, c.payload), world{})
			want, _, err := p.Run(context.Background(), in)
			got, err2 := tpl.Render(context.Background(), in)
			if (err == nil) != (err2 == nil) {
				t.Errorf("%s: SELECT %v, template %v", c.title, err, err2)
			}
			if as := string(sql.Quote(got)); err == nil && got != "" && as != string(want) {
				t.Errorf("%s: template %s, SELECT %s", c.title, as, want)
			}
			in.Release()
			compared++
		}
	}
	if compared < 300 {
		t.Errorf("only %d expressions were compared", compared)
	}
}
