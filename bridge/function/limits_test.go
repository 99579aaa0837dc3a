package function

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/topicwire/topicwire/bridge/emulator"
	"github.com/topicwire/topicwire/internal/testkit"
)

// node runs one emulated function with the name f.
func node(t *testing.T, c emulator.Config, code string) (r *Registry, file string) {
	t.Helper()
	testkit.Need(t, "node", "nodejs")
	dir := t.TempDir()
	file = filepath.Join(dir, "index.js")
	if err := os.WriteFile(file, []byte(code), 0o600); err != nil {
		t.Fatal(err)
	}
	c.Runtime, c.Path = "nodejs", "."
	r, err := NewRegistry(map[string]Config{"f": {Config: c}}, Options{Emulator: emulator.Options{BaseDir: dir, CacheDir: t.TempDir()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(start(r))
	return r, file
}

// More calls than there are processes wait in the emulator's queue, for max_wait; that
// it was full for a moment is not held against the function.
func TestEmulatedQueueHasALimit(t *testing.T) {
	t.Parallel()
	r, _ := node(t, emulator.Config{Concurrency: 1, MaxWait: 50 * time.Millisecond, Timeout: time.Minute, Prewarm: 1},
		`exports.handler = async (e) => e.hang ? new Promise(() => setInterval(() => {}, 1000)) : 'well';`)
	f := lookup(t, r, "f")
	for err := errors.ErrUnsupported; err != nil; { // until it has started
		_, err = f.Invoke(t.Context(), []byte(`{}`))
	}
	ctx, cancel := context.WithCancel(t.Context())
	hung := make(chan error, 1)
	go func() { _, err := f.Invoke(ctx, []byte(`{"hang":1}`)); hung <- err }()
	var throttled *ThrottledError
	for range 8 {
		var err error
		for err == nil { // until the other one has the process
			_, err = f.Invoke(t.Context(), []byte(`{}`))
		}
		if !errors.As(err, &throttled) || throttled.Reason != "ReservedFunctionConcurrentInvocationLimitExceeded" {
			t.Fatalf("got %v", err)
		}
	}
	if n, _ := r.Capacity("f"); n != 1 {
		t.Errorf("the function's capacity is %d", n)
	}
	cancel()
	if err := <-hung; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// Calls of other functions wait for a slot, but not for ever.
func TestWaitForASlotHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		l := &living{invoke: func(context.Context, []byte) ([]byte, error) { <-release; return nil, nil }}
		c := Config{HTTP: "x", Config: emulator.Config{Concurrency: 4, Timeout: time.Hour}}
		r := with(t, "f", l, c)
		defer r.Close()
		done := make(chan error)
		for range 4 + maxWaiting + 5 {
			go func() { _, err := r.declared["f"].Invoke(context.Background(), nil); done <- err }()
		}
		synctest.Wait()
		began := time.Now()
		for n := range maxWaiting + 5 {
			if err := <-done; !errors.Is(err, ErrThrottled) || time.Since(began) > maxWait || n < 5 && time.Since(began) > 0 {
				t.Fatalf("call %d: %v after %s", n, err, time.Since(began))
			}
		}
		if n, _ := r.Capacity("f"); n != 4 {
			t.Errorf("the function's capacity is %d: it was not to blame", n)
		}
		close(release)
		for range 4 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
	})
}

// A function sees under which alias it was invoked, whoever names it.
func TestEmulatedAlias(t *testing.T) {
	t.Parallel()
	r, _ := node(t, emulator.Config{}, `exports.handler = async (e, c) => c.invokedFunctionArn;`)
	const arn = "arn:aws:lambda:us-east-1:123456789012:function:f"
	for _, c := range []struct {
		name string
		call Call
		want string
	}{
		{"f", Call{}, arn},
		{arn, Call{}, arn},
		{arn + ":live", Call{}, arn + ":live"},
		{"f", Call{Qualifier: "7"}, arn + ":7"},
	} {
		out, err := lookup(t, r, c.name).Invoke(WithCall(t.Context(), c.call), []byte("{}"))
		if err != nil || string(out) != `"`+c.want+`"` {
			t.Errorf("%s %+v: got %s, %v", c.name, c.call, out, err)
		}
	}
}

// New code is tried at once, whatever the old one did.
func TestNewCodeIsTried(t *testing.T) {
	t.Parallel()
	r, file := node(t, emulator.Config{}, `exports.handler = async () => { throw new Error('broken'); };`)
	f := lookup(t, r, "f")
	var own *Error
	if _, err := f.Invoke(t.Context(), []byte("{}")); !errors.As(err, &own) {
		t.Fatal(err)
	}
	h := r.declared["f"].health
	h.mu.Lock()
	h.open, h.until = true, time.Now().Add(time.Hour)
	h.mu.Unlock()
	if _, err := f.Invoke(t.Context(), []byte("{}")); Classify(err) != Open {
		t.Fatalf("got %v", err)
	}
	// Whoever asks for one attempt gets one.
	if _, err := f.Invoke(WithCall(t.Context(), Call{Direct: true}), []byte("{}")); !errors.As(err, &own) {
		t.Errorf("a direct call: %v", err)
	}
	if err := os.WriteFile(file, []byte(`exports.handler = async () => 'mended';`), 0o600); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for limit := time.After(testkit.Patience); ; {
		out, err := f.Invoke(t.Context(), []byte("{}"))
		if string(out) == `"mended"` {
			return
		}
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("the new code is not called: %s, %v", out, err)
		}
	}
}

// A character that two pieces share arrives whole, and bytes that are none arrive too.
func TestPiecesAreWholeCharacters(t *testing.T) {
	t.Parallel()
	r, _ := node(t, emulator.Config{}, `
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  for (const piece of [[0x68, 0xc3], [0xa4], [0xf0, 0x9f], [0x98], [0x80, 0x21], [0xff, 0xf0, 0x9f]]) {
    await new Promise((done) => out.write(Buffer.from(piece), done));
    await new Promise((done) => setTimeout(done, 5));
  }
  if (event.fail) throw new TypeError('no');
  out.end();
});`)
	for event, want := range map[string]string{`{}`: "", `{"fail":1}`: "TypeError"} {
		var pieces []string
		call := Call{Stream: func(c Chunk) error { pieces = append(pieces, string(c.Data)); return nil }}
		_, err := lookup(t, r, "f").Invoke(WithCall(t.Context(), call), []byte(event))
		if got := fmt.Sprintf("%q", pieces); got != `["h" "ä" "😀!" "\xff" "\xf0\x9f"]` {
			t.Errorf("%s: got %s", event, got)
		}
		var own *Error
		if errors.As(err, &own) != (want != "") || own != nil && own.Type != want {
			t.Errorf("%s: %v", event, err)
		}
	}
}

// A piece that nobody wants any more ends the invocation.
func TestPieceThatIsRefusedEndsTheInvocation(t *testing.T) {
	t.Parallel()
	r, _ := node(t, emulator.Config{Timeout: time.Minute}, `
exports.handler = awslambda.streamifyResponse(async (event, out) => {
  for (;;) { await new Promise((done) => out.write('x', done)); await new Promise((done) => setTimeout(done, 2)); }
});`)
	enough := errors.New("enough")
	calls := 0
	call := Call{Stream: func(Chunk) error { calls++; return enough }}
	if _, err := lookup(t, r, "f").Invoke(WithCall(t.Context(), call), []byte("{}")); !errors.Is(err, enough) || calls != 1 || strings.Contains(err.Error(), "canceled") {
		t.Errorf("got %v after %d pieces", err, calls)
	}
}
