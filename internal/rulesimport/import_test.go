package rulesimport_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/internal/rulesimport"
)

var update = flag.Bool("update", false, "write what came out into the golden files")

// templates are whole files as people write them; what they become is in want.yaml and
// want.txt beside them.
var templates = map[string]struct {
	file    string
	params  map[string]string
	skip    bool
	missing string // functions that the user has to declare
}{
	"sam": {file: "template.yaml", params: map[string]string{"Stage": "dev", "ReadingsTable": "readings"}},
	"sam_prod": {
		file:   "../sam/template.yaml",
		params: map[string]string{"Stage": "prod", "Queue": "https://sqs.example.com/q", "Stgae": "prod"}, skip: true,
	},
	"cdk":        {file: "Fleet.template.json", missing: "functions:\n  ReportC9D2E3F4: {http: \"http://127.0.0.1:1\"}\n"},
	"serverless": {file: "serverless.yml", params: map[string]string{"env:API_KEY": "a${b}"}},
	"serverless_prod": {
		file: "../serverless/serverless.yml", params: map[string]string{"opt:stage": "prod", "env:API_KEY": "x", "PlantsTable": "p"},
	},
	"terraform": {
		file:   "plan.json",
		params: map[string]string{`module.site["north"].aws_iot_topic_rule.count[0].lambda.function_arn`: "arn:aws:lambda:eu-central-1:123456789012:function:count"},
	},
	"payload": {file: "door_open.json"},
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	for name, tt := range templates {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := filepath.Join("testdata", name)
			path := filepath.Join(dir, filepath.FromSlash(tt.file))
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			r, err := rulesimport.Import([]rulesimport.File{{Name: path, Data: data}},
				rulesimport.Options{Params: tt.params, SkipUnsupported: tt.skip, Dir: dir})
			if err != nil {
				t.Fatal(err)
			}
			golden(t, filepath.Join(dir, "want.yaml"), string(r.YAML))
			golden(t, filepath.Join(dir, "warnings.txt"), r.Warnings.Error())
			load(t, string(r.YAML), tt.missing)
		})
	}
}

// golden compares with a file, or writes it.
func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got):\n%s", file, d)
	}
}

// load loads an imported configuration as the server would and compiles its rules.
func load(t *testing.T, text, missing string) *config.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "config.yaml")
	if missing != "" {
		text = strings.Replace(text, "functions:\n", missing, 1)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := config.LoadWith(path, func(string) (string, bool) { return "", false })
	if err != nil {
		t.Fatalf("does not load:\n%v\n%s", err, text)
	}
	if _, err := bridge.Compile(c.Rules, nil); err != nil {
		t.Fatalf("does not compile:\n%v", err)
	}
	return c
}

// TestEnvironment looks at what a function gets, which the loader has unescaped.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("testdata/serverless/serverless.yml")
	if err != nil {
		t.Fatal(err)
	}
	r, err := rulesimport.Import([]rulesimport.File{{Name: "serverless.yml", Data: data}},
		rulesimport.Options{Params: map[string]string{"env:API_KEY": "a${b}: #c\n\"\\"}})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"STAGE": "dev", "API_KEY": "a${b}: #c\n\"\\", "PREFIX": "garden-dev"}
	got := load(t, string(r.YAML), "").Functions["water-plants"]
	if d := cmp.Diff(want, got.Environment); d != "" {
		t.Error(d)
	}
	if got.Path != "." || got.Handler != "src/handlers/water.handler" {
		t.Errorf("the code is at %q, %q", got.Path, got.Handler)
	}
}

