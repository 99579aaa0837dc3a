package rulesimport_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/internal/rulesimport"
)

// cfn is a template with one rule: its payload, and what else there is.
func cfn(payload, more string) string {
	return "Resources:\n  R:\n    Type: AWS::IoT::TopicRule\n    Properties:\n      TopicRulePayload:\n        " +
		strings.ReplaceAll(payload, "\n", "\n        ") + "\n" + more
}

// problems are files that cannot be imported, and what is said about it, without the
// source lines.
var problems = []struct{ name, text, want string }{
	{"empty", "", "f:1:1: this is no CloudFormation template, no serverless.yml, no output of terraform show -json and no TopicRulePayload; name its format with --from"},
	{"no rules", "Resources: {A: {Type: AWS::S3::Bucket}}", "there is no rule in what was read"},
	{"bad YAML", "a: [1", "f:1:4: not valid YAML: sequence end token ']' not found; correct it"},
	{"bad JSON", `{"a": 1,}`, "f:1:9: not valid JSON: invalid character '}' looking for beginning of object key string; correct it"},
	{"key twice in JSON", `{"a": 1, "a": 2}`, "f:1:16: not valid JSON: the key a stands twice in the object before this place; correct it"},
	{"cut JSON", `{"a": [1`, "f:1:9: not valid JSON: it ends too early; correct it"},
	{"deep", strings.Repeat("[", 300), "f:1:203: not valid JSON: nested more than 200 levels deep; correct it"},
	{"key twice", "Resources: {}\nResources: {}", "f:2:1: the key Resources stands here twice; remove one of them"},
	{
		"every missing parameter", cfn("Sql: !Sub SELECT * FROM '${Stage}/${Room}/${Stage}'\nActions:\n  - Republish: {Topic: !Sub '${AWS::StackName}/${Room}', RoleArn: !Ref NeverAsked}", ""),
		"f:6:19: rule R: sql: Stage has no value; give --param Stage=VALUE\n" +
			"f:6:19: rule R: sql: Room has no value; give --param Room=VALUE\n" +
			"f:8:37: rule R: actions[0].republish.topic: AWS::StackName has no value; give --param AWS::StackName=VALUE",
	},
	{
		"stand-ins are not let out", cfn("Sql: SELECT * FROM 'a'\nActions:\n  - Lambda: {FunctionArn: !Sub 'arn:aws:lambda:${AWS::Region}:${AWS::AccountId}:function:other'}", ""),
		"f:8:40: rule R: actions[0].lambda.functionArn: AWS::Region has no value; give --param AWS::Region=VALUE\n" +
			"f:8:40: rule R: actions[0].lambda.functionArn: AWS::AccountId has no value; give --param AWS::AccountId=VALUE",
	},
	{
		"attributes, exports, secrets", cfn("Sql: SELECT * FROM 'a'\nActions:\n  - Http: {Url: !GetAtt Api.Url}\n  - Http: {Url: !ImportValue hook}\n  - Http: {Url: '{{resolve:ssm:/hook}}'}\n  - Http: {Url: !Ref Hook}", "Parameters:\n  Hook: {Type: 'AWS::SSM::Parameter::Value<String>', Default: /hook}"),
		"f:8:25: rule R: actions[0].http.url: Api.Url has no value; give --param Api.Url=VALUE\n" +
			"f:9:25: rule R: actions[1].http.url: hook has no value; give --param hook=VALUE\n" +
			"f:10:25: rule R: actions[2].http.url: resolve:ssm:/hook has no value; give --param resolve:ssm:/hook=VALUE\n" +
			"f:11:25: rule R: actions[3].http.url: Hook has no value; give --param Hook=VALUE",
	},
	{
		"a template inside Sub", cfn("Sql: !Sub SELECT * FROM 'a'\nActions:\n  - Republish: {Topic: !Sub 'a/${topic(2)}'}", ""),
		"f:8:37: rule R: actions[0].republish.topic: ${topic(2)} stands inside Fn::Sub, which takes names alone; write ${!topic(2)} for a substitution template of AWS IoT",
	},
	{"unknown intrinsic", cfn("Sql: !Cidr [a]", ""), "f:6:14: rule R: sql: Fn::Cidr cannot be worked out here; write out what it comes to"},
	{"bad intrinsic", cfn("Sql: !Join [a]", ""), "f:6:14: rule R: sql: Fn::Join does not have its form; write Fn::Join: [separator, [text, ...]]"},
	{"bad index", cfn("Sql: !Select [2, [a, b]]", ""), "f:6:14: rule R: sql: Fn::Select has no item 2 to select; write an index that the list has"},
	{"bad map", cfn("Sql: !FindInMap [a, b, c]", ""), "f:6:14: rule R: sql: Mappings has no a.b.c; add it, or give another key"},
	{"conditions in a circle", cfn("Sql: !If [A, b, c]", "Conditions: {A: !Not [!Condition B], B: !Condition A}"), "f:7:52: rule R: sql: the condition A needs itself; take the circle apart"},
	{"no such condition", cfn("Sql: !If [A, b, c]", ""), "f:6:19: rule R: sql: there is no condition A; declare it under Conditions"},
	{"region decides", cfn("Sql: !If [A, b, c]", "Conditions: {A: !Equals [!Ref 'AWS::Region', us-east-1]}"), "f:7:26: rule R: sql: AWS::Region has no value; give --param AWS::Region=VALUE"},
	{"a list for text", cfn("Sql: [a]", ""), "f:6:14: rule R: sql: is a list, and text is wanted; write text"},
	{
		"unsupported actions", cfn("Sql: SELECT * FROM 'a'\nActions:\n  - S3: {BucketName: b}\n  - Http: {Url: 'http://a/', EnableBatching: true}\nErrorAction: {Sqs: {QueueUrl: q}}", ""),
		"f:8:13: rule R: actions[0]: topicwire has no action s3; take it out, or leave it out with --skip-unsupported\n" +
			"f:9:13: rule R: actions[1]: http.enableBatching: batches are not supported: set it to false: every message is a request of its own; take it out, or leave it out with --skip-unsupported\n" +
			"f:10:23: rule R: errorAction: topicwire has no action sqs; take it out, or leave it out with --skip-unsupported",
	},
	{
		"an action and the statement", cfn("Sql: SELECT uper(a) FROM 'a'\nActions: [{S3: {BucketName: b}}]", ""),
		"f:7:20: rule R: actions[0]: topicwire has no action s3; take it out, or leave it out with --skip-unsupported\n" +
			"f:6:14: rule R: sql: unknown function uper(): did you mean upper()? (line 1, column 8 of the text); correct it",
	},
	{
		"a function's condition", "service: s\nprovider: {name: aws}\nfunctions:\n  f: {condition: C, events: [{iot: {sql: SELECT * FROM 'a'}}]}\nresources: {Conditions: {C: !Equals [!Ref Stage, prod]}, Parameters: {Stage: {Type: String}}}",
		"f:5:38: rule of function f: condition C: Stage has no value; give --param Stage=VALUE",
	},
	{"two actions in one", cfn("Sql: SELECT * FROM 'a'\nActions: [{S3: {}, Sqs: {}}]", ""), "f:7:19: rule R: actions[0]: an action is an object with one key, its kind; write one action an object"},
	{"unknown key", cfn("Sql: SELECT * FROM 'a'\nSq: 1", ""), "f:7:9: rule R: there is no sq here; remove it"},
	{"unknown property", cfn("Sql: SELECT * FROM 'a'", "      RulName: x\n      Tags: [{Key: a, Value: b}]"), "f:7:7: rule R: a topic rule has no property RulName; correct its name, or remove it"},
	{
		"properties from elsewhere", "Resources:\n  R:\n    Type: AWS::IoT::TopicRule\n    Properties:\n      Fn::Transform: {Name: AWS::Include}",
		"f:5:7: rule R: Properties: Fn::Transform cannot be worked out here; write out what it comes to",
	},
	{
		"events from elsewhere", "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Events:\n        Fn::Transform: {Name: AWS::Include}",
		"f:6:9: the events of F cannot be worked out here; write them out as a map",
	},
	{
		"an event from elsewhere", "Resources:\n  F:\n    Type: AWS::Serverless::Function\n    Properties:\n      Events: {E: {Type: IoTRule, Properties: !Cidr [a]}}",
		"f:5:47: rule FE: Fn::Cidr cannot be worked out here; write out what it comes to",
	},
	{
		"a list of rules", `{"rules": [{"ruleName": "a", "topicPattern": "b", "ruleDisabled": false}]}`,
		"f:1:1: this is the output of aws iot list-topic-rules, which lacks the rules' statements; give that of aws iot get-topic-rule --rule-name NAME, for all of them one behind the other",
	},
	{"empty document", "sql: SELECT * FROM 'a'\n---\n# nothing\n\n---\nsql: SELECT * FROM 'b'", "f:5:1: a second line of dashes with nothing between; remove it"},
	{"more behind", `{"sql": "SELECT * FROM 'a'"} ]`, "f:1:30: not valid JSON: there is something after the end of the JSON value; correct it"},
	{"no sql", cfn("Description: a", ""), "f:2:3: rule R: sql: the rule has none; write SELECT * FROM 'TOPIC/FILTER'"},
	{"bad sql", cfn("Sql: SELECT uper(a) FROM 'a'\nAwsIotSqlVersion: '2016-03-23'", ""), "f:6:14: rule R: sql: unknown function uper(): did you mean upper()? (line 1, column 8 of the text); correct it"},
	{"bad template", cfn("Sql: SELECT * FROM 'a'\nActions: [{Republish: {Topic: 'a/${'}}]", ""), "f:7:39: rule R: actions[0].republish.topic: expected an expression, found the end (line 1, column 5 of the text); correct it"},
	{"bad truth", cfn("Sql: SELECT * FROM 'a'\nRuleDisabled: maybe", ""), `f:7:23: rule R: ruleDisabled: "maybe" is neither true nor false; write true or false`},
	{"reference of ours", cfn("Sql: SELECT * FROM 'a'\nDescription: '${env:A}'", ""), "f:7:22: rule R: description: ${env:...} is a reference in topicwire's configuration, and something else here; write it in another way"},
	{
		"two rules of a name", "- {ruleName: a, sql: SELECT * FROM 'a'}\n- {ruleName: a, sql: SELECT * FROM 'a'}",
		"f:2:3: there are two rules named a; rename one of them: the other is at f:1:3",
	},
	{"for each", cfn("Sql: SELECT * FROM 'a'", "  Fn::ForEach::X: [A, [b], {}]"), "f:7:3: Fn::ForEach::X makes resources that only AWS knows; import the processed template: aws cloudformation get-template --template-stage Processed"},
	{
		"serverless", "service: s\nprovider: {name: aws}\nfunctions:\n  f:\n    events:\n      - iot: {sql: \"SELECT * FROM '${opt:stage}/${ssm:/a}'\"}\n      - iot: {sql: \"${self:custom.a}\"}\n      - ${file(e.yml)}\ncustom: {a: '${self:custom.a}'}",
		"f:8:9: rule of function f, events[2]: ${file(e.yml)} is in another file; put everything into one file, serverless print > all.yml, and import that\n" +
			"f:6:20: rule FIotTopicRule1: sql: opt:stage has no value; give --param opt:stage=VALUE\n" +
			"f:6:20: rule FIotTopicRule1: sql: ssm:/a has no value; give --param ssm:/a=VALUE\n" +
			"f:9:13: rule FIotTopicRule2: sql: ${self:custom.a} needs itself; take the circle apart",
	},
	{
		"terraform", `{"format_version":"1.0","planned_values":{"root_module":{"resources":[{"address":"aws_iot_topic_rule.r","type":"aws_iot_topic_rule","name":"r","values":{"name":"r","sql":"SELECT * FROM 'a'","enabled":true,"sqs":[{}]}}]}},"configuration":{"root_module":{"resources":[{"type":"aws_iot_topic_rule","name":"r","expressions":{"sqs":[{"queue_url":{"references":["aws_sqs_queue.q"]}}]}}]}}}`,
		"f:1:206: rule r: actions[0]: topicwire has no action sqs; take it out, or leave it out with --skip-unsupported",
	},
}

