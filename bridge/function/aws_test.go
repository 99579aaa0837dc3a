package function

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/message"
)

// noCredentials makes the SDK find nothing that this machine may have.
func noCredentials(t *testing.T) {
	t.Helper()
	for _, k := range []string{"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_LAMBDA"} {
		t.Setenv(k, "")
	}
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", "/nonexistent")
}

func TestAWSInvocationOnTheWire(t *testing.T) {
	noCredentials(t)
	var got *http.Request
	var body []byte
	endpoint := serve(t, func(w http.ResponseWriter, r *http.Request) {
		got = r
		body, _ = io.ReadAll(r.Body)
		w.Header().Set("X-Amz-Executed-Version", "7")
		w.Header().Set("X-Amz-Log-Result", base64.StdEncoding.EncodeToString([]byte("END RequestId: 1")))
		_, _ = w.Write([]byte(`{"ok":true}`))
	})
	var log bytes.Buffer
	r, err := NewRegistry(map[string]Config{"f": {
		Lambda: "arn:aws:lambda:eu-central-1:123456789012:function:ingest:live", Endpoint: endpoint + "/", LogTail: true,
	}}, Options{Log: zerolog.New(&log)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	ctx := WithCall(t.Context(), Call{
		RequestID: "id-1", Rule: "r", Topic: "a/b", ClientID: "c",
		User: []message.UserProperty{{Key: "k", Value: "v"}},
	})
	out, err := lookup(t, r, "f").Invoke(ctx, []byte(`{"n":1}`))
	if err != nil || string(out) != `{"ok":true}` {
		t.Fatalf("got %s, %v", out, err)
	}
	if want := "/2015-03-31/functions/ingest/invocations?Qualifier=live"; got.Method != http.MethodPost || got.URL.RequestURI() != want {
		t.Errorf("got %s %s, want POST %s", got.Method, got.URL.RequestURI(), want)
	}
	if string(body) != `{"n":1}` || got.Header.Get("X-Amz-Log-Type") != "Tail" {
		t.Errorf("got body %s, headers %v", body, got.Header)
	}
	if a := got.Header.Get("Authorization"); !strings.Contains(a, "/eu-central-1/lambda/aws4_request") {
		t.Errorf("not signed for the ARN's region: %q", a)
	}
	doc, _ := base64.StdEncoding.DecodeString(got.Header.Get("X-Amz-Client-Context"))
	if want := `{"custom":{"clientId":"c","requestId":"id-1","rule":"r","topic":"a/b","user.k":"v"}}`; string(doc) != want {
		t.Errorf("client context is %s, want %s", doc, want)
	}
	if !strings.Contains(log.String(), "END RequestId: 1") {
		t.Errorf("the function's log is not in ours: %s", log.String())
	}
}

func TestAWSUsesConfiguredCredentials(t *testing.T) {
	noCredentials(t)
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	var authorization string
	endpoint := serve(t, func(_ http.ResponseWriter, r *http.Request) { authorization = r.Header.Get("Authorization") })
	if _, err := invoke(t, Config{Lambda: "f", Endpoint: endpoint, Region: "eu-west-1"}, "{}"); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(authorization, "Credential=AKIDEXAMPLE/") || !strings.Contains(authorization, "/eu-west-1/") {
		t.Errorf("got %q", authorization)
	}
}

func TestAWSFailures(t *testing.T) {
	noCredentials(t)
	calls := 0
	endpoint := serve(t, func(w http.ResponseWriter, r *http.Request) {
		calls++
		name := strings.Split(r.URL.Path, "/")[3]
		fail := func(status int, code, body string) {
			w.Header().Set("X-Amzn-ErrorType", code)
			w.WriteHeader(status)
			fmt.Fprint(w, body)
		}
		switch name {
		case "throws":
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			fmt.Fprint(w, `{"errorType":"TypeError","errorMessage":"x is not a function","trace":["a"]}`)
		case "overstays":
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			fmt.Fprint(w, `{"errorType":"Sandbox.Timedout","errorMessage":"RequestId: 1 Error: Task timed out after 3.00 seconds"}`)
		case "odd":
			w.Header().Set("X-Amz-Function-Error", "Handled")
			fmt.Fprint(w, `"only text"`)
		case "throttled":
			w.Header().Set("Retry-After", "7")
			fail(429, "TooManyRequestsException", `{"Reason":"ReservedFunctionConcurrentInvocationLimitExceeded","Type":"User","message":"Rate Exceeded."}`)
		case "throttled-plainly":
			w.Header().Set("Retry-After", "3")
			w.WriteHeader(429)
		case "unknown":
			fail(404, "ResourceNotFoundException:http://internal.amazon.com/coral/", `{"Type":"User","Message":"Function not found: arn"}`)
		case "denied":
			fail(403, "AccessDeniedException", `{"Message":"not authorized"}`)
		case "not-json":
			w.WriteHeader(404)
			fmt.Fprint(w, "404 page not found")
		case "broken":
			fail(502, "EC2UnexpectedException", `{"Message":"x"}`)
		case "five":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 5<<20))
		case "seven":
			_, _ = w.Write(bytes.Repeat([]byte("x"), 7<<20))
		case "seven-chunked":
			for range 7 {
				_, _ = w.Write(bytes.Repeat([]byte("x"), 1<<20))
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
	at := func(name string) (string, error) {
		calls = 0
		out, err := invoke(t, Config{Lambda: name, Endpoint: endpoint, Quirks: QuirksAWS}, "{}")
		if calls != 1 {
			t.Errorf("%s was called %d times: retries are the outbox's", name, calls)
		}
		return out, err
	}

	var own *Error
	if _, err := at("throws"); !errors.As(err, &own) || own.Type != "TypeError" || own.Message != "x is not a function" || !json.Valid(own.Payload) || Outcome(err) != "function_error" {
		t.Errorf("throws: got %v", err)
	}
	if _, err := at("overstays"); !errors.As(err, &own) || !errors.Is(err, ErrTimeout) || Outcome(err) != "timeout" {
		t.Errorf("overstays: got %v", err)
	}
	if _, err := at("odd"); !errors.As(err, &own) || !strings.Contains(err.Error(), `"only text"`) {
		t.Errorf("odd: got %v", err)
	}
	var throttled *ThrottledError
	if _, err := at("throttled"); !errors.As(err, &throttled) || throttled.RetryAfter != 7*time.Second || throttled.Reason != "ReservedFunctionConcurrentInvocationLimitExceeded" {
		t.Errorf("throttled: got %v", err)
	}
	if _, err := at("throttled-plainly"); !errors.As(err, &throttled) || throttled.RetryAfter != 3*time.Second {
		t.Errorf("throttled-plainly: got %v", err)
	}
	if _, err := at("unknown"); !errors.Is(err, ErrNotFound) || Outcome(err) != "not_found" {
		t.Errorf("unknown: got %v", err)
	}
	var status *StatusError
	if _, err := at("denied"); !errors.As(err, &status) || status.Status != 403 || status.Code != "AccessDeniedException" {
		t.Errorf("denied: got %v", err)
	}
	if _, err := at("not-json"); !errors.As(err, &status) || status.Status != 404 {
		t.Errorf("not-json: got %v", err)
	}
	if _, err := at("broken"); !errors.As(err, &status) || status.Status != 502 {
		t.Errorf("broken: got %v", err)
	}
	if out, err := at("five"); err != nil || len(out) != 5<<20 {
		t.Errorf("five: got %d bytes, %v", len(out), err)
	}
	for _, name := range []string{"seven", "seven-chunked"} {
		if _, err := at(name); !errors.Is(err, ErrResponseTooLarge) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

func TestAWSWithoutARegion(t *testing.T) {
	noCredentials(t)
	_, err := NewRegistry(map[string]Config{"f": {Lambda: "ingest"}}, Options{}, nil)
	if err == nil || !strings.Contains(err.Error(), "function f") || !strings.Contains(err.Error(), "AWS_REGION") {
		t.Errorf("got %v", err)
	}
}

func TestClientContextIsNeverTooLong(t *testing.T) {
	decode := func(c Call) map[string]string {
		s := encodeClientContext(c)
		if len(s) > maxClientContext {
			t.Fatalf("%d bytes", len(s))
		}
		raw, _ := base64.StdEncoding.DecodeString(s)
		var doc struct{ Custom map[string]string }
		if err := json.Unmarshal(raw, &doc); err != nil {
			t.Fatal(err)
		}
		return doc.Custom
	}
	long := strings.Repeat("x", 3000)
	c := decode(Call{RequestID: "id", Topic: "a", User: []message.UserProperty{{Key: "k", Value: long}}})
	if c["topic"] != "a" || c["user.k"] != "" {
		t.Errorf("user properties go first; got %v", c)
	}
	c = decode(Call{RequestID: "id", Rule: "r", Topic: long})
	if c["rule"] != "r" || c["topic"] != "" {
		t.Errorf("then the topic goes; got %v", c)
	}
}

// An answer of megabytes that begins at once: see limitedClient.
func TestAWSLargeQuickAnswers(t *testing.T) {
	noCredentials(t)
	answer := bytes.Repeat([]byte("x"), 2<<20)
	endpoint := serve(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = w.Write(answer)
	})
	f := lookup(t, registry(t, map[string]Config{"f": {Lambda: "f", Endpoint: endpoint}}), "f")
	for range 100 {
		if _, err := f.Invoke(t.Context(), []byte("{}")); err != nil {
			t.Fatal(err)
		}
	}
}
