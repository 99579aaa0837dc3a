package config_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/topicwire/topicwire/internal/config"
)

// TestSchemaCorpus gives values of every sort to the loader and to the schema, which
// have to agree on them.
func TestSchemaCorpus(t *testing.T) {
	t.Parallel()
	s := compile(t, config.Schema)
	const rule = "rules: [{name: one, sql: SELECT * FROM 'a', actions: [%s]}]"
	for _, c := range []struct {
		template  string
		good, bad []string
	}{
		{
			"limits: {connect_timeout: %s}",
			[]string{"3s", "5000ms", "1h30m", "7d", "1d12h", "0", "1.5h", `"${PORT}s"`, `"3s"`},
			[]string{"3", "soon", "3 s", "-", `""`, "true", "[3s]", "{}", "1d1d", "5x", "~", "1.5"},
		},
		{
			"limits: {max_packet_size: %s}",
			[]string{"1024", "128KB", "1 MB", "1.5MiB", "200m", `"512"`, "512B", `"${PORT}"`},
			[]string{"lots", "128XB", "-1", "1.5", "true", "[1]", "~", "KB"},
		},
		{
			"limits: {max_topic_levels: %s}",
			[]string{"1", "128", `"${PORT}"`, "5.0"},
			[]string{`"5"`, "many", "1.5", "-1", "true", "[]", "~"},
		},
		{
			"limits: {max_qos: %s}",
			[]string{"0", "1", "2"},
			[]string{"3", "-1", "one", "~"},
		},
		{
			"log: {level: %s}",
			[]string{"info", `"debug"`, `"${NONE:-warn}"`},
			[]string{"verbose", "5", "true", "[info]", "~", "INFO"},
		},
		{
			"functions: {f: {http: \"http://127.0.0.1/\", headers: %s}}",
			[]string{"{a: b}", "{a: 1}", "{a: true}", "{}", "~"},
			[]string{"[a]", "a", "{a: [b]}", "{a: {b: c}}", "{a: ~}"},
		},
		{
			"functions: {f: %s}",
			[]string{"{lambda: x}", "{http: \"http://x/\"}", "{runtime: go, path: x}", "{lambda: 12}"},
			[]string{"{}", "~", "x", "[]", "{lambda: x, http: \"http://x/\"}", "{runtim: go, path: x}", "{lambda: ~}"},
		},
		{
			"listen: {mqtt: %s}",
			[]string{"127.0.0.1:1883", `["127.0.0.1:1883", "127.0.0.1:1884"]`, `"127.0.0.1:${PORT}"`},
			[]string{"{host: x}", "[[x]]", "[{a: b}]", "~"},
		},
		{"listen: {http: 127.0.0.1:1, websocket: {allow_no_subprotocol: %s}}", []string{"true", "false", `"${NONE:-true}"`}, []string{`"true"`, "yes", "1", "~", "[]"}},
		{"listen: {http: 127.0.0.1:1, websocket: {allowed_origins: %s}}", []string{"[]", "[\"*\"]", "~"}, []string{"\"*\"", "{a: b}", "[[a]]", "[~]"}},
		{"listen: %s", []string{"~", "{mqtt: 127.0.0.1:1}"}, []string{"x", "[]", "{mqqt: 127.0.0.1:1, mqtt: 127.0.0.1:1}"}},
		{
			"rules: %s",
			[]string{
				"~", "[]", "{}", "[{name: a, sql: SELECT 1 FROM 'a'}]", "{a: {sql: SELECT 1 FROM 'a'}}",
				"[{ruleName: a, topicRulePayload: {sql: SELECT 1 FROM 'a'}}]", "[{topicRulePayload: {name: a, sql: SELECT 1 FROM 'a'}}]",
				"[{ruleName: a, sql: SELECT 1 FROM 'a'}]", "[{name: a, sql: SELECT 1 FROM 'a', actions: ~}]",
				"{strict: true, a: {sql: SELECT 1 FROM 'a'}}", "{strict: false, list: [{name: a, sql: SELECT 1 FROM 'a'}]}",
				"{strict: {sql: SELECT 1 FROM 'a'}, list: {sql: SELECT 1 FROM 'a'}}", "{sql_failures: log, integer_division: decimal}",
			},
			[]string{
				"x", "[x]", "[~]", "{a: ~}", "[{sql: SELECT 1 FROM 'a'}]", "[{name: a}]", "[{name: a b, sql: SELECT 1 FROM 'a'}]",
				"[{topicRulePayload: {sql: SELECT 1 FROM 'a'}}]", "[{name: a, topicRulePayload: {sqll: SELECT 1 FROM 'a'}}]",
				"[{name: a, sql: SELECT 1 FROM 'a', x-note: 1}]",
				"{strict: yes}", "{sql_failures: never}", "{integer_division: [decimal]}", "{list: [{sql: SELECT 1 FROM 'a'}]}", "{stricter: true}",
			},
		},
		{
			rule,
			[]string{
				"{republish: {topic: a}}", "{republish: {topic: a, qos: 1}}", "{republish: {topic: a, qos: \"1\"}}", "{lambda: {function: \"f-${topic()}\"}}",
				"{http: {url: \"http://x/\", headers: [{key: a, value: b}]}}", "{republish: {topic: a, headers: {userProperties: [{key: a, value: b}]}}}",
			},
			[]string{
				"{}", "~", "x", "{republish: {}}", "{republish: {topic: a}, http: {url: \"http://x/\"}}", "{s3: {}}",
				"{republish: {topic: a, qos: [1]}}", "{http: {url: \"http://x/\", headers: {a: b}}}", "{republish: {topic: a, retain: true}}",
			},
		},
		{
			"rules: [{name: one, sql: SELECT * FROM 'a', tests: [%s]}]",
			[]string{
				"{topic: a, expect: {no_match: true}}", "{topic: a, payload: {b: ~}, now: 2026-01-31T12:00:00Z, expect: {payload: [1, x, {}]}}",
				"{topic: a, payload: \"${topic()}\", user_properties: {a: 1}, expect: {actions: []}}", "{name: 1, topic: a, payload: false, expect: {actions: [{lambda: {}}]}}",
			},
			[]string{"~", "x", "{}", "{topic: a}", "{expect: {no_match: true}}", "{topic: a, payload: ~, expect: {no_match: true}}", "{topic: a, expect: {paylod: 1, no_match: true}}"},
		},
		{
			"auth: {methods: [%s]}",
			[]string{
				"{anonymous: {}}", "{password: {file: a}}", "{jwt: {keys: [a.pem], algorithms: [RS256]}}", "{jwt: {keys: [a.pem], token: {password: true}, leeway: 30s}}",
				"{sigv4: {keys: [{id: AKIA1, secret: 01234567890123456789}]}}",
			},
			[]string{"{}", "~", "x", "{anonymous: {a: b}}", "{password: {}}", "{anonymous: {}, password: {file: a}}", "{jwt: {keys: a.pem}}", "{jwt: {keys: [a.pem], algorithms: [none]}}", "{kerberos: {}}"},
		},
		{"%s", []string{"x-anything: [1, 2]", "$schema: a", "{}"}, []string{"[]", "x", "unknown: 1"}},
	} {
		for i, text := range slices.Concat(c.good, c.bad) {
			doc := fmt.Sprintf(c.template, text)
			good := i < len(c.good)
			t.Run(doc, func(t *testing.T) {
				t.Parallel()
				path := filepath.Join(t.TempDir(), "config.yaml")
				writeFile(t, path, doc)
				if _, err := config.LoadWith(path, environment); (err == nil) != good {
					t.Errorf("the loader should say %v, and says: %v", good, err)
				}
				v, err := value(doc)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Validate(v); (err == nil) != good {
					t.Errorf("the schema should say %v, and says: %v", good, err)
				}
			})
		}
	}
}