func TestProblems(t *testing.T) {
	t.Parallel()
	for _, tt := range problems {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			r, err := rulesimport.Import([]rulesimport.File{{Name: "f", Data: []byte(tt.text)}}, rulesimport.Options{})
			if err == nil {
				t.Fatalf("it was imported:\n%s", r.YAML)
			}
			if d := cmp.Diff(tt.want, withoutSource(err.Error())); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
		})
	}
}

// withoutSource drops the source lines and carets.
func withoutSource(text string) string {
	var lines []string
	for l := range strings.SplitSeq(text, "\n") {
		if !strings.HasPrefix(l, "    ") {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n")
}

// TestSkip leaves out actions, and a rule that cannot run here at all.
func TestSkip(t *testing.T) {
	t.Parallel()
	text := `[{"ruleName":"a","sql":"SELECT * FROM 'a'","awsIotSqlVersion":"2016-03-23","actions":[{"s3":{}}]},
{"ruleName":"b","sql":"SELECT get_thing_shadow('a','b') FROM 'a'","actions":[]}]`
	r, err := rulesimport.Import([]rulesimport.File{{Name: "f", Data: []byte(text)}}, rulesimport.Options{SkipUnsupported: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"# actions[0] is left out: topicwire has no action s3\n", "# The rule b is left out: sql: "} {
		if !strings.Contains(string(r.YAML), want) {
			t.Errorf("there is no %q in\n%s", want, r.YAML)
		}
	}
	if len(r.Warnings) != 2 {
		t.Errorf("warnings: %v", r.Warnings)
	}
	if c := load(t, string(r.YAML), ""); len(c.Rules) != 1 || c.Rules[0].Name != "a" {
		t.Errorf("rules: %+v", c.Rules)
	}
}
