package function

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/bridge/emulator"
	"github.com/topicwire/topicwire/internal/testkit"
	"github.com/topicwire/topicwire/message"
)

const handler = `
exports.handler = async (event, context) => {
  if (event.fail) throw new TypeError("thrown on purpose");
  if (event.hang) return new Promise(() => setInterval(() => {}, 1000));
  if (event.big) return "x".repeat(7 * 1024 * 1024);
  return { event, id: context.awsRequestId, custom: context.clientContext.custom };
};
`

// An emulated function is a function like others: its call's metadata arrives, and its
// failures have this room's types.
func TestEmulatedFunction(t *testing.T) {
	testkit.Need(t, "node", "nodejs")
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "index.js"), []byte(handler), 0o600); err != nil {
		t.Fatal(err)
	}
	// Only hanging takes the time that the function has; the others must not run into it.
	patient := emulator.Config{Runtime: "nodejs", Path: ".", Handler: "index.handler", Timeout: 30e9}
	hasty := patient
	hasty.Timeout = 1e9
	r, err := NewRegistry(map[string]Config{"f": {Config: patient}, "hasty": {Config: hasty}},
		Options{Emulator: emulator.Options{BaseDir: dir, CacheDir: t.TempDir()}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := start(r)
	defer stop()
	if n, _ := r.Capacity("f"); n != 10 {
		t.Errorf("Capacity is %d, want the emulator's 10", n)
	}
	f := lookup(t, r, "f")
	id := message.NewID()
	ctx := WithCall(t.Context(), Call{RequestID: id, Rule: "r", Topic: "a/b"})
	out, err := f.Invoke(ctx, []byte(`{"n":1}`))
	if want := `{"event":{"n":1},"id":"` + id + `","custom":{"requestId":"` + id + `","rule":"r","topic":"a/b"}}`; err != nil || string(out) != want {
		t.Errorf("got %s, %v\nwant %s", out, err, want)
	}
	var own *Error
	if _, err := f.Invoke(ctx, []byte(`{"fail":true}`)); !errors.As(err, &own) || own.Type != "TypeError" || own.Message != "thrown on purpose" {
		t.Errorf("a throw: got %v", err)
	}
	if _, err := f.Invoke(ctx, []byte(`{"big":true}`)); err == nil || !strings.Contains(err.Error(), "exceeded maximum allowed payload size") {
		t.Errorf("7 MB: got %v", err)
	}
	if _, err := lookup(t, r, "hasty").Invoke(ctx, []byte(`{"hang":true}`)); !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "Task timed out after 1.00 seconds") {
		t.Errorf("a hang: got %v", err)
	}
}

func TestEmulatorErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want error
		text string
	}{
		{&emulator.UnavailableError{Function: "f", Problem: "node is not on the PATH", Remedy: "install Node.js"}, ErrUnavailable, "function unavailable: node is not on the PATH; install Node.js"},
		{&emulator.ThrottledError{Function: "f", Reason: "Reserved"}, ErrThrottled, "function throttled: Reserved"},
		{emulator.ErrClosed, ErrRetired, ""},
		{emulator.ErrPayloadTooLarge, ErrPayloadTooLarge, ""},
	} {
		got := emulatorError(c.err)
		if !errors.Is(got, c.want) || c.text != "" && got.Error() != c.text {
			t.Errorf("%v became %v", c.err, got)
		}
	}
}
