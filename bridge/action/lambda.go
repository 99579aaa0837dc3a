package action

import (
	"context"
	"errors"
	"time"

	"github.com/topicwire/topicwire/rules/sql"
)

var errNoFunction = errors.New("the template gives no function's name")

// LambdaConfig invokes a function. functionArn is AWS's; the other fields are ours.
// (https://docs.aws.amazon.com/iot/latest/developerguide/lambda-rule-action.html)
type LambdaConfig struct {
	FunctionArn string        `yaml:"functionArn" jsonschema:"example=arn:aws:lambda:eu-central-1:123456789012:function:ingest" jsonschema_description:"The function: a name or ARN declared under functions, or the ARN of a real Lambda function. Takes ${} templates."`
	Function    string        `yaml:"function" jsonschema:"example=ingest" jsonschema_description:"The same as functionArn, shorter."`
	Reply       *ReplyConfig  `yaml:"reply" jsonschema_description:"Where to publish what the function answers. Left out, it goes to the message's Response Topic."`
	Timeout     time.Duration `yaml:"timeout" jsonschema:"example=5s" jsonschema_description:"How long to wait for the answer; left out, as long as the function's own limit says."`
}

func (l *LambdaConfig) check(report Report) {
	switch {
	case l.FunctionArn == "" && l.Function == "":
		report("", "names no function", "add function: NAME or functionArn: ARN")
	case l.FunctionArn != "" && l.Function != "":
		report("function", "functionArn is given too", "keep one of them: they mean the same")
	}
	if l.Timeout < 0 {
		report("timeout", "is negative", "write a duration such as 5s")
	}
	l.Reply.check("reply", report)
}

// lambdaAction is a compiled LambdaConfig.
type lambdaAction struct {
	source   string
	function field
	reply    *reply
	timeout  time.Duration
}

func (l *LambdaConfig) compile(c *compiler) renderer {
	path, source := "function", l.Function
	if source == "" {
		path, source = "functionArn", l.FunctionArn
	}
	return &lambdaAction{
		source:   source,
		function: c.field(path, source),
		reply:    c.reply("reply", l.Reply),
		timeout:  l.Timeout,
	}
}

// LambdaSpec is a rendered lambda action.
type LambdaSpec struct {
	Function string        `json:"function"`
	Reply    *ReplySpec    `json:"reply,omitempty"`
	Timeout  time.Duration `json:"timeout,omitempty"` // nanoseconds
}

func (a *lambdaAction) resource() string { return a.source }

func (a *lambdaAction) render(ctx context.Context, in *sql.Input) (Spec, error) {
	function, err := a.function.render(ctx, in)
	if err == nil && function == "" {
		err = errRender(a.function.path, errNoFunction)
	}
	if err != nil {
		return Spec{}, err
	}
	reply, err := a.reply.render(ctx, in)
	if err != nil {
		return Spec{}, err
	}
	return Spec{Lambda: &LambdaSpec{Function: function, Reply: reply, Timeout: a.timeout}}, nil
}

func (l *LambdaSpec) queue(_ string) string { return l.Function }

func (l *LambdaSpec) resource() string { return l.Function }

func (l *LambdaSpec) do(ctx context.Context, s *Services, t *Task) (Result, error) {
	return s.replied(ctx, t, l.Reply, l.Timeout, func(ctx context.Context) ([]byte, error) {
		return s.Functions.Invoke(ctx, l.Function, t.Payload)
	})
}

// To is the same work for another function: what an http action would have POSTed, or a
// republish action published, becomes the function's event.
func (s Spec) To(function string) Spec {
	l := &LambdaSpec{Function: function, Reply: s.reply()}
	if s.Lambda != nil {
		l.Timeout = s.Lambda.Timeout
	}
	return Spec{Lambda: l}
}
