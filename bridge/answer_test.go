package bridge_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/message"
)

// away refuses messages so many times, as a broker does whose store is away.
type away struct {
	*broker
	left atomic.Int32
}

type storeAway struct{}

func (storeAway) Error() string   { return "the store takes nothing now" }
func (storeAway) Temporary() bool { return true }

func (p *away) Publish(ctx context.Context, m *message.Message) error {
	if p.left.Add(-1) >= 0 {
		return storeAway{}
	}
	return p.broker.Publish(ctx, m)
}

// An answer outlasts a store that is away for longer than a function's own failures are
// tried again.
func TestAnswerWaitsForTheStore(t *testing.T) {
	const refusals = 8
	p := &away{broker: newBroker()}
	p.left.Store(refusals)
	a := lambdaReply("echo", "out")
	a.Retry = &action.RetryConfig{Backoff: &action.Backoff{Min: time.Millisecond, Max: time.Millisecond}}
	b, _, stop := start(t, bridge.Options{Publisher: p}, compile(t, functions{"echo": echo}, rule("r", "SELECT * FROM 'in'", a)))
	p.bridge = b
	accept(t, b, msg("in", `{"n":1}`))
	if got := p.next(t); got.Topic != "out" || string(got.Payload) != `{"n":1}` {
		t.Errorf("got %s: %s", got.Topic, got.Payload)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if left := p.left.Load(); left != -1 {
		t.Errorf("%d refusals were not met", left+1)
	}
}
