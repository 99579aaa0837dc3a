package action_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
)

// batched answers a batch, and keeps the event and on whose behalf it was called.
type batched struct {
	services
	event []byte
	call  function.Call
}

func (b *batched) Invoke(ctx context.Context, name string, payload []byte) ([]byte, error) {
	b.event, b.call = payload, function.CallFrom(ctx)
	return b.services.Invoke(ctx, name, payload)
}

func (b *batched) Post(ctx context.Context, _ string, _ http.Header, body []byte) ([]byte, error) {
	return b.Invoke(ctx, "", body)
}

// do hands tasks to a function as one batch.
func (b *batched) do(t *testing.T, mayPublish func(function, topic string, retain bool) bool, tasks ...*action.Task) []*action.Item {
	t.Helper()
	items := make([]*action.Item, len(tasks))
	for i, task := range tasks {
		items[i] = &action.Item{Task: task, Seq: uint64(i)}
	}
	s := b.all()
	s.Functions, s.Poster, s.MayPublish = b, b, mayPublish
	spec := &action.BatchSpec{MaxSize: 10, MaxBytes: 1 << 20, Format: action.FormatIoT, Report: true}
	if err := s.DoBatch(t.Context(), spec, items, func(*action.Item) string { return "" }); err != nil {
		t.Fatal(err)
	}
	return items
}

// A function that publishes on account of a batch is as far from a client as the
// farthest message in it, so that a loop through batches ends.
func TestBatchHandsHopsOn(t *testing.T) {
	b := &batched{}
	near, far := task(action.Spec{Lambda: &action.LambdaSpec{Function: "f"}}), task(action.Spec{Lambda: &action.LambdaSpec{Function: "f"}})
	far.Message.Hops = 5
	b.do(t, nil, near, far, near)
	if b.call.Hops != 5 || b.call.Rule != "r" || b.call.RequestID == "" {
		t.Errorf("the call is %+v", b.call)
	}
}

// A topic that a function names itself is one that its policies must allow, in the
// answer to a batch as in any other.
func TestBatchReplyAsksForTheTopic(t *testing.T) {
	one := task(action.Spec{Lambda: &action.LambdaSpec{Function: "f", Reply: &action.ReplySpec{Topic: "out", QoS: -1, Retain: true}}})
	asked := func(allow bool) func(string, string, bool) bool {
		return func(f, topic string, retain bool) bool {
			if f != "f" || topic != "secret" || !retain {
				t.Errorf("asked for %s, %s, %v", f, topic, retain)
			}
			return allow
		}
	}
	b := &batched{services: services{answer: `{"replies":[{"messageId":"id","payload":1,"topic":"secret"}]}`}}
	items := b.do(t, asked(false), one)
	if err := items[0].Err; err == nil || !strings.Contains(err.Error(), "policies do not let it publish") || len(b.sent) != 0 {
		t.Errorf("got %v, and %d messages", err, len(b.sent))
	}
	items = b.do(t, asked(true), one)
	if err := items[0].Err; err != nil || len(b.sent) != 1 || b.sent[0].Topic != "secret" {
		t.Errorf("got %v, and %v", err, b.sent)
	}
	b.answer = `{"replies":[{"messageId":"id","payload":1}]}` // the rule's own topic is not asked for
	items = b.do(t, asked(false), one)
	if err := items[0].Err; err != nil || len(b.sent) != 2 || b.sent[1].Topic != "out" {
		t.Errorf("got %v, and %v", err, b.sent)
	}
}

// A payload that is JSON but for its UTF-8 reaches the function as the bytes that it is.
func TestBatchEventKeepsBytes(t *testing.T) {
	b := &batched{}
	odd, plain := task(action.Spec{Lambda: &action.LambdaSpec{Function: "f"}}), task(action.Spec{Lambda: &action.LambdaSpec{Function: "f"}})
	odd.Payload = []byte("{\"a\":\"\xff\"}")
	b.do(t, nil, odd, plain)
	var event struct {
		Messages []struct {
			Payload       json.RawMessage `json:"payload"`
			PayloadBase64 []byte          `json:"payloadBase64"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(b.event, &event); err != nil {
		t.Fatal(err)
	}
	if m := event.Messages[0]; m.Payload != nil || string(m.PayloadBase64) != string(odd.Payload) {
		t.Errorf("got %s", b.event)
	}
	if m := event.Messages[1]; string(m.Payload) != `{"out":1}` || m.PayloadBase64 != nil {
		t.Errorf("got %s", b.event)
	}
}
