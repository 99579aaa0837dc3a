//go:build unix

package emulator_test

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge/emulator"
)

// goProgram is the test program, built.
func goProgram(tb testing.TB) string {
	tb.Helper()
	need(tb, "go")
	program, err := buildOnce()
	if err != nil {
		tb.Fatal(err)
	}
	return program
}

// goFunction is the test program's folder.
func goFunction(tb testing.TB) string {
	tb.Helper()
	need(tb, "go")
	dir, err := filepath.Abs("testdata/gofn")
	if err != nil {
		tb.Fatal(err)
	}
	return dir
}

// TestGo drives a program of AWS's own Go library through everything it does with the
// Runtime API. One environment, so that what fails has to be replaced.
func TestGo(t *testing.T) {
	t.Parallel()
	f := start(t, emulator.Config{Runtime: "go", Path: goFunction(t), Timeout: 1e9, Concurrency: 1}, nil)
	answers := func(event, want string) {
		t.Helper()
		if r := f.invoke(t, event); r.FunctionError != "" || string(r.Payload) != want {
			t.Errorf("%s: got %s %s, want %s", event, r.FunctionError, r.Payload, want)
		}
	}
	fails := func(event, errorType, message string) {
		t.Helper()
		r := f.invoke(t, event)
		d := document(t, r)
		if want := strings.ReplaceAll(message, "ID", r.RequestID); d.Type != errorType || d.Message != want {
			t.Errorf("%s: got %s: %q, want %s: %q", event, d.Type, d.Message, errorType, want)
		}
		answers(`{"n":7}`, "7")
	}
	answers(`{"n":1}`, "1")
	answers(`{"do":"maxprocs"}`, `"1"`)
	fails(`{"do":"error"}`, "errorString", "went wrong")
	fails(`{"do":"panic"}`, "string", "at the disco")
	fails(`{"do":"exit","n":2}`, "Runtime.ExitError", "RequestId: ID Error: Runtime exited with error: exit status 2")
	fails(`{"do":"hang"}`, "Sandbox.Timedout", "RequestId: ID Error: Task timed out after 1.00 seconds")
	fails(`{"do":"big","n":7000000}`, "Function.ResponseSizeTooLarge", "Response payload size exceeded maximum allowed payload size (6291556 bytes).")
	fails(`{"do":"break"}`, "errorString", "broke off")
	fails(`{"n":"text"}`, "UnmarshalTypeError", "json: cannot unmarshal string into Go struct field event.n of type int")

	big := f.invoke(t, `{"do":"big","n":5000000}`)
	if want := strconv.Quote(strings.Repeat("x", 5000000)); string(big.Payload) != want {
		t.Errorf("an answer of 5 MB came back as %d bytes", len(big.Payload))
	}
	r := f.call(t, emulator.Invocation{
		Payload: []byte(`{"do":"context"}`), RequestID: "id-1", TraceID: "Root=1", TenantID: "t",
		Identity: `{"cognitoIdentityId":"i"}`, ClientContext: `{"custom":{"k":"v"}}`, ARN: "arn:aws:lambda:eu-west-1:1:function:fn:live",
	})
	var got map[string]any
	if err := json.Unmarshal(r.Payload, &got); err != nil {
		t.Fatalf("%s: %v", r.Payload, err)
	}
	want := map[string]any{
		"id": "id-1", "arn": "arn:aws:lambda:eu-west-1:1:function:fn:live", "identity": "i", "custom": "v", "tenant": "t",
		"name": "fn", "memory": 128.0, "deadline": true, "trace": "Root=1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("context (-want +got):\n%s", diff)
	}
}

func TestGoLargeEvent(t *testing.T) {
	t.Parallel()
	f := start(t, emulator.Config{Runtime: "provided", Path: goProgram(t), Handler: "raw"}, nil)
	event := strconv.Quote(strings.Repeat("x", 5<<20))
	if r := f.invoke(t, event); string(r.Payload) != event {
		t.Errorf("an event of 5 MB came back as %d bytes: %.100s", len(r.Payload), r.Payload)
	}
	if _, err := f.Invoke(t.Context(), emulator.Invocation{Payload: make([]byte, emulator.MaxPayload+1)}); err != emulator.ErrPayloadTooLarge { //nolint:errorlint // it is returned as it is
		t.Errorf("an event above the limit: got %v", err)
	}
}

