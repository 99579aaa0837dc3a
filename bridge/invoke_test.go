package bridge_test

import (
	"context"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/function"
)

// What is invoked later goes through the outbox, whatever its function does.
func TestInvokeLater(t *testing.T) {
	called := make(chan function.Call, 8)
	f := functions{
		"f": func(ctx context.Context, _ []byte) ([]byte, error) {
			called <- function.CallFrom(ctx)
			return []byte("1"), nil
		},
		"fail": func(ctx context.Context, _ []byte) ([]byte, error) {
			called <- function.CallFrom(ctx)
			return nil, errThrown
		},
	}
	b, _, _ := start(t, bridge.Options{}, compile(t, f))
	for _, name := range []string{"fail", "f"} {
		ctx := function.WithCall(t.Context(), function.Call{RequestID: "id-" + name, Hops: 3})
		if err := b.InvokeLater(ctx, name, []byte(`{}`)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		if call := receive(t, called, "invocation"); !strings.HasPrefix(call.RequestID, "id-") || call.Hops != 3 {
			t.Errorf("invoked as %+v", call)
		}
	}
	if out, err := b.Invoke(t.Context(), "f", nil); err != nil || string(out) != "1" {
		t.Errorf("got %s, %v", out, err)
	}
}
