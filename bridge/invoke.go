package bridge

import (
	"context"
	"errors"
	"time"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/message"
)

// Invoke calls a function by its name or ARN for somebody who is no rule; ctx carries a
// [function.Call]. It goes to the functions of now: a reload on the way is not noticed.
func (b *Bridge) Invoke(ctx context.Context, nameOrARN string, payload []byte) ([]byte, error) {
	return invoker{b}.Invoke(ctx, nameOrARN, payload)
}

// InvokeLater takes an event for a function over and returns when it is safe: it goes
// through the outbox as a rule's action does, and its answer goes nowhere. Of the call
// in ctx the request id and the hops count. An outbox that is full is a
// *[function.ThrottledError].
func (b *Bridge) InvokeLater(ctx context.Context, nameOrARN string, payload []byte) error {
	call := function.CallFrom(ctx)
	if b.ending.Load() && call.Hops == 0 {
		return outbox.Closed()
	}
	now := time.Now()
	m := &message.Message{
		QoS: 1, From: message.Origin{Via: message.ViaHTTP}, Received: now, Hops: call.Hops,
	}
	m.EnsureID()
	id := call.RequestID
	if id == "" {
		id = m.ID
	}
	pending, err := b.durable.Put(ctx, outbox.Job{
		Task: action.Task{
			ID: id, Spec: action.Spec{Lambda: &action.LambdaSpec{Function: nameOrARN}}, Message: m, Payload: payload,
		},
		Stage: outbox.Act, Accepted: now,
		Queue: queueName(queueLambda, b.loaded.Load().functions.Resolve(nameOrARN)),
	})
	switch {
	case errors.Is(err, outbox.ErrFull):
		return &function.ThrottledError{Reason: "CallerRateLimitExceeded", RetryAfter: time.Second}
	case err != nil || pending == nil:
		return err
	}
	stored := make(chan error, 1)
	pending.Then(func(err error) { stored <- err })
	select {
	case err := <-stored:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}
