package action

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/message"
)

// ErrItem says that a function has reported an item of a batch as failed.
var ErrItem = errors.New("the function reported it in batchItemFailures")

// ErrBatchAnswer says that a function's answer to a batch cannot be understood: the
// batch has failed as a whole, as with AWS.
var ErrBatchAnswer = errors.New("the answer to the batch cannot be understood")

// DoBatch invokes the items' function once with all of them, and says in each what
// became of it: one attempt. An error says that the batch failed as a whole; then the
// items say nothing.
//
// As with AWS, an empty answer, null and an answer without batchItemFailures say that
// all is well. In format sqs, and iot, exactly the items that are listed have failed;
// in format kinesis everything from the first one on. An item with inOrder is done
// again with any item before it that has the same.
// (https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html)
func (s *Services) DoBatch(ctx context.Context, b *BatchSpec, items []*Item, inOrder func(*Item) string) error {
	event, err := b.event(items)
	if err != nil {
		return fmt.Errorf("cannot make the batch's event: %w", err)
	}
	if len(event) > function.MaxPayload {
		return function.ErrPayloadTooLarge
	}
	first := items[0].Task
	call := function.Call{RequestID: message.NewID(), Rule: first.Rule}
	for _, i := range items { // what the function makes of them comes from any of them
		call.Hops = max(call.Hops, i.Task.Message.Hops)
	}
	ctx = function.WithCall(ctx, call)
	var out []byte
	switch spec := first.Spec; {
	case spec.Lambda != nil:
		out, err = limited(ctx, spec.Lambda.Timeout, func(ctx context.Context) ([]byte, error) {
			return s.Functions.Invoke(ctx, spec.Lambda.Function, event)
		})
	case spec.HTTP != nil:
		out, err = limited(ctx, spec.HTTP.Timeout, func(ctx context.Context) ([]byte, error) {
			return s.Poster.Post(ctx, spec.HTTP.URL, spec.HTTP.Headers, event)
		})
	default:
		err = ErrNothing
	}
	if err != nil {
		return err
	}
	answer, err := b.parse(out, items)
	if err != nil {
		return err
	}
	b.mark(items, answer.failed, inOrder)
	s.replies(ctx, answer, items)
	return nil
}

// batchAnswer is what a function says of a batch.
type batchAnswer struct {
	failed  map[*Item]bool
	replies []batchReply
	byID    map[string]*Item
}

// batchReply is the answer to one message.
type batchReply struct {
	MessageID     string          `json:"messageId"`
	Payload       json.RawMessage `json:"payload"`
	PayloadBase64 []byte          `json:"payloadBase64"`
	Topic         string          `json:"topic"`
}

func (b *BatchSpec) parse(out []byte, items []*Item) (*batchAnswer, error) {
	a := &batchAnswer{failed: make(map[*Item]bool), byID: make(map[string]*Item, len(items))}
	for _, i := range items {
		a.byID[i.id(b.Format)] = i
	}
	out = bytes.TrimSpace(out)
	if len(out) == 0 {
		return a, nil
	}
	if !json.Valid(out) {
		if !b.Report {
			return a, nil
		}
		return nil, fmt.Errorf("%w: it is not JSON", ErrBatchAnswer)
	}
	if out[0] != '{' {
		return a, nil // it reports nothing
	}
	// Not into a struct, which would take keys in any case.
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(out, &fields); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBatchAnswer, err)
	}
	if raw, ok := fields["replies"]; ok {
		if err := json.Unmarshal(raw, &a.replies); err != nil {
			return nil, fmt.Errorf(`%w: replies: %w; it is a list of {"messageId", "payload"}`, ErrBatchAnswer, err)
		}
	}
	if raw, ok := fields["batchItemFailures"]; ok && b.Report {
		return a, a.parseFailures(raw)
	}
	return a, nil
}

func (a *batchAnswer) parseFailures(raw json.RawMessage) error {
	var list []map[string]json.RawMessage
	if err := json.Unmarshal(raw, &list); err != nil {
		return fmt.Errorf("%w: batchItemFailures: %w", ErrBatchAnswer, err)
	}
	for _, entry := range list {
		var id string
		if err := json.Unmarshal(entry["itemIdentifier"], &id); err != nil || id == "" {
			return fmt.Errorf("%w: an entry of batchItemFailures has no itemIdentifier", ErrBatchAnswer)
		}
		item := a.byID[id]
		if item == nil {
			return fmt.Errorf("%w: batchItemFailures names %.100q, which is not in the batch", ErrBatchAnswer, id)
		}
		a.failed[item] = true
	}
	return nil
}

// mark tells the items that have to be done again.
func (b *BatchSpec) mark(items []*Item, failed map[*Item]bool, inOrder func(*Item) string) {
	stopped := make(map[string]bool)
	all := false
	for _, i := range items {
		i.Err, i.Behind = nil, false
		order := inOrder(i)
		switch {
		case all || order != "" && stopped[order]:
			i.Err, i.Behind = ErrItem, true
		case failed[i]:
			i.Err = ErrItem
			all = b.Format == FormatKinesis
			stopped[order] = true
		}
	}
}

// replies publishes what the function has for single messages.
func (s *Services) replies(ctx context.Context, a *batchAnswer, items []*Item) {
	for _, i := range items {
		i.Result = Result{Unanswered: NoAnswer}
	}
	byTask := make(map[string]*Item, len(items))
	for _, i := range items {
		byTask[i.Task.ID] = i
	}
	for _, r := range a.replies {
		item := a.byID[r.MessageID]
		if item == nil {
			item = byTask[r.MessageID]
		}
		if item == nil || item.Err != nil {
			continue // it names no message, or one that is done again and answered then
		}
		item.Result, item.Err = s.reply(ctx, item.Task, r)
	}
}

func (s *Services) reply(ctx context.Context, t *Task, r batchReply) (Result, error) {
	spec := t.Spec.reply()
	if r.Topic != "" {
		if err := message.ValidateTopic(r.Topic); err != nil {
			return Result{}, fmt.Errorf("replies: %w", err)
		}
		if strings.HasPrefix(r.Topic, "$") {
			return Result{}, fmt.Errorf("replies: topic %.100q: %w", r.Topic, errReserved)
		}
		elsewhere := ReplySpec{QoS: -1}
		if spec != nil {
			elsewhere = *spec
		}
		if !s.mayPublish(t, r.Topic, elsewhere.Retain) {
			return Result{}, fmt.Errorf("replies: topic %.200q: %w", r.Topic, errMayNot)
		}
		elsewhere.Topic, elsewhere.Prefer = r.Topic, false
		spec = &elsewhere
	}
	payload := []byte(r.Payload)
	if len(r.PayloadBase64) > 0 {
		payload = r.PayloadBase64
	}
	return s.answer(ctx, t, spec, payload)
}

// reply is where the answer of a function goes.
func (s Spec) reply() *ReplySpec {
	switch {
	case s.Lambda != nil:
		return s.Lambda.Reply
	case s.HTTP != nil:
		return s.HTTP.Reply
	}
	return nil
}
