package app

import (
	"testing"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/rules"
)

func TestLineToTry(t *testing.T) {
	rule := func(name, sql string, actions ...action.Config) bridge.RuleConfig {
		return bridge.RuleConfig{Definition: rules.Definition{Name: name, SQL: sql}, Actions: actions}
	}
	answers := action.Config{Lambda: &action.LambdaConfig{FunctionArn: "arn:aws:lambda:eu-central-1:123456789012:function:f"}}
	republish := action.Config{Republish: &action.RepublishConfig{Topic: "b"}}
	for _, c := range []struct {
		name, mqtt string
		rules      []bridge.RuleConfig
		want       string
	}{
		{"no rules", "127.0.0.1:1883", nil, `topicwire sub -v -t '#'`},
		{"nothing answers", "127.0.0.1:1883", []bridge.RuleConfig{rule("r", "SELECT * FROM 'a/+'", republish)}, `topicwire pub -t a/ada -m '{"n":1}'`},
		{
			"the second answers", "127.0.0.1:1884",
			[]bridge.RuleConfig{rule("r", "SELECT * FROM 'a/+'", republish), rule("s", "SELECT * FROM 'b/#'", answers)},
			`topicwire request -p 1884 -t b/ada -m '{"n":1}'`,
		},
		{"reserved topics are not for people", "10.0.0.1:1883", []bridge.RuleConfig{rule("r", "SELECT * FROM '$aws/x'", answers)}, `topicwire sub -h 10.0.0.1 -v -t '#'`},
		{"no MQTT listener", "", nil, ""},
	} {
		cfg := &config.Config{Rules: c.rules}
		program, err := bridge.Compile(c.rules, nil)
		if err != nil {
			t.Fatal(c.name, err)
		}
		if got := try("topicwire", cfg, program, c.mqtt); got != c.want {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// Who has to show credentials is told how; what takes more than a password is left out.
func TestLineToTryWithCredentials(t *testing.T) {
	for _, c := range []struct {
		mqtt    string
		methods []auth.MethodConfig
		who     string
		want    string
	}{
		{"[::]:1883", []auth.MethodConfig{{Password: &auth.PasswordConfig{}}}, "whom auth.methods know: password", `topicwire sub -u USER -P PASSWORD -v -t '#'`},
		{"0.0.0.0:1884", []auth.MethodConfig{{JWT: &auth.JWTConfig{}}, {Password: &auth.PasswordConfig{}}}, "whom auth.methods know: jwt, password", `topicwire sub -p 1884 -u USER -P PASSWORD -v -t '#'`},
		{"127.0.0.1:1883", []auth.MethodConfig{{X509: &auth.X509Config{}}}, "whom auth.methods know: x509", ""},
		{"127.0.0.1:1883", []auth.MethodConfig{{Anonymous: &auth.AnonymousConfig{}}}, "whom auth.methods know: anonymous", `topicwire sub -v -t '#'`},
		{"127.0.0.1:1883", nil, "everybody, from this machine", `topicwire sub -v -t '#'`},
	} {
		cfg := &config.Config{}
		cfg.Auth.Methods = c.methods
		program, err := bridge.Compile(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := try("topicwire", cfg, program, c.mqtt); got != c.want {
			t.Errorf("%s: %s, want %s", c.mqtt, got, c.want)
		}
		if got := whoMayConnect(cfg); got != c.who {
			t.Errorf("%s: %s, want %s", c.mqtt, got, c.who)
		}
	}
}
