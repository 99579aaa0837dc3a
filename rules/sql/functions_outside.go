package sql

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// ErrTransformSize is what Run returns if transform() gives more than 128 KiB.
var ErrTransformSize = errors.New("transform() gives more than 128 KiB")

// ErrNotJSON is what Run returns if a function answers aws_lambda() with something
// that is not JSON.
var ErrNotJSON = errors.New("the answer is not JSON")

// lambdaTimeout is how long aws_lambda() waits. [AWS]
const lambdaTimeout = 2 * time.Second

// outsideFunctions call something that is not here. If it fails the run fails, unless
// get_or_default stands around the call.
func outsideFunctions() []Function {
	return []Function{
		{
			Name: "aws_lambda", Signature: "aws_lambda(function, input)",
			Text:     "Calls a function, by its ARN or by the name it is declared under, with the input as JSON, and waits up to two seconds for its answer, which must be JSON.",
			Examples: []Example{{"aws_lambda('arn:aws:lambda:eu-central-1:123456789012:function:double', {'n': 21}).n", "42"}, {"get_or_default(aws_lambda('arn:aws:lambda:eu-central-1:123456789012:function:broken', 1), 'none')", `"none"`}, {"aws_lambda(1)", ""}},
			min:      2, max: 2, params: []param{stringOnly, anything}, outside: true,
			call: callLambda,
		},
	}
}

func callLambda(in *Input, a []value, _ *memo) value {
	if in.err != nil {
		return undefined
	}
	payload := in.appendJSON(nil, a[1])
	if in.err != nil {
		return undefined
	}
	ctx, cancel := context.WithTimeout(in.ctx, lambdaTimeout)
	defer cancel()
	answer, err := in.env.Invoke(ctx, a[0].s, payload)
	if err != nil {
		return in.fail(fmt.Errorf("aws_lambda(%s): %w", quoted(shorten(a[0].s, 200)), err))
	}
	if !in.spend(len(answer)) {
		return undefined
	}
	s := string(answer)
	start, end, as, ok := validate(s)
	if !ok {
		return in.fail(fmt.Errorf("aws_lambda(%s): %w", quoted(shorten(a[0].s, 200)), ErrNotJSON))
	}
	return jsonValue(s[start:end], as, in.whole)
}
