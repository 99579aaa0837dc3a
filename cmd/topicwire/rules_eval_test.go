package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// eval runs the command as the command line would and gives its exit status.
func eval(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var cmd RulesEvalCmd
	var out, errs bytes.Buffer
	streams := &Streams{In: strings.NewReader(stdin), Out: &out, Err: &errs}
	parser, err := kong.New(&cmd, kong.Bind(streams), kong.BindTo(context.Background(), (*context.Context)(nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, err := parser.Parse(args)
	if err != nil {
		return 2, "", err.Error()
	}
	err = ctx.Run()
	var exit exitError
	switch {
	case errors.As(err, &exit):
		return exit.code, out.String(), errs.String() + exit.msg
	case err != nil:
		t.Fatal(err)
	}
	return 0, out.String(), errs.String()
}

func TestRulesEval(t *testing.T) {
	file := filepath.Join(t.TempDir(), "payload")
	if err := os.WriteFile(file, []byte("\x01\x02"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name           string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"matched", []string{"--topic", "a/b", `--payload={"t":31}`, "SELECT t, topic(2) AS s FROM 'a/+' WHERE t > 30"}, 0, `{"t":31,"s":"b"}`, ""},
		{"no match by WHERE", []string{`--payload={"t":3}`, "SELECT t FROM 'a/+' WHERE t > 30"}, 1, "", ""},
		{"no match by topic", []string{"--topic=b", "--payload={}", "SELECT * FROM 'a'"}, 1, "", ""},
		{"the parent is not matched", []string{"--topic=a", "--payload={}", "SELECT * FROM 'a/#'"}, 1, "", ""},
		{"the parent's empty child is", []string{"--topic=a/", "--payload={}", "SELECT * FROM 'a/#'"}, 0, "{}", ""},
		{"a wildcard is not for $", []string{"--topic=$SYS/a", "--payload={}", "SELECT * FROM '#'"}, 1, "", ""},
		{"$ by name", []string{"--topic=$aws/events/x", "--payload={}", "SELECT * FROM '$aws/events/+'"}, 0, "{}", ""},
		{"no topic matches", []string{"--payload={}", "SELECT topic() AS t FROM 'a'"}, 0, `{"t":""}`, ""},
		{"Basic Ingest", []string{"--topic=$aws/rules/R/x/y", "--rule=R", "--payload={}", "SELECT topic() AS t FROM 'a'"}, 0, `{"t":"x/y"}`, ""},
		{"Basic Ingest for another rule", []string{"--topic=$aws/rules/R/x/y", "--rule=Q", "--payload={}", "SELECT topic() AS t"}, 1, "", ""},
		{"Basic Ingest, no name", []string{"--topic=$aws/rules/R/x/y", "--payload={}", "SELECT topic() AS t"}, 0, `{"t":"x/y"}`, ""},
		{"no FROM, a plain topic", []string{"--topic=a", "--payload={}", "SELECT 1 AS a"}, 1, "", ""},
		{"refused", []string{"--payload={}", "SELECT uper(a) FROM 't'"}, 2, "", "1:8: unknown function uper(): did you mean upper()?\n    SELECT uper(a) FROM 't'\n           ^"},
		{"version", []string{"--version=2015-10-08", "--payload={}", "SELECT [1] AS a FROM 't'"}, 2, "", "1:8: an array literal needs SQL version 2016-03-23, the rule has 2015-10-08\n    SELECT [1] AS a FROM 't'\n           ^"},
		{"warning", []string{"--payload={}", "SELECT upper() FROM 't'"}, 0, "{}", "warning: 1:8: upper() takes 1 argument, not 0, and is always Undefined: upper(text)\n"},
		{"template", []string{"--topic=a/b", `--payload={"t":31}`, "--template=x/${topic(1)}/${t}/$$"}, 0, "x/a/31/$", ""},
		{"template refused", []string{"--payload={}", "--template=x/${t"}, 2, "", "1:3: ${ has no closing }\n    x/${t\n      ^"},
		{"template and statement", []string{"--payload={}", "--template=x", "SELECT 1"}, 2, "", "topicwire: give a statement or --template, not both"},
		{"neither", []string{"--payload={}"}, 2, "", "topicwire: give a statement, or a template with --template"},
		{"empty template", []string{"--payload={}", "--template="}, 0, "", ""},
		{"empty payload", []string{"--payload=", "SELECT *, 1 AS a FROM 't'"}, 0, `{"a":1}`, ""},
		{"payload with a minus", []string{"--payload=-5", "SELECT VALUE * FROM 't'"}, 0, "-5", ""},
		{"bytes from a file", []string{"--payload-file", file, "SELECT * FROM 't'"}, 0, "\x01\x02", ""},
		{"bytes from standard input", []string{"--payload-file=-", "SELECT * FROM 't'"}, 0, "from stdin", ""},
		{"not over MQTT", []string{"--payload={}", "SELECT clientid() AS c, isUndefined(traceid()) AS t, isUndefined(sourceip()) AS s, isUndefined(principal()) AS p FROM 't'"}, 0, `{"c":"n/a","t":true,"s":true,"p":true}`, ""},
		{"over MQTT", []string{"--client-id=c1", "--principal=p1", "--source-ip=192.0.2.1", "--payload={}", "SELECT clientid() AS c, isUndefined(traceid()) AS t, sourceip() AS s, principal() AS p FROM 't'"}, 0, `{"c":"c1","t":false,"s":"192.0.2.1","p":"p1"}`, ""},
		{"properties", []string{"--user-property", "k=v=1,2", "--user-property=k=", "--content-type=text/plain", "--response-topic=r", "--correlation-data=cid", "--payload-format=utf8", "--payload={}", "SELECT get_user_properties() AS u, get_mqtt_property('content_type') AS c, get_mqtt_property('response_topic') AS r, get_mqtt_property('correlation_data') AS d, get_mqtt_property('format_indicator') AS f FROM 't'"}, 0, `{"u":[{"k":"v=1,2"},{"k":""}],"c":"text/plain","r":"r","d":"Y2lk","f":"UTF8_DATA"}`, ""},
		{"no properties", []string{"--payload={}", "SELECT get_user_properties('k') AS u, get_mqtt_property('correlation_data') AS d, get_mqtt_property('format_indicator') AS f FROM 't'"}, 0, `{"f":"UNSPECIFIED_BYTES"}`, ""},
		{"a property without =", []string{"--user-property=k", "--payload={}", "SELECT 1"}, 2, "", `topicwire: --user-property "k": expected KEY=VALUE`},
		{"a wrong address", []string{"--source-ip=here", "--payload={}", "SELECT 1"}, 2, "", `topicwire: --source-ip: ParseAddr("here"): unable to parse IP`},
		{"a failure outside", []string{"--payload={}", "SELECT aws_lambda('f', 1) FROM 't'"}, 1, "", "topicwire: aws_lambda('f'): rules eval calls no functions"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, stdout, stderr := eval(t, "from stdin", c.args...)
			if code != c.code || stdout != c.stdout || stderr != c.stderr {
				t.Errorf("got %d, %q, %q, want %d, %q, %q", code, stdout, stderr, c.code, c.stdout, c.stderr)
			}
		})
	}
}

func TestRulesEvalNeedsAPayload(t *testing.T) {
	for _, args := range [][]string{{"SELECT 1"}, {"--payload=a", "--payload-file=b", "SELECT 1"}} {
		if code, _, stderr := eval(t, "", args...); code != 2 || !strings.Contains(stderr, "payload") {
			t.Errorf("%v: got %d, %q", args, code, stderr)
		}
	}
}