func TestGoStreaming(t *testing.T) {
	t.Parallel()
	f := start(t, emulator.Config{Runtime: "provided", Path: goProgram(t), Handler: "stream", Concurrency: 1}, nil)
	var got strings.Builder
	call := func(event string) *emulator.Result {
		got.Reset()
		return f.call(t, emulator.Invocation{Payload: []byte(event), Stream: func(chunk []byte) { got.Write(chunk) }})
	}
	if r := call(`{"n":3}`); len(r.Payload) > 0 || got.String() != "chunk 0\nchunk 1\nchunk 2\n" {
		t.Errorf("got %q and the chunks %q", r.Payload, got.String())
	}
	if d := document(t, call(`{"n":3,"do":"break"}`)); d.Type != "errorString" || d.Message != "broke off" {
		t.Errorf("got %+v", d)
	}
	if r := f.invoke(t, `{"n":1}`); string(r.Payload) != "chunk 0\n" {
		t.Errorf("got %q", r.Payload)
	}
}

func TestGoSIGTERMHook(t *testing.T) {
	t.Parallel()
	f := start(t, emulator.Config{Runtime: "provided", Path: goProgram(t), Handler: "sigterm"}, nil)
	f.invoke(t, `{"n":1}`)
	f.stop()
	if log := f.log.String(); !strings.Contains(log, "asked to end") {
		t.Errorf("the hook did not run:\n%s", log)
	}
	if _, err := f.Invoke(context.Background(), emulator.Invocation{Payload: []byte("{}")}); err != emulator.ErrClosed { //nolint:errorlint // it is returned as it is
		t.Errorf("Invoke after the end: got %v", err)
	}
}

func TestGoConcurrentInvocationsInOneProcess(t *testing.T) {
	f := start(t, emulator.Config{Runtime: "provided", Path: goProgram(t), Handler: "raw", Concurrency: 8, ConcurrencyPerEnvironment: 8}, nil)
	errs := make(chan string, 400)
	for i := range 400 {
		go func() {
			event := strconv.Itoa(i)
			if r := f.invoke(t, event); string(r.Payload) != event {
				errs <- "got " + string(r.Payload) + ", want " + event
				return
			}
			errs <- ""
		}()
	}
	for range 400 {
		if e := <-errs; e != "" {
			t.Error(e)
		}
	}
}

// TestGoReload changes a program while it serves, first to something that does not build.
func TestGoReload(t *testing.T) {
	t.Parallel()
	need(t, "go")
	source := func(version string) map[string]string {
		return map[string]string{
			"go.mod":       "module example.com/fn\n\ngo 1.24\n",
			"part/part.go": "package part\n\nconst Version = " + version + "\n",
			"main.go":      miniRuntime,
		}
	}
	f := start(t, emulator.Config{Runtime: "go", Concurrency: 1}, source(`"one"`))
	if r := f.invoke(t, "{}"); string(r.Payload) != "one" {
		t.Fatalf("got %q", r.Payload)
	}
	write(t, f.dir, map[string]string{"part/part.go": "package part\n\nconst Version = nonsense\n"})
	f.log.await(t, "undefined: nonsense")
	if r := f.invoke(t, "{}"); string(r.Payload) != "one" {
		t.Errorf("after a build that failed: got %q, want the old code's answer", r.Payload)
	}
	write(t, f.dir, source(`"three"`))
	for r := f.invoke(t, "{}"); string(r.Payload) != "three"; r = f.invoke(t, "{}") {
		if string(r.Payload) != "one" {
			t.Fatalf("during the build: got %q", r.Payload)
		}
	}
	f.stop()
	left, err := filepath.Glob(filepath.Join(f.cache, "go", "fn-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("programs were left behind: %v %v", left, err)
	}
	if _, err := os.Stat(f.dir); err != nil {
		t.Error(err)
	}
}

// miniRuntime is a function without a library: it answers part.Version.
const miniRuntime = `package main

import (
	"net/http"
	"os"
	"strings"

	"example.com/fn/part"
)

func main() {
	base := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/invocation/"
	for {
		resp, err := http.Get(base + "next")
		if err != nil {
			panic(err)
		}
		resp.Body.Close()
		id := resp.Header.Get("Lambda-Runtime-Aws-Request-Id")
		resp, err = http.Post(base+id+"/response", "text/plain", strings.NewReader(part.Version))
		if err != nil {
			panic(err)
		}
		resp.Body.Close()
	}
}
`
