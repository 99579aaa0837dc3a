package action

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/message"
)

// Invoker calls a function by its name or ARN.
type Invoker interface {
	Invoke(ctx context.Context, nameOrARN string, payload []byte) ([]byte, error)
}

// Poster POSTs to a URL; see [function.Poster].
type Poster interface {
	Post(ctx context.Context, url string, header http.Header, body []byte) ([]byte, error)
}

// Publisher publishes a message as if a client had.
type Publisher interface {
	Publish(ctx context.Context, m *message.Message) error
}

// Services are what actions act with. All fields but MayPublish are needed.
type Services struct {
	Functions Invoker
	Poster    Poster
	Publisher Publisher
	// MayReceive says whether whoever sent a message may receive from a topic.
	MayReceive func(o message.Origin, topic string) bool
	// MayPublish says whether a function may publish to a topic that it names itself,
	// retained or not; nil means that all may.
	MayPublish func(function, topic string, retain bool) bool
	// Now is the clock.
	Now func() time.Time
}

// ErrNothing is returned for a task without an action.
var ErrNothing = errors.New("the task holds no action that this version knows")

// ErrPublish says that an answer or a republished message could not be published.
var ErrPublish = errors.New("cannot publish")

type publishError struct {
	topic string
	err   error
}

func (e *publishError) Error() string   { return fmt.Sprintf("cannot publish to %s: %s", e.topic, e.err) }
func (e *publishError) Unwrap() []error { return []error{ErrPublish, e.err} }

// Do does one task: one attempt. The error is the action's failure; what a function
// threw is a *function.Error.
func (s *Services) Do(ctx context.Context, t *Task) (Result, error) {
	_, w := t.Spec.find()
	if w == nil {
		return Result{}, ErrNothing
	}
	return w.do(ctx, s, t)
}

// limited runs call with a time limit of the action's own, 0 for none, and says so if
// it passed.
func limited(ctx context.Context, limit time.Duration, call func(context.Context) ([]byte, error)) ([]byte, error) {
	if limit <= 0 {
		return call(ctx)
	}
	timed, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	out, err := call(timed)
	if err != nil && ctx.Err() == nil && errors.Is(timed.Err(), context.DeadlineExceeded) && !errors.Is(err, function.ErrTimeout) {
		return nil, fmt.Errorf("%w after %s", function.ErrTimeout, limit)
	}
	return out, err
}

// withCall tells the function on whose behalf it is called.
func withCall(ctx context.Context, t *Task) context.Context {
	return function.WithCall(ctx, function.Call{
		RequestID: t.ID,
		Rule:      t.Rule,
		Topic:     t.Message.Topic,
		ClientID:  t.Message.From.ClientID,
		User:      t.Message.Props.User,
		Hops:      t.Message.Hops,
	})
}

// mayPublish reports whether the task's function may publish to a topic that it named
// itself.
func (s *Services) mayPublish(t *Task, topic string, retain bool) bool {
	l := t.Spec.Lambda
	return l == nil || s.MayPublish == nil || s.MayPublish(l.Function, topic, retain)
}

// publish sends a message that a rule has made.
func (s *Services) publish(ctx context.Context, t *Task, m *message.Message) error {
	m.From = message.Origin{Via: message.ViaInternal, Rule: t.Rule}
	m.Received = s.Now()
	m.Hops = t.Message.Hops + 1
	if m.Hops == 0 {
		m.Hops-- // never wrap round to a client's message
	}
	if err := s.Publisher.Publish(ctx, m); err != nil {
		return &publishError{topic: m.Topic, err: err}
	}
	return nil
}
