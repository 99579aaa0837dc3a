package invokeapi_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/smithy-go"

	"github.com/topicwire/topicwire/bridge/emulator/invokeapi"
	"github.com/topicwire/topicwire/bridge/function"
)

// functions are functions in this process.
type functions struct {
	now         map[string]func(ctx context.Context, payload []byte) ([]byte, error)
	later       []string // name, event and hops of what was to be invoked later
	full        error
	concurrency int
}

func (f *functions) Names() []string {
	var names []string
	for name := range f.now {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func (f *functions) Describe(name string) (function.Description, bool) {
	name = name[strings.LastIndexByte(name, ':')+1:]
	_, ok := f.now[name]
	return function.Description{
		Name: name, ARN: "arn:aws:lambda:us-east-1:123456789012:function:" + name, Runtime: "nodejs", Handler: "index.handler",
		Timeout: 3 * time.Second, Memory: 128, Concurrency: f.concurrency, Emulated: true,
	}, ok
}

func (f *functions) Invoke(ctx context.Context, name string, payload []byte) ([]byte, error) {
	return f.now[name](ctx, payload)
}

func (f *functions) InvokeLater(ctx context.Context, name string, payload []byte) error {
	f.later = append(f.later, fmt.Sprintf("%s %s %d", name, payload, function.CallFrom(ctx).Hops))
	return f.full
}

func (f *functions) SetConcurrency(_ string, n int) (int, error) {
	if n > 10 {
		return 0, errors.New("10 at most")
	}
	if n < 0 {
		n = 10
	}
	f.concurrency = n
	return n, nil
}

func newFunctions() *functions {
	f := &functions{concurrency: 10}
	f.now = map[string]func(ctx context.Context, payload []byte) ([]byte, error){
		"echo": func(ctx context.Context, payload []byte) ([]byte, error) {
			call := function.CallFrom(ctx)
			if call.Tail != nil {
				call.Tail([]byte("END RequestId: " + call.RequestID))
			}
			if !call.Direct {
				return nil, errors.New("an invocation that a breaker may hold up")
			}
			return fmt.Appendf(nil, `{"event":%s,"context":%q,"hops":%d,"by":%q}`, payload, call.ClientContext, call.Hops, call.Qualifier), nil
		},
		"throws": func(ctx context.Context, _ []byte) ([]byte, error) {
			return nil, fmt.Errorf("wrapped: %w", &function.Error{Type: "TypeError", Message: "no", Payload: []byte(`{"errorType":"TypeError","errorMessage":"no"}`)})
		},
		"busy": func(context.Context, []byte) ([]byte, error) {
			return nil, &function.ThrottledError{Reason: "ReservedFunctionConcurrentInvocationLimitExceeded", RetryAfter: 1500 * time.Millisecond}
		},
		"missing": func(context.Context, []byte) ([]byte, error) {
			return nil, fmt.Errorf("%w: node is not installed", function.ErrUnavailable)
		},
		"slow": func(context.Context, []byte) ([]byte, error) {
			return nil, fmt.Errorf("function slow: %w after 3s", function.ErrTimeout)
		},
		"web": func(context.Context, []byte) ([]byte, error) {
			return nil, &function.StatusError{Status: 418, Message: "short and stout"}
		},
		"far": func(context.Context, []byte) ([]byte, error) {
			return nil, &function.StatusError{Status: 403, Code: "AccessDeniedException", Message: "not you"}
		},
		"streams": func(ctx context.Context, payload []byte) ([]byte, error) {
			call := function.CallFrom(ctx)
			if call.Stream == nil {
				return []byte(`"whole"`), nil
			}
			for _, s := range []string{"one ", "two ", strings.Repeat("x", 3<<20)} {
				if err := call.Stream(function.Chunk{Data: []byte(s)}); err != nil {
					return nil, err
				}
			}
			if string(payload) == `"fail"` {
				return nil, &function.Error{Type: "RangeError", Message: "broke", Payload: []byte(`{"errorType":"RangeError","errorMessage":"broke"}`)}
			}
			return nil, nil
		},
	}
	return f
}

// door serves the functions and returns a client of AWS's SDK for it.
func door(t *testing.T, f *functions, caller invokeapi.Caller) (*lambda.Client, string) {
	t.Helper()
	s := httptest.NewServer(invokeapi.New(invokeapi.Options{Functions: f, Authenticate: func(r *http.Request, _ []byte) (invokeapi.Caller, error) {
		if r.Header.Get("Authorization") == "" {
			return caller, &invokeapi.Error{Status: 403, Type: "MissingAuthenticationTokenException", Message: "Missing Authentication Token"}
		}
		return caller, nil
	}}))
	t.Cleanup(s.Close)
	return lambda.New(lambda.Options{
		BaseEndpoint: &s.URL, Region: "us-east-1", Credentials: credentials.NewStaticCredentialsProvider("k", "s", ""),
		RetryMaxAttempts: 1, HTTPClient: patient{s.Client()},
	}), s.URL
}

// patient sends a request's body from memory: the SDK closes the one that it gave as soon
// as an answer begins, and net/http tears the connection down in the middle of a quick
// answer of megabytes.
type patient struct{ *http.Client }

func (p patient) Do(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		r = r.WithContext(r.Context())
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	return p.Client.Do(r)
}

func TestInvoke(t *testing.T) {
	client, _ := door(t, newFunctions(), invokeapi.Caller{Hops: 2})
	for name, qualifier := range map[string]string{
		"echo": "", "echo:live": "live", "123456789012:function:echo": "", "arn:aws:lambda:us-east-1:123456789012:function:echo": "",
		"arn:aws:lambda:us-east-1:123456789012:function:echo:live": "live",
	} {
		out, err := client.Invoke(t.Context(), &lambda.InvokeInput{
			FunctionName: &name, Payload: []byte(`{"a":1}`), LogType: types.LogTypeTail,
			ClientContext: aws.String(base64.StdEncoding.EncodeToString([]byte(`{"custom":1}`))),
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		tail, _ := base64.StdEncoding.DecodeString(aws.ToString(out.LogResult))
		if string(out.Payload) != `{"event":{"a":1},"context":"{\"custom\":1}","hops":2,"by":"`+qualifier+`"}` || out.StatusCode != 200 || out.FunctionError != nil ||
			aws.ToString(out.ExecutedVersion) != "$LATEST" || !strings.HasPrefix(string(tail), "END RequestId: ") {
			t.Errorf("%s: %s %d %v %s", name, out.Payload, out.StatusCode, out.FunctionError, tail)
		}
	}
	out, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("echo"), Qualifier: aws.String("7")})
	if err != nil || !strings.HasPrefix(string(out.Payload), `{"event":{}`) {
		t.Errorf("without an event: %v, %v", out, err)
	}
}

func TestFunctionErrorsAreAnswers(t *testing.T) {
	client, _ := door(t, newFunctions(), invokeapi.Caller{})
	for name, want := range map[string]string{
		"throws": `{"errorType":"TypeError","errorMessage":"no"}`,
		"slow":   "Sandbox.Timedout",
		"web":    "HTTP.418",
	} {
		out, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: &name})
		if err != nil || aws.ToString(out.FunctionError) != "Unhandled" || out.StatusCode != 200 || !strings.Contains(string(out.Payload), want) {
			t.Errorf("%s: %+v, %v", name, out, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	client, url := door(t, newFunctions(), invokeapi.Caller{})
	large := []byte(`"` + strings.Repeat("x", 6<<20) + `"`)
	for _, c := range []struct {
		in   lambda.InvokeInput
		code string
	}{
		{lambda.InvokeInput{FunctionName: aws.String("nobody")}, "ResourceNotFoundException"},
		{lambda.InvokeInput{FunctionName: aws.String("arn:aws:lambda:us-east-1:123456789012:function:nobody")}, "ResourceNotFoundException"},
		{lambda.InvokeInput{FunctionName: aws.String("echo"), Payload: []byte("{")}, "InvalidRequestContentException"},
		{lambda.InvokeInput{FunctionName: aws.String("echo"), ClientContext: aws.String("%")}, "InvalidRequestContentException"},
		{lambda.InvokeInput{FunctionName: aws.String("echo"), InvocationType: "Later"}, "InvalidParameterValueException"},
		{lambda.InvokeInput{FunctionName: aws.String("echo:a"), Qualifier: aws.String("b")}, "InvalidParameterValueException"},
		{lambda.InvokeInput{FunctionName: aws.String("echo"), Payload: large}, "RequestTooLargeException"},
		{lambda.InvokeInput{FunctionName: aws.String("echo"), InvocationType: "Event", Payload: large[5<<20-1:]}, "InvalidRequestContentException"},
		{lambda.InvokeInput{FunctionName: aws.String("echo"), InvocationType: "Event", Payload: append([]byte(`"`), large[5<<20-1:]...)}, "RequestTooLargeException"},
		{lambda.InvokeInput{FunctionName: aws.String("missing")}, "InvalidRuntimeException"},
		{lambda.InvokeInput{FunctionName: aws.String("far")}, "AccessDeniedException"},
	} {
		_, err := client.Invoke(t.Context(), &c.in)
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != c.code || api.ErrorMessage() == "" {
			t.Errorf("%s %s: %v, want %s", *c.in.FunctionName, c.in.InvocationType, err, c.code)
		}
	}
	_, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("busy")})
	var many *types.TooManyRequestsException
	if !errors.As(err, &many) || aws.ToString(many.RetryAfterSeconds) != "2" || many.Reason != types.ThrottleReasonReservedFunctionConcurrentInvocationLimitExceeded {
		t.Errorf("busy: %v", err)
	}
	for _, path := range []string{"/2015-03-31/functions/echo/invocations", "/2015-03-31/functions/echo/shoes", "/2015-03-31/functions/a/b/c"} {
		resp, err := http.Post(url+path, "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if !json.Valid(body) || resp.Header.Get("X-Amzn-ErrorType") == "" || resp.Header.Get("X-Amzn-Requestid") == "" || resp.StatusCode/100 != 4 {
			t.Errorf("%s: %d %v %s", path, resp.StatusCode, resp.Header, body)
		}
	}
}

func TestInvokeLater(t *testing.T) {
	f := newFunctions()
	client, _ := door(t, f, invokeapi.Caller{Hops: 3})
	out, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("throws"), InvocationType: types.InvocationTypeEvent, Payload: []byte("1")})
	if err != nil || out.StatusCode != 202 || len(out.Payload) > 0 {
		t.Errorf("Event: %+v, %v", out, err)
	}
	out, err = client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("throws"), InvocationType: types.InvocationTypeDryRun})
	if err != nil || out.StatusCode != 204 {
		t.Errorf("DryRun: %+v, %v", out, err)
	}
	older, err := client.InvokeAsync(t.Context(), &lambda.InvokeAsyncInput{FunctionName: aws.String("echo"), InvokeArgs: strings.NewReader("2")}) //nolint:staticcheck // it is the older form that is tested
	if err != nil || older.Status != 202 {
		t.Errorf("InvokeAsync: %+v, %v", older, err)
	}
	if got := fmt.Sprint(f.later); got != "[throws 1 3 echo 2 3]" {
		t.Errorf("put %s", got)
	}
	f.full = &function.ThrottledError{Reason: "CallerRateLimitExceeded"}
	var many *types.TooManyRequestsException
	if _, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("echo"), InvocationType: types.InvocationTypeEvent}); !errors.As(err, &many) {
		t.Errorf("full: %v", err)
	}
}

