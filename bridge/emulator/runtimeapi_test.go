//go:build unix

package emulator_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/topicwire/topicwire/bridge/emulator"
)

// runtime is the test in the place of a function's process: the process itself only
// says where its Runtime API is.
type runtime struct {
	t      *testing.T
	f      *running
	api    string
	client *http.Client
}

func startRuntime(t *testing.T, cfg emulator.Config) *runtime {
	t.Helper()
	cfg.Runtime, cfg.Prewarm = "provided.al2023", 1
	f := start(t, cfg, map[string]string{"bootstrap": "#!/bin/sh\ntrap '' TERM\necho api=$AWS_LAMBDA_RUNTIME_API.\nexec sleep 1000\n"})
	f.log.await(t, "api=")
	api := regexp.MustCompile(`api=([^"]*)\.`).FindStringSubmatch(f.log.String())[1]
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	return &runtime{t: t, f: f, api: api, client: &http.Client{Transport: tr}}
}

func (r *runtime) do(method, path string, body io.Reader, headers ...string) (*http.Response, string) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+r.api+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := r.client.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp, string(b)
}

// wants does a request and checks its status and body.
func (r *runtime) wants(status int, body, method, path, send string, headers ...string) {
	r.t.Helper()
	resp, got := r.do(method, path, strings.NewReader(send), headers...)
	if resp.StatusCode != status || !strings.Contains(got, body) {
		r.t.Errorf("%s %s: got %d %s, want %d %s", method, path, resp.StatusCode, got, status, body)
	}
}

// invoke starts an invocation; its end comes through the channel.
func (r *runtime) invoke(inv emulator.Invocation) <-chan *emulator.Result {
	done := make(chan *emulator.Result, 1)
	go func() {
		defer close(done)
		res, err := r.f.Invoke(context.Background(), inv)
		if err != nil {
			r.t.Errorf("Invoke: %v", err)
			return
		}
		done <- res
	}()
	return done
}

const (
	next   = "/2018-06-01/runtime/invocation/next"
	answer = "/2018-06-01/runtime/invocation/id-%d/%s"
)

