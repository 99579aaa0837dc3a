// Gofn is a Lambda function that does what its event says, for the emulator's tests.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

type event struct {
	Do string `json:"do"`
	N  int    `json:"n"`
}

// failing is a reader that fails after some text.
type failing struct{ text io.Reader }

func (f failing) Read(p []byte) (int, error) {
	n, err := f.text.Read(p)
	if errors.Is(err, io.EOF) {
		err = errors.New("broke off")
	}
	return n, err
}

func handle(ctx context.Context, e event) (any, error) {
	switch e.Do {
	case "error":
		return nil, errors.New("went wrong")
	case "panic":
		panic("at the disco")
	case "exit":
		os.Exit(e.N)
	case "hang":
		select {}
	case "big":
		return strings.Repeat("x", e.N), nil
	case "break":
		return failing{strings.NewReader("some")}, nil
	case "log":
		fmt.Println("to stdout")
		fmt.Fprintln(os.Stderr, "to stderr")
	case "pid":
		return os.Getpid(), nil
	case "maxprocs":
		return os.Getenv("GOMAXPROCS"), nil
	case "context":
		lc, _ := lambdacontext.FromContext(ctx)
		deadline, ok := ctx.Deadline()
		return map[string]any{
			"id": lc.AwsRequestID, "arn": lc.InvokedFunctionArn, "identity": lc.Identity.CognitoIdentityID,
			"custom": lc.ClientContext.Custom["k"], "tenant": lc.TenantID, "name": lambdacontext.FunctionName,
			"memory": lambdacontext.MemoryLimitInMB, "deadline": ok && time.Until(deadline) > 0, "trace": os.Getenv("_X_AMZN_TRACE_ID"),
		}, nil
	}
	return e.N, nil
}

// stream answers chunk by chunk.
func stream(_ context.Context, e event) (io.Reader, error) {
	r, w := io.Pipe()
	go func() {
		for i := range e.N {
			fmt.Fprintf(w, "chunk %d\n", i)
		}
		if e.Do == "break" {
			_ = w.CloseWithError(errors.New("broke off"))
			return
		}
		_ = w.Close()
	}()
	return r, nil
}

func main() {
	switch os.Getenv("_HANDLER") {
	case "stream":
		lambda.Start(stream)
	case "sigterm":
		lambda.StartWithOptions(handle, lambda.WithEnableSIGTERM(func() {
			fmt.Println("asked to end")
			os.Exit(0)
		}))
	case "raw":
		lambda.Start(func(_ context.Context, e json.RawMessage) (json.RawMessage, error) { return e, nil })
	default:
		lambda.Start(handle)
	}
}