func TestRecursionEnds(t *testing.T) {
	f := newFunctions()
	client, _ := door(t, f, invokeapi.Caller{Hops: invokeapi.MaxHops})
	for _, kind := range []types.InvocationType{types.InvocationTypeRequestResponse, types.InvocationTypeEvent} {
		_, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("echo"), InvocationType: kind})
		if _, ok := errors.AsType[*types.RecursiveInvocationException](err); !ok {
			t.Errorf("%s: %v", kind, err)
		}
	}
	if f.later != nil {
		t.Errorf("put %s", f.later)
	}
}

func TestStream(t *testing.T) {
	client, _ := door(t, newFunctions(), invokeapi.Caller{})
	read := func(name, event string) (sizes []int, end types.InvokeWithResponseStreamCompleteEvent) {
		t.Helper()
		out, err := client.InvokeWithResponseStream(t.Context(), &lambda.InvokeWithResponseStreamInput{
			FunctionName: &name, Payload: []byte(event), LogType: types.LogTypeTail,
		})
		if err != nil {
			t.Fatal(err)
		}
		s := out.GetStream()
		defer s.Close()
		for e := range s.Events() {
			switch e := e.(type) {
			case *types.InvokeWithResponseStreamResponseEventMemberPayloadChunk:
				sizes = append(sizes, len(e.Value.Payload))
			case *types.InvokeWithResponseStreamResponseEventMemberInvokeComplete:
				end = e.Value
			}
		}
		if err := s.Err(); err != nil {
			t.Fatal(err)
		}
		return sizes, end
	}
	if sizes, end := read("streams", `{}`); fmt.Sprint(sizes) != "[4 4 1048576 1048576 1048576]" || end.ErrorCode != nil {
		t.Errorf("%v %+v", sizes, end)
	}
	if sizes, end := read("streams", `"fail"`); len(sizes) != 5 || aws.ToString(end.ErrorCode) != "RangeError" || !strings.Contains(aws.ToString(end.ErrorDetails), "broke") {
		t.Errorf("%v %s %s", sizes, aws.ToString(end.ErrorCode), aws.ToString(end.ErrorDetails))
	}
	if sizes, end := read("echo", `{}`); len(sizes) != 1 || aws.ToString(end.LogResult) == "" {
		t.Errorf("%v %+v", sizes, end)
	}
	if sizes, end := read("throws", `{}`); len(sizes) != 0 || aws.ToString(end.ErrorCode) != "TypeError" {
		t.Errorf("%v %+v", sizes, end)
	}
	_, err := client.InvokeWithResponseStream(t.Context(), &lambda.InvokeWithResponseStreamInput{FunctionName: aws.String("busy")})
	if _, ok := errors.AsType[*types.TooManyRequestsException](err); !ok {
		t.Errorf("busy: %v", err)
	}
}

