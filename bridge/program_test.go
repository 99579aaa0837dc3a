package bridge_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/rules/sql"
)

func TestCompileSaysEverythingThatIsWrong(t *testing.T) {
	_, err := bridge.Compile([]bridge.RuleConfig{
		rule("good", "SELECT * FROM 'a'", lambda("f")),
		rule("no-name", "SELECT * FROM 'a'"),
		rule("statement", "SELECT FROM 'a'"),
		rule("good", "SELECT * FROM 'a'", lambda("g"), republish("a/#")),
		withError(rule("templates", "SELECT * FROM 'a'", lambdaReply("f", "x/${}")), action.Config{Lambda: &action.LambdaConfig{FunctionArn: "h"}}),
	}, functions{"f": echo})
	var all bridge.RuleErrors
	if !errors.As(err, &all) {
		t.Fatalf("got %v", err)
	}
	type place struct {
		Index int
		Rule  string
		Path  string
	}
	got := []place{}
	for _, e := range all {
		got = append(got, place{e.Index, e.Rule, e.Path})
		if e.Problem == "" {
			t.Errorf("%+v says nothing", e)
		}
	}
	want := []place{
		{1, "no-name", "name"},
		{2, "statement", "sql"},
		{3, "good", "actions[0].lambda.function"},
		{3, "good", "actions[1].republish.topic"},
		{3, "good", "name"},
		{4, "templates", "actions[0].lambda.reply.topic"},
		{4, "templates", "errorAction.lambda.functionArn"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	for _, i := range []int{1, 5} {
		var at *sql.Error
		if !errors.As(all[i], &at) || at.Line != 1 {
			t.Errorf("%v does not lead to the place in the source", all[i])
		}
	}
}

func TestRuleConfigCheck(t *testing.T) {
	for name, c := range map[string]struct {
		rule bridge.RuleConfig
		want []string // paths
	}{
		"good":            {rule("r", "SELECT * FROM 'a'", lambdaReply("f", "${topic()}/reply")), nil},
		"no name yet":     {rule("", "SELECT * FROM 'a'"), nil},
		"wrong name":      {rule("a b", "SELECT * FROM 'a'"), []string{"name"}},
		"no statement":    {rule("r", ""), []string{"sql"}},
		"wrong statement": {rule("r", "SELECT FROM 'a'"), []string{"sql"}},
		"templates": {
			withError(rule("r", "SELECT * FROM 'a'", lambda("f"), lambdaReply("f", "${}")), republish("${}")),
			[]string{"actions[1].lambda.reply.topic", "errorAction.republish.topic"},
		},
		"eleven actions": {rule("r", "SELECT * FROM 'a'", make([]action.Config, 11)...), []string{"actions"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			c.rule.Check(func(path, problem, remedy string) {
				got = append(got, path)
				if problem == "" || remedy == "" {
					t.Errorf("%s: problem %q, remedy %q", path, problem, remedy)
				}
			})
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
