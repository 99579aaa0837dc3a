package app

import (
	"errors"
	"testing"
	"time"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/message"
)

func TestLiveLines(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 678e6, time.UTC)
	hello := &message.Message{Topic: "hello/ada", From: message.Origin{ClientID: "c1"}}
	for _, c := range []struct {
		event bridge.Event
		want  string
	}{
		{
			bridge.Event{Stage: bridge.Finished, Message: hello, Rule: "hello", Action: "lambda", Target: "hello", Duration: 1234 * time.Microsecond, ReplyTopic: "hello/ada/reply"},
			"03:04:05.678  hello/ada from c1 → hello → lambda hello 1.2 ms → hello/ada/reply\n",
		},
		{
			bridge.Event{Stage: bridge.Failed, Message: hello, Rule: "hello", Action: "lambda", Target: "hello", Duration: 3 * time.Second, Err: errors.New("timed out\n\x1b[2J")},
			"03:04:05.678  hello/ada from c1 → hello → lambda hello failed after 3000.0 ms: timed out··[2J\n",
		},
		{
			bridge.Event{Stage: bridge.Finished, Message: &message.Message{Topic: "a"}, Rule: "r", Action: "republish", Target: "b", ErrorAction: true},
			"03:04:05.678  a → r → error action republish b 0.0 ms\n",
		},
		{
			bridge.Event{Stage: bridge.Accepted, Message: &message.Message{Topic: "a/b", From: message.Origin{Rule: "hello"}}},
			"03:04:05.678  a/b from rule hello → no rule\n",
		},
		{
			bridge.Event{Stage: bridge.Refused, Message: hello, Err: errors.New("the outbox is full")},
			"03:04:05.678  hello/ada from c1 → refused: the outbox is full\n",
		},
	} {
		c.event.Time = at
		if got := NewLive(nil, false).line(c.event); got != c.want {
			t.Errorf("got  %qwant %q", got, c.want)
		}
	}
}

func TestLiveNeverBlocks(t *testing.T) {
	l := NewLive(nil, false)
	for range liveBacklog + 10 {
		l.Observe(bridge.Event{Stage: bridge.Finished, Message: &message.Message{}})
	}
	if n := l.skipped.Load(); n != 10 {
		t.Errorf("%d events were counted as skipped, want 10", n)
	}
}
