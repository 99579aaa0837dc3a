package action

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"time"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/message"
)

// The user properties of a streamed answer. Its pieces have one stream and count
// sequence up from 0; the last message has no piece: it says with end how it went. A
// stream that is begun again, because a failure is retried, counts from 0 again.
const (
	propStream   = "stream"   // identifies the invocation
	propSequence = "sequence" // 0, 1, 2, ...
	propEnd      = "end"      // ok or error; with error the payload is an error document
	propEvent    = "event"    // the type of a server-sent event
	propEventID  = "event-id" // its id

	endOK    = "ok"
	endError = "error"
)

// replied calls a function and publishes what it answers: at once when it is there or,
// if the rule wants that, piece by piece while it comes.
func (s *Services) replied(ctx context.Context, t *Task, spec *ReplySpec, limit time.Duration, call func(context.Context) ([]byte, error)) (Result, error) {
	called := withCall(ctx, t)
	if spec != nil && spec.Stream {
		if topic, _ := s.replyTopic(t.Message, spec); topic != "" {
			stream := &replyStream{s: s, t: t, spec: spec, topic: topic}
			c := function.CallFrom(called)
			c.Stream = func(chunk function.Chunk) error { return stream.publish(ctx, chunk) }
			out, err := limited(function.WithCall(called, c), limit, call)
			return stream.finish(ctx, out, err)
		}
	}
	out, err := limited(called, limit, call)
	if err != nil {
		return Result{}, err
	}
	return s.answer(ctx, t, spec, out)
}

// replyStream is an answer on its way. The function is not read faster than its pieces
// are published, so it holds one at a time.
type replyStream struct {
	s        *Services
	t        *Task
	spec     *ReplySpec
	topic    string
	sequence int
	failed   error // of a publish
}

func (r *replyStream) publish(ctx context.Context, chunk function.Chunk) error {
	if len(chunk.Data) == 0 && chunk.Event == "" {
		return nil
	}
	var more []message.UserProperty
	if chunk.Event != "" {
		more = append(more, message.UserProperty{Key: propEvent, Value: chunk.Event})
	}
	if chunk.ID != "" {
		more = append(more, message.UserProperty{Key: propEventID, Value: chunk.ID})
	}
	r.failed = r.send(ctx, chunk.Data, more...)
	return r.failed
}

func (r *replyStream) send(ctx context.Context, payload []byte, more ...message.UserProperty) error {
	m := replyMessage(r.t, r.spec, r.topic, payload)
	m.Props.User = append([]message.UserProperty{
		{Key: propStream, Value: r.t.ID}, {Key: propSequence, Value: strconv.Itoa(r.sequence)},
	}, more...)
	r.sequence++
	return r.s.publish(ctx, r.t, m)
}

// finish publishes what was given whole, and the end.
func (r *replyStream) finish(ctx context.Context, out []byte, err error) (Result, error) {
	switch {
	case r.failed != nil:
		return Result{}, r.failed
	case err != nil:
		if r.sequence > 0 || r.own(err) {
			// The failure is the action's; that its receivers are told is a courtesy.
			_ = r.send(ctx, streamError(err), message.UserProperty{Key: propEnd, Value: endError})
		}
		return Result{}, err
	}
	if trimmed := bytes.TrimSpace(out); len(trimmed) > 0 && (r.sequence > 0 || string(trimmed) != "null") {
		if err := r.publish(ctx, function.Chunk{Data: out}); err != nil {
			return Result{}, err
		}
	}
	if err := r.send(ctx, nil, message.UserProperty{Key: propEnd, Value: endOK}); err != nil {
		return Result{}, err
	}
	return Result{ReplyTopic: r.topic}, nil
}

// own reports whether the function itself has failed, and not the way to it: that is
// tried again, and nobody has to know.
func (r *replyStream) own(err error) bool {
	var own *function.Error
	return errors.As(err, &own) || errors.Is(err, function.ErrTimeout)
}

// streamError is the error document of a failure.
func streamError(err error) []byte {
	var own *function.Error
	if errors.As(err, &own) && json.Valid(own.Payload) {
		return own.Payload
	}
	doc, err := json.Marshal(map[string]string{"errorType": function.Outcome(err), "errorMessage": err.Error()})
	if err != nil { // strings always marshal
		return nil
	}
	return doc
}