// TestRuleSchemaCorpus is the same for rule files.
func TestRuleSchemaCorpus(t *testing.T) {
	t.Parallel()
	s := compile(t, config.RuleSchema)
	good := []string{
		"sql: SELECT 1 FROM 'a'",
		"name: a\nsql: SELECT 1 FROM 'a'",
		"$schema: x\nx-a: 1\nsql: SELECT 1 FROM 'a'",
		"- {name: a, sql: SELECT 1 FROM 'a'}\n- {name: b, sql: SELECT 1 FROM 'a'}",
		"rules: [{name: a, sql: SELECT 1 FROM 'a'}]",
		"rules: {a: {sql: SELECT 1 FROM 'a'}}",
		"$schema: x\nrules: []",
		`{"ruleName": "a", "topicRulePayload": {"sql": "SELECT 1 FROM 'a'"}}`,
	}
	bad := []string{
		"name: a",
		"name: a b\nsql: SELECT 1 FROM 'a'",
		"sql: SELECT 1 FROM 'a'\nfoo: 1",
		"- {sql: SELECT 1 FROM 'a'}\n- {sql: SELECT 1 FROM 'a'}",
		"rules: [{name: a}]",
		"rules: []\nother: 1",
		`{"ruleName": "a", "topicRulePayload": {"actions": []}}`,
		`{"ruleName": "a", "topicRulePayload": {"sql": "SELECT 1 FROM 'a'"}, "tags": "x"}`,
		"x",
	}
	for i, doc := range slices.Concat(good, bad) {
		good := i < len(good)
		t.Run(doc, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			writeFile(t, filepath.Join(dir, "config.yaml"), "rules_dir: rules")
			writeFile(t, filepath.Join(dir, "rules", "file.yaml"), doc)
			if _, err := config.LoadWith(filepath.Join(dir, "config.yaml"), environment); (err == nil) != good {
				t.Errorf("the loader should say %v, and says: %v", good, err)
			}
			v, err := value(doc)
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Validate(v); (err == nil) != good {
				t.Errorf("the schema should say %v, and says: %v", good, err)
			}
		})
	}
}
