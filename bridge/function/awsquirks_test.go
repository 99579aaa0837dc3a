package function

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// emulatorOf is a server that behaves as AWS's Runtime Interface Emulator was seen to
// (4fa2157 of January 2026, and one that is told AWS_LAMBDA_FUNCTION_NAME): no headers of Lambda's, failures that look like successes, and a death when
// two invocations meet.
func emulatorOf(t *testing.T, answer func(event string) (status int, body string)) (endpoint string, deaths, calls *atomic.Int32) {
	t.Helper()
	deaths, calls = new(atomic.Int32), new(atomic.Int32)
	var busy atomic.Bool
	mux := http.NewServeMux()
	handler := func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Amz-Client-Context") == "" || r.Header.Get("X-Amzn-Trace-Id") == "" {
			t.Error("an invocation came without its client context or its trace")
		}
		calls.Add(1)
		if busy.Swap(true) {
			deaths.Add(1)
		}
		defer busy.Store(false)
		event, _ := io.ReadAll(r.Body)
		status, body := answer(string(event))
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}
	mux.HandleFunc(riePath, handler)
	mux.HandleFunc(listPath+"named/invocations", handler)
	return serve(t, mux.ServeHTTP), deaths, calls
}

func rieAnswer(event string) (int, string) {
	switch strings.Trim(event, `"`) {
	case "throws":
		return 200, `{"errorMessage": "no", "errorType": "TypeError", "stackTrace": ["a"]}`
	case "hangs":
		return 200, "Task timed out after 3.00 seconds"
	case "exits":
		return 502, `{"errorType":"Runtime.ExitError","errorMessage":"RequestId: 1 Error: Runtime exited with error: exit status 1","long":"` + strings.Repeat("x", 500) + `"}`
	case "busy":
		return 400, ""
	}
	return 200, event
}

func TestRuntimeInterfaceEmulator(t *testing.T) {
	noCredentials(t)
	for _, q := range []struct {
		name   string
		config Config
	}{
		{"declared", Config{Lambda: "arn:aws:lambda:eu-central-1:123456789012:function:ingest", Quirks: QuirksRIE}},
		{"found out", Config{Lambda: "ingest", Quirks: QuirksAuto}},
		{"found out by its answer", Config{Lambda: "function"}},
		{"with a name of its own", Config{Lambda: "named"}},
	} {
		t.Run(q.name, func(t *testing.T) {
			endpoint, deaths, calls := emulatorOf(t, rieAnswer)
			q.config.Endpoint = endpoint
			// Two functions at one endpoint take turns too.
			r := registry(t, map[string]Config{"f": q.config, "g": q.config})
			f, g := lookup(t, r, "f"), lookup(t, r, "g")
			ctx := WithCall(t.Context(), Call{Topic: "t"})
			var callers sync.WaitGroup
			for i := range 16 {
				callers.Go(func() {
					event := fmt.Sprintf(`{"n":%d}`, i)
					if out, err := []Function{f, g}[i%2].Invoke(ctx, []byte(event)); err != nil || string(out) != event {
						t.Errorf("got %s, %v", out, err)
					}
				})
			}
			callers.Wait()
			if n := deaths.Load(); n > 0 {
				t.Errorf("%d invocations met another one, and the emulator dies of that", n)
			}
			if n := calls.Load(); n != 16 {
				t.Errorf("16 events were invoked %d times", n)
			}
			// What is to be streamed comes whole, also as the first there is.
			fresh := lookup(t, registry(t, map[string]Config{"f": q.config}), "f")
			if out, err := fresh.Invoke(WithCall(ctx, Call{Topic: "t", Stream: func(Chunk) error { return nil }}), []byte(`"x"`)); err != nil || string(out) != `"x"` {
				t.Errorf("streamed: %s, %v", out, err)
			}
			var own *Error
			if _, err := f.Invoke(ctx, []byte(`"throws"`)); !errors.As(err, &own) || own.Type != "TypeError" || own.Message != "no" {
				t.Errorf("throws: %v", err)
			}
			if _, err := f.Invoke(ctx, []byte(`"hangs"`)); !errors.Is(err, ErrTimeout) {
				t.Errorf("hangs: %v", err)
			}
			if _, err := f.Invoke(ctx, []byte(`"exits"`)); !errors.As(err, &own) || own.Type != "Runtime.ExitError" {
				t.Errorf("exits: %v", err)
			}
			var status *StatusError
			if _, err := f.Invoke(ctx, []byte(`"busy"`)); !errors.As(err, &status) || status.Status != 400 {
				t.Errorf("busy: %v", err)
			}
		})
	}
}

// What looks like the emulator's failure is an ordinary answer of anything else.
func TestOthersAnswersAreNotSniffed(t *testing.T) {
	noCredentials(t)
	const answer = `{"errorType":"x","errorMessage":"y"}`
	var parallel, most atomic.Int32
	both := make(chan struct{})
	endpoint := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n := parallel.Add(1); n == 2 {
			most.Store(2)
			close(both)
		}
		if strings.Contains(r.Header.Get("X-Amz-Log-Type"), "Tail") {
			t.Error("asked for a log")
		}
		body, _ := io.ReadAll(r.Body)
		if string(body) == `"wait"` {
			<-both
		}
		w.Header().Set("X-Amz-Executed-Version", "$LATEST")
		fmt.Fprint(w, answer)
		parallel.Add(-1)
	})
	f := lookup(t, registry(t, map[string]Config{"f": {Lambda: "function", Endpoint: endpoint}}), "f")
	if out, err := f.Invoke(t.Context(), []byte(`{}`)); err != nil || string(out) != answer {
		t.Fatalf("got %s, %v", out, err)
	}
	var callers sync.WaitGroup
	for range 2 {
		callers.Go(func() {
			if _, err := f.Invoke(t.Context(), []byte(`"wait"`)); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if most.Load() != 2 {
		t.Error("invocations of an ordinary endpoint waited for each other")
	}
}

// A server that has no more than the invocations of one function may be anything.
func TestPartOfLambdaIsNoEmulator(t *testing.T) {
	noCredentials(t)
	mux := http.NewServeMux()
	const answer = `{"errorType":"x","errorMessage":"y"}`
	mux.HandleFunc(listPath+"mine/invocations", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, answer) })
	f := lookup(t, registry(t, map[string]Config{"f": {Lambda: "mine", Endpoint: serve(t, mux.ServeHTTP)}}), "f")
	for range 2 {
		if out, err := f.Invoke(t.Context(), []byte(`{}`)); err != nil || string(out) != answer {
			t.Errorf("got %s, %v", out, err)
		}
	}
}
