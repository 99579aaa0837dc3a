package function

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// streamPath is the beginning of the path of an invocation whose answer is streamed.
// (https://docs.aws.amazon.com/lambda/latest/api/API_InvokeWithResponseStream.html)
const streamPath = "/2021-11-15/functions/"

// errStreamCut: the connection ended before the event that says how the function ended.
var errStreamCut = errors.New("the stream broke off before its end")

// stream makes one invocation whose answer comes in pieces.
func (f *awsFunction) stream(ctx context.Context, call Call, payload []byte) error {
	in := &lambda.InvokeWithResponseStreamInput{FunctionName: &f.name, Qualifier: f.qualifier, Payload: payload}
	if cc := encodeClientContext(call); cc != "" {
		in.ClientContext = &cc
	}
	if f.tail || call.Tail != nil {
		in.LogType = types.LogTypeTail
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the connection if not all of it is read
	out, err := f.client.InvokeWithResponseStream(ctx, in)
	if err != nil {
		return awsError(err)
	}
	events := out.GetStream()
	defer events.Close() //nolint:errcheck // the stream's own error is looked at
	total := 0
	text := wholeRunes{take: call.Stream}
	var end *types.InvokeWithResponseStreamCompleteEvent
	for event := range events.Events() {
		switch e := event.(type) {
		case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
			if total += len(e.Value.Payload); total > MaxStream {
				return ErrStreamTooLarge
			}
			if err := text.piece(e.Value.Payload); err != nil {
				return err
			}
		case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
			end = &e.Value
		}
	}
	if err := text.end(); err != nil {
		return err
	}
	if err := events.Err(); err != nil {
		return awsError(err)
	}
	if end == nil {
		if err := ctx.Err(); err != nil {
			return err
		}
		return errStreamCut
	}
	f.tailed(call, end.LogResult)
	if code := aws.ToString(end.ErrorCode); code != "" {
		own := parseError([]byte(aws.ToString(end.ErrorDetails)))
		if own.Type == "" {
			own.Type = code
		}
		if own.Message == "" {
			own.Message = strings.TrimSpace(string(own.Payload))
		}
		return own
	}
	return nil
}

// tailed hands on the end of a function's log.
func (f *awsFunction) tailed(call Call, result *string) {
	if result == nil {
		return
	}
	if f.tail {
		f.logTail(call, result)
	}
	if call.Tail != nil {
		if tail, err := base64.StdEncoding.DecodeString(*result); err == nil {
			call.Tail(tail)
		}
	}
}

// ErrNoStream says that an answer was to be streamed and the endpoint cannot do it.
var ErrNoStream = fmt.Errorf("%w: this endpoint does not stream answers; remove stream from the rule's reply", ErrUnavailable)