func TestDescribe(t *testing.T) {
	f := newFunctions()
	client, _ := door(t, f, invokeapi.Caller{})
	one, err := client.GetFunction(t.Context(), &lambda.GetFunctionInput{FunctionName: aws.String("echo")})
	if err != nil || aws.ToString(one.Configuration.FunctionName) != "echo" || *one.Concurrency.ReservedConcurrentExecutions != 10 {
		t.Errorf("GetFunction: %+v, %v", one, err)
	}
	c, err := client.GetFunctionConfiguration(t.Context(), &lambda.GetFunctionConfigurationInput{FunctionName: aws.String("echo")})
	if err != nil || *c.Timeout != 3 || *c.MemorySize != 128 || c.State != types.StateActive || c.Runtime != "nodejs" {
		t.Errorf("GetFunctionConfiguration: %+v, %v", c, err)
	}
	var names []string
	pages := lambda.NewListFunctionsPaginator(client, &lambda.ListFunctionsInput{MaxItems: aws.Int32(3)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range page.Functions {
			names = append(names, *f.FunctionName)
		}
	}
	if fmt.Sprint(names) != fmt.Sprint(f.Names()) {
		t.Errorf("listed %v", names)
	}
	put, err := client.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("echo"), ReservedConcurrentExecutions: aws.Int32(4)})
	if err != nil || *put.ReservedConcurrentExecutions != 4 {
		t.Errorf("PutFunctionConcurrency: %+v, %v", put, err)
	}
	got, err := client.GetFunctionConcurrency(t.Context(), &lambda.GetFunctionConcurrencyInput{FunctionName: aws.String("echo")})
	if err != nil || *got.ReservedConcurrentExecutions != 4 {
		t.Errorf("GetFunctionConcurrency: %+v, %v", got, err)
	}
	if _, err := client.DeleteFunctionConcurrency(t.Context(), &lambda.DeleteFunctionConcurrencyInput{FunctionName: aws.String("echo")}); err != nil || f.concurrency != 10 {
		t.Errorf("DeleteFunctionConcurrency: %v", err)
	}
	var invalid *types.InvalidParameterValueException
	if _, err := client.PutFunctionConcurrency(t.Context(), &lambda.PutFunctionConcurrencyInput{FunctionName: aws.String("echo"), ReservedConcurrentExecutions: aws.Int32(40)}); !errors.As(err, &invalid) {
		t.Errorf("too much: %v", err)
	}
}

func TestWhoMayNotIsRefused(t *testing.T) {
	client, _ := door(t, newFunctions(), invokeapi.Caller{Name: "eve", May: func(action, function string) bool {
		return action == invokeapi.ActionInvoke && function == "echo"
	}})
	if _, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("echo")}); err != nil {
		t.Error(err)
	}
	var api smithy.APIError
	if _, err := client.Invoke(t.Context(), &lambda.InvokeInput{FunctionName: aws.String("throws")}); !errors.As(err, &api) || api.ErrorCode() != "AccessDeniedException" {
		t.Errorf("another function: %v", err)
	}
	if _, err := client.ListFunctions(t.Context(), &lambda.ListFunctionsInput{}); !errors.As(err, &api) || api.ErrorCode() != "AccessDeniedException" {
		t.Errorf("another operation: %v", err)
	}
}