func TestRuntimeAPI(t *testing.T) {
	r := startRuntime(t, emulator.Config{Timeout: 20e9, Concurrency: 1})
	before := time.Now()
	done := r.invoke(emulator.Invocation{
		Payload: []byte(`{"a":1}`), RequestID: "id-0", TraceID: "Root=1", TenantID: "t",
		ClientContext: "{\n\"custom\":{}}", Identity: `{"cognitoIdentityId":"i"}`,
	})
	resp, body := r.do("GET", next, nil)
	if resp.StatusCode != 200 || body != `{"a":1}` {
		t.Fatalf("next: got %d %s", resp.StatusCode, body)
	}
	deadline, err := strconv.ParseInt(resp.Header.Get("Lambda-Runtime-Deadline-Ms"), 10, 64)
	if at := time.UnixMilli(deadline); err != nil || at.Before(before.Add(19*time.Second)) || at.After(time.Now().Add(20*time.Second)) {
		t.Errorf("deadline %d, %v", deadline, err)
	}
	for name, want := range map[string]string{
		"Content-Type": "application/json", "Lambda-Runtime-Aws-Request-Id": "id-0", "Lambda-Runtime-Trace-Id": "Root=1",
		"Lambda-Runtime-Invoked-Function-Arn": "arn:aws:lambda:us-east-1:123456789012:function:fn", "Lambda-Runtime-Aws-Tenant-Id": "t",
		"Lambda-Runtime-Client-Context": `{ "custom":{}}`, "Lambda-Runtime-Cognito-Identity": `{"cognitoIdentityId":"i"}`,
	} {
		if got := resp.Header.Get(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
	r.wants(403, "InvalidStateTransition", "GET", next, "")
	r.wants(403, "InvalidStateTransition", "POST", "/2018-06-01/runtime/init/error", "{}")
	r.wants(400, "Invalid request ID", "POST", "/2018-06-01/runtime/invocation/other/response", "x")
	r.wants(202, `{"status":"OK"}`, "POST", fmt.Sprintf(answer, 0, "response"), `{"b":2}`)
	if res := <-done; string(res.Payload) != `{"b":2}` || res.FunctionError != "" || res.RequestID != "id-0" || !res.ColdStart {
		t.Errorf("got %+v", res)
	}
	r.wants(400, "Invalid request ID", "POST", fmt.Sprintf(answer, 0, "response"), "again")
	r.wants(404, "NotFound", "GET", "/2018-06-01/runtime/nowhere", "")
	r.wants(404, "NotFound", "POST", "/elsewhere", "x")
	r.wants(202, "Telemetry.NotSupported", "PUT", "/2022-07-01/telemetry", "{}")
	r.wants(202, "Logs.NotSupported", "PUT", "/2020-08-15/logs", "{}")
	r.wants(403, "Forbidden", "GET", next, "", "Origin", "http://evil.example")
	r.wants(403, "Forbidden", "GET", next, "", "Sec-Fetch-Mode", "no-cors")
}

func TestRuntimeAPIAnswers(t *testing.T) {
	r := startRuntime(t, emulator.Config{Timeout: 20e9, Concurrency: 1})
	chunked := func(s string) io.Reader { return io.MultiReader(strings.NewReader(s), strings.NewReader("")) }
	for i, c := range []struct {
		name, what string
		body       io.Reader
		headers    []string
		want       string
		errorType  string
		status     int
	}{
		{"plain", "response", strings.NewReader("a"), nil, "a", "", 202},
		{"empty", "response", nil, nil, "", "", 202},
		{"chunked", "response", chunked(strings.Repeat("ab", 50000)), nil, strings.Repeat("ab", 50000), "", 202},
		{"expecting 100-continue", "response", strings.NewReader("c"), []string{"Expect", "100-continue"}, "c", "", 202},
		{"closing", "response", strings.NewReader("c"), []string{"Connection", "close"}, "c", "", 202},
		{"streaming to nobody", "response", chunked("s"), []string{"Lambda-Runtime-Function-Response-Mode", "streaming"}, "s", "", 202},
		{"error", "error", strings.NewReader(`{"errorType":"T","errorMessage":"m"}`), nil, `{"errorType":"T","errorMessage":"m"}`, "T", 202},
		{"error with a type in the header", "error", strings.NewReader(`{}`), []string{"Lambda-Runtime-Function-Error-Type", "H.T"}, `{}`, "H.T", 202},
		{"error without anything", "error", nil, nil, `{"errorType":"Runtime.Unknown","errorMessage":""}`, "Runtime.Unknown", 202},
		{"error with a very long cause", "error", strings.NewReader(`{}`), []string{"Lambda-Runtime-Function-Xray-Error-Cause", strings.Repeat("x", 1<<20-1)}, `{}`, "Runtime.Unknown", 202},
		{"garbage as an error", "error", strings.NewReader("garbage"), nil, "garbage", "Runtime.Unknown", 202},
		{"too large", "response", bytes.NewReader(make([]byte, 7<<20)), nil, `{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`, "Function.ResponseSizeTooLarge", 413},
		{"too large, chunked", "response", chunked(strings.Repeat("x", 7<<20)), nil, `{"errorType":"Function.ResponseSizeTooLarge","errorMessage":"Response payload size exceeded maximum allowed payload size (6291556 bytes)."}`, "Function.ResponseSizeTooLarge", 413},
	} {
		t.Run(c.name, func(t *testing.T) {
			done := r.invoke(emulator.Invocation{Payload: []byte("{}"), RequestID: "id-" + strconv.Itoa(i)})
			r.do("GET", next, nil)
			if resp, body := r.do("POST", fmt.Sprintf(answer, i, c.what), c.body, c.headers...); resp.StatusCode != c.status {
				t.Errorf("status %d %s, want %d", resp.StatusCode, body, c.status)
			}
			if res := <-done; string(res.Payload) != c.want || res.ErrorType != c.errorType {
				t.Errorf("got %s %.200q, want %s %.200q", res.ErrorType, res.Payload, c.errorType, c.want)
			}
		})
	}
}

// TestRuntimeAPIStreaming checks that chunks arrive while the response is going on, and
// that an error in the trailers ends it.
func TestRuntimeAPIStreaming(t *testing.T) {
	t.Parallel()
	r := startRuntime(t, emulator.Config{Timeout: 20e9, Concurrency: 1})
	for i, failure := range []string{"", `{"errorType":"Late","errorMessage":"m"}`} {
		chunks := make(chan string, 10)
		done := r.invoke(emulator.Invocation{Payload: []byte("{}"), RequestID: "id-" + strconv.Itoa(i), Stream: func(b []byte) { chunks <- string(b) }})
		r.do("GET", next, nil)
		body, w := io.Pipe()
		req, err := http.NewRequest("POST", "http://"+r.api+fmt.Sprintf(answer, i, "response"), body)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Lambda-Runtime-Function-Response-Mode", "streaming")
		req.Trailer = http.Header{"Lambda-Runtime-Function-Error-Type": nil, "Lambda-Runtime-Function-Error-Body": nil}
		status := make(chan int, 1)
		go func() {
			resp, err := r.client.Do(req)
			if err != nil {
				t.Error(err)
				status <- 0
				return
			}
			resp.Body.Close()
			status <- resp.StatusCode
		}()
		for _, text := range []string{"one", "two"} {
			io.WriteString(w, text)
			if got := <-chunks; got != text { // it is here although the response has not ended
				t.Errorf("chunk %q, want %q", got, text)
			}
		}
		if failure != "" {
			req.Trailer.Set("Lambda-Runtime-Function-Error-Type", "Late")
			req.Trailer.Set("Lambda-Runtime-Function-Error-Body", base64.StdEncoding.EncodeToString([]byte(failure)))
		}
		w.Close()
		if s := <-status; s != 202 {
			t.Errorf("status %d", s)
		}
		if res := <-done; string(res.Payload) != failure || (res.FunctionError == "") != (failure == "") {
			t.Errorf("got %s %q, want %q", res.FunctionError, res.Payload, failure)
		}
	}
}

// TestRuntimeAPIPipelined checks that a response and the next "next" in one write are
// answered in one write too, in order.
func TestRuntimeAPIPipelined(t *testing.T) {
	t.Parallel()
	r := startRuntime(t, emulator.Config{Timeout: 20e9, Concurrency: 1})
	nc, err := net.Dial("tcp", r.api)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	get := "GET " + next + " HTTP/1.1\r\nHost: " + r.api + "\r\n\r\n"
	first := r.invoke(emulator.Invocation{Payload: []byte("{}"), RequestID: "id-0"})
	io.WriteString(nc, get)
	in := bufio.NewReader(nc)
	read := func() (int, string, string) {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, _ := io.ReadAll(resp.Body)
		return resp.StatusCode, resp.Header.Get("Lambda-Runtime-Aws-Request-Id"), string(b)
	}
	if status, id, _ := read(); status != 200 || id != "id-0" {
		t.Fatalf("got %d %s", status, id)
	}
	io.WriteString(nc, "\r\nPOST /2018-06-01/runtime/invocation/id-0/response HTTP/1.1\r\nhost: localhost:1\r\ncontent-length: 2\r\n\r\nok"+get)
	if res := <-first; string(res.Payload) != "ok" {
		t.Errorf("got %+v", res)
	}
	second := r.invoke(emulator.Invocation{Payload: []byte(`"second"`), RequestID: "id-1"})
	if status, _, body := read(); status != 202 || body != "{\"status\":\"OK\"}\n" {
		t.Errorf("got %d %s", status, body)
	}
	if in.Buffered() == 0 {
		t.Error("the receipt came alone, want the next event in the same write")
	}
	if status, id, body := read(); status != 200 || id != "id-1" || body != `"second"` {
		t.Errorf("got %d %s %s", status, id, body)
	}
	io.WriteString(nc, "POST /2018-06-01/runtime/invocation/id-1/response HTTP/1.1\r\nhost: 127.0.0.1:1\r\ntransfer-encoding: chunked\r\n\r\n2;x=y\r\nab\r\n1\r\nc\r\n0\r\n\r\n")
	if res := <-second; string(res.Payload) != "abc" {
		t.Errorf("got %q", res.Payload)
	}
}

func TestRuntimeAPIGarbage(t *testing.T) {
	t.Parallel()
	r := startRuntime(t, emulator.Config{Timeout: 20e9, Concurrency: 1})
	for _, garbage := range []string{
		"hello\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
		"POST /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", strings.Repeat("x", 2<<20), "GET " + next + " HTTP/1.1\r\n\r\nGET " + next + " HTTP/1.1\r\n\r\n",
	} {
		nc, err := net.Dial("tcp", r.api)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(nc, garbage)
		if b, _ := io.ReadAll(nc); len(b) > 0 { // the connection is closed
			t.Errorf("%.30q was answered: %s", garbage, b)
		}
		nc.Close()
	}
	done := r.invoke(emulator.Invocation{Payload: []byte("{}"), RequestID: "id-0"})
	r.do("GET", next, nil)
	r.wants(202, "OK", "POST", fmt.Sprintf(answer, 0, "response"), "fine")
	if res := <-done; string(res.Payload) != "fine" {
		t.Errorf("got %+v", res)
	}
}

func TestInitError(t *testing.T) {
	t.Parallel()
	r := startRuntime(t, emulator.Config{Concurrency: 1})
	done := r.invoke(emulator.Invocation{Payload: []byte("{}"), RequestID: "id-0"})
	r.wants(202, "OK", "POST", "/2018-06-01/runtime/init/error", `{"errorType":"Init.Failed","errorMessage":"m"}`)
	if res := <-done; res.ErrorType != "Init.Failed" || string(res.Payload) != `{"errorType":"Init.Failed","errorMessage":"m"}` {
		t.Errorf("got %s %s", res.ErrorType, res.Payload)
	}
}
