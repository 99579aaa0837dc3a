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

// emulatorOf is a server that behaves as AWS's Runtime Interface Emulator was seen to:
// one path, no headers of Lambda's, failures that look like successes, and a death when
// two invocations meet.
func emulatorOf(t *testing.T, answer func(event string) (status int, body string)) (endpoint string, deaths, calls *atomic.Int32) {
	t.Helper()
	t.Helper()
	deaths, calls = new(atomic.Int32), new(atomic.Int32)
	var busy atomic.Bool
	mux := http.NewServeMux()
	mux.HandleFunc(riePath, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if busy.Swap(true) {
			deaths.Add(1)
		}
		defer busy.Store(false)
		event, _ := io.ReadAll(r.Body)
		status, body := answer(string(event))
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	})
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
	} {
		t.Run(q.name, func(t *testing.T) {
			endpoint, deaths, calls := emulatorOf(t, rieAnswer)
			q.config.Endpoint = endpoint
			f := lookup(t, registry(t, map[string]Config{"f": q.config}), "f")
			var callers sync.WaitGroup
			for i := range 16 {
				callers.Go(func() {
					event := fmt.Sprintf(`{"n":%d}`, i)
					if out, err := f.Invoke(t.Context(), []byte(event)); err != nil || string(out) != event {
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
			var own *Error
			if _, err := f.Invoke(t.Context(), []byte(`"throws"`)); !errors.As(err, &own) || own.Type != "TypeError" || own.Message != "no" {
				t.Errorf("throws: %v", err)
			}
			if _, err := f.Invoke(t.Context(), []byte(`"hangs"`)); !errors.Is(err, ErrTimeout) {
				t.Errorf("hangs: %v", err)
			}
			if _, err := f.Invoke(t.Context(), []byte(`"exits"`)); !errors.As(err, &own) || own.Type != "Runtime.ExitError" {
				t.Errorf("exits: %v", err)
			}
			var status *StatusError
			if _, err := f.Invoke(t.Context(), []byte(`"busy"`)); !errors.As(err, &status) || status.Status != 400 {
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