// TestDeployedNames: functions are also known by the names that they have on AWS, in
// actions and in statements.
func TestDeployedNames(t *testing.T) {
	t.Parallel()
	const text = `{"Resources":{
"Fn":{"Type":"AWS::Lambda::Function","Properties":{"FunctionName":"deployed","Code":"src","Runtime":"nodejs20.x"}},
"R":{"Type":"AWS::IoT::TopicRule","Properties":{"TopicRulePayload":{
"Sql":"SELECT aws_lambda('arn:aws:lambda:eu-west-1:123456789012:function:deployed', *) AS a FROM 'a'","AwsIotSqlVersion":"2016-03-23",
"Actions":[{"Lambda":{"FunctionArn":"arn:aws:lambda:eu-west-1:123456789012:function:deployed:3"}},
{"Lambda":{"FunctionArn":"arn:aws:lambda:eu-west-1:123456789012:function:deployed2"}}]}}}}}`
	r, err := rulesimport.Import([]rulesimport.File{{Name: "t.json", Data: []byte(text)}}, rulesimport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	rule := load(t, string(r.YAML), "").Rules[0]
	if want := "SELECT aws_lambda('arn:aws:lambda:eu-west-1:123456789012:function:Fn', *) AS a FROM 'a'"; rule.SQL != want {
		t.Errorf("sql: %s", rule.SQL)
	}
	if a := rule.Actions[0].Lambda; a.Function != "Fn" || a.FunctionArn != "" {
		t.Errorf("first action: %+v", a)
	}
	if a := rule.Actions[1].Lambda; a.Function != "" || a.FunctionArn != "arn:aws:lambda:eu-west-1:123456789012:function:deployed2" {
		t.Errorf("second action: %+v", a)
	}
}

// TestMacros warns of what AWS would make of a template.
func TestMacros(t *testing.T) {
	t.Parallel()
	text := cfn("Sql: SELECT * FROM 'a'", "Transform: [AWS::Serverless-2016-10-31, AWS::LanguageExtensions, Mine, {Name: AWS::Include, Parameters: {Location: x}}]")
	r, err := rulesimport.Import([]rulesimport.File{{Name: "f", Data: []byte(text)}}, rulesimport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, w := range r.Warnings {
		got = append(got, w.Message)
	}
	want := []string{"the macro Mine changes this template at AWS, and has not been run", "the macro AWS::Include changes this template at AWS, and has not been run"}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}

// TestDescriptors warns of what a rule needs besides.
func TestDescriptors(t *testing.T) {
	t.Parallel()
	text := `{"ruleName":"a","sql":"SELECT decode(*, 'proto', 'b', 'k', 'f', 'M') AS m FROM 'a'","awsIotSqlVersion":"2016-03-23","actions":[]}`
	r, err := rulesimport.Import([]rulesimport.File{{Name: "f", Data: []byte(text)}}, rulesimport.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0].Remedy, "rules.descriptors") {
		t.Errorf("got %v", r.Warnings)
	}
}

// TestStream reads what several calls of the AWS CLI write one behind the other, in
// JSON and in YAML.
func TestStream(t *testing.T) {
	t.Parallel()
	rule := func(name string) string {
		return `{"ruleArn":"arn:aws:iot:eu-central-1:123456789012:rule/` + name + `","rule":{"ruleName":"` + name +
			`","sql":"SELECT * FROM '` + name + `'","createdAt":"2024-01-01T00:00:00+00:00","actions":[],"ruleDisabled":false,"awsIotSqlVersion":"2016-03-23"}}`
	}
	for name, text := range map[string]string{
		"JSON": rule("a") + "\n" + rule("b") + "\n" + rule("c") + "\n",
		"YAML": "--- # first\n" + rule("a") + "\n---\n" + rule("b") + "\n---\n" + rule("c") + "\n",
	} {
		r, err := rulesimport.Import([]rulesimport.File{{Name: "rules", Data: []byte(text)}}, rulesimport.Options{})
		if err != nil || r.Rules != 3 {
			t.Errorf("%s: got %+v, %v", name, r, err)
			continue
		}
		for _, want := range []string{"- name: a\n", "- name: b\n", "- name: c\n"} {
			if !strings.Contains(string(r.YAML), want) {
				t.Errorf("%s: there is no %q in\n%s", name, want, r.YAML)
			}
		}
	}
}
