package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

func TestHelloExample(t *testing.T) { exampleAnswers(t, "hello") }

func TestNodeExample(t *testing.T) {
	testkit.Need(t, "node", "nodejs")
	exampleAnswers(t, "node")
}

func TestPythonExample(t *testing.T) {
	testkit.Need(t, "python3", "python3")
	exampleAnswers(t, "python")
}

// exampleAnswers runs the request that an example's README shows and compares the
// answer with the one it promises: the two are in the README's json and sh blocks.
func exampleAnswers(t *testing.T, name string, env ...string) {
	t.Helper()
	s := testkit.Serve(t, binary.Path(t), example(t, name), env...)
	command, want := readmeRequest(t, name)
	args := strings.Fields(command)[2:] // bin/topicwire request ...
	host, port := splitAddress(t, s.MQTT)
	r := testkit.Command(t, nil, binary.Path(t), append([]string{"request", "-h", host, "-p", port, "-W", "25"}, unquote(args)...)...)
	if r.Code != 0 {
		t.Fatalf("%s: exit status %d: %s", command, r.Code, r.Stderr)
	}
	sameJSON(t, want, r.Stdout)
}

// readmeRequest finds the request in an example's README and the answer below it.
func readmeRequest(t *testing.T, name string) (command, answer string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(testkit.Root(), "examples", name, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if strings.HasPrefix(line, "bin/topicwire request ") {
			command = strings.TrimSpace(line)
		}
		if strings.HasPrefix(line, "{") {
			answer = strings.TrimSpace(line)
		}
	}
	if command == "" || answer == "" {
		t.Fatalf("the README of %s has no request with its answer", name)
	}
	return command, answer
}

// unquote takes the shell's single quotes off words without spaces.
func unquote(args []string) []string {
	for i, a := range args {
		args[i] = strings.Trim(a, "'")
	}
	return args
}

func splitAddress(t *testing.T, address string) (host, port string) {
	t.Helper()
	hp := hostPort(t, address)
	return hp[1], hp[3]
}

func TestHTTPExample(t *testing.T) {
	python := testkit.Need(t, "python3", "python3")
	server := exec.Command(python, filepath.Join(testkit.Root(), "examples", "http", "server.py"))
	server.Env = append(os.Environ(), "PORT=0")
	var out testkit.Output
	server.Stdout, server.Stderr = &out, &out
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Process.Kill(); _ = server.Wait() })
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	line, err := out.WaitFor(ctx, "listening on http://127.0.0.1:")
	if err != nil {
		t.Fatal(err)
	}
	exampleAnswers(t, "http", "PORT="+line[strings.LastIndexByte(line, ':')+1:])
}

// lambdaEndpoint speaks as much of Lambda's API as an invocation takes.
func lambdaEndpoint(t *testing.T) (url string, invoked <-chan string) {
	t.Helper()
	names := make(chan string, 16)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, ok := strings.CutSuffix(strings.TrimPrefix(r.URL.Path, "/2015-03-31/functions/"), "/invocations")
		if !ok || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 ") {
			http.Error(w, `{"Message":"not an invocation"}`, http.StatusForbidden)
			return
		}
		event, _ := io.ReadAll(r.Body)
		names <- name
		w.Header().Set("X-Amz-Executed-Version", "$LATEST")
		var e struct{ Fail bool }
		if json.Unmarshal(event, &e) == nil && e.Fail {
			w.Header().Set("X-Amz-Function-Error", "Unhandled")
			fmt.Fprint(w, `{"errorType":"TypeError","errorMessage":"it broke"}`)
			return
		}
		fmt.Fprintf(w, `{"setpoint":21,"event":%s}`, event)
	}))
	t.Cleanup(s.Close)
	return s.URL, names
}

func TestAWSExample(t *testing.T) {
	endpoint, invoked := lambdaEndpoint(t)
	s := testkit.Serve(t, binary.Path(t), example(t, "aws"),
		"LAMBDA_ENDPOINT="+endpoint, "AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "THERMOSTAT_FUNCTION=my-thermostat")
	r := rr(t, s.MQTT, "-V", "mqttv5", "-q", "1", "-t", "rooms/kitchen/temperature", "-e", "answers/1", "-m", `{"temperature":27}`, "-W", "20")
	sameJSON(t, `{"setpoint":21,"event":{"temperature":27,"room":"kitchen"}}`, r.Stdout)
	if name := <-invoked; name != "my-thermostat" {
		t.Errorf("invoked %q", name)
	}

	sub := subscribe(t, s.MQTT, "-t", "errors/thermostat")
	publish(t, s.MQTT, "-q", "1", "-t", "rooms/kitchen/temperature", "-m", `{"temperature":28,"fail":true}`)
	line := strings.TrimPrefix(sub.waitFor("errors/thermostat {"), "errors/thermostat ")
	var document struct {
		RuleName, Topic string
		Failures        []struct{ FailedAction, FailedResource, ErrorMessage string }
	}
	if err := json.Unmarshal([]byte(line), &document); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if document.RuleName != "thermostat" || len(document.Failures) != 1 || document.Failures[0].FailedAction != "LambdaAction" ||
		!strings.Contains(document.Failures[0].ErrorMessage, "it broke") {
		t.Errorf("the error action received %s", line)
	}
}
