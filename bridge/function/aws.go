package function

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/rs/zerolog"
)

// maxClientContext is the longest X-Amz-Client-Context that Lambda takes, in bytes of
// base64. (https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html)
const maxClientContext = 3583

// awsFunction is a real Lambda function, or one behind an endpoint that speaks
// Lambda's Invoke interface.
type awsFunction struct {
	client    *lambda.Client
	name      string
	qualifier *string
	tail      bool
	rie       *rie // what an endpoint may be; nil for AWS
	log       zerolog.Logger
}

// newAWS addresses a Lambda function. It makes no request.
func newAWS(ctx context.Context, c Config, clients *awsClients, poster *Poster, log zerolog.Logger) (*awsFunction, error) {
	t, err := parseTarget(c.Lambda)
	if err != nil {
		return nil, err
	}
	region := c.Region
	if region == "" {
		region = t.region
	}
	client, err := clients.get(ctx, awsPlace{endpoint: c.Endpoint, region: region}, log)
	if err != nil {
		return nil, err
	}
	f := &awsFunction{client: client, name: t.call(c.Endpoint != ""), tail: c.LogTail, log: log}
	if t.qualifier != "" {
		f.qualifier = &t.qualifier
	}
	if c.Endpoint != "" {
		f.rie = newRIE(c, poster, clients.turn(c.Endpoint))
	}
	return f, nil
}

// invoke makes one invocation.
func (f *awsFunction) invoke(ctx context.Context, payload []byte) ([]byte, error) {
	call := CallFrom(ctx)
	if call.Stream != nil {
		err := f.stream(ctx, call, payload)
		if f.rie != nil && unknownPath(err) {
			return nil, ErrNoStream
		}
		return nil, err
	}
	in := &lambda.InvokeInput{
		FunctionName: &f.name,
		Qualifier:    f.qualifier,
		Payload:      payload,
	}
	if cc := encodeClientContext(call); cc != "" {
		in.ClientContext = &cc
	}
	if f.tail || call.Tail != nil {
		in.LogType = types.LogTypeTail
	}
	answer, err := f.client.Invoke(ctx, in)
	if err != nil {
		return nil, awsError(err)
	}
	f.tailed(call, answer.LogResult)
	if answer.FunctionError != nil {
		return nil, parseError(answer.Payload)
	}
	return answer.Payload, nil
}

func (f *awsFunction) logTail(call Call, result *string) {
	tail, err := base64.StdEncoding.DecodeString(*result)
	if err != nil {
		tail = []byte(*result)
	}
	f.log.Info().Str("function", f.name).Str("request_id", call.RequestID).Bytes("log", tail).Msg("end of the function's log")
}

// awsError turns what the SDK returns into the errors of this room.
func awsError(err error) error {
	if throttled, ok := errors.AsType[*types.TooManyRequestsException](err); ok {
		return &ThrottledError{
			Reason:     string(throttled.Reason),
			RetryAfter: parseRetryAfter(aws.ToString(throttled.RetryAfterSeconds), time.Now()),
		}
	}
	if errors.Is(err, ErrResponseTooLarge) {
		return ErrResponseTooLarge
	}
	var response *smithyhttp.ResponseError
	if !errors.As(err, &response) || response.HTTPStatusCode() == 0 {
		return unreachable(err)
	}
	status := response.HTTPStatusCode()
	if status == http.StatusTooManyRequests { // an emulator that does not say it as AWS does
		return &ThrottledError{RetryAfter: parseRetryAfter(response.Response.Header.Get("Retry-After"), time.Now())}
	}
	// An error body that is not Lambda's JSON ends as a deserialisation error; its
	// status is all that can be relied on.
	e := &StatusError{Status: status}
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() != "UnknownError" {
		e.Code, e.Message = api.ErrorCode(), api.ErrorMessage()
	}
	return e
}

// unreachable is what an invocation without an answer failed of, without the SDK's
// words around it.
func unreachable(err error) error {
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e
	}
	return err
}

// encodeClientContext packs a call as the X-Amz-Client-Context header. What would be
// too long is left out, the user properties first, then the topic.
func encodeClientContext(c Call) string {
	shorter := c
	shorter.User = nil
	shortest := shorter
	shortest.Topic = "" // up to 64 KB, by far the longest of the rest
	for _, c := range []Call{c, shorter, shortest} {
		if s := base64.StdEncoding.EncodeToString([]byte(clientContext(c))); len(s) <= maxClientContext {
			return s
		}
	}
	return ""
}
