package bridge_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/outbox"
)

// stored is an outbox whose jobs go through JSON, as in a store, and are durable only
// when later says so.
type stored struct {
	*outbox.Memory
	later chan func() // nil: at once, but through a Pending
}

type pending chan error

func (p pending) Then(f func(error)) {
	go func() { f(<-p) }()
}

func (s stored) Put(ctx context.Context, jobs ...outbox.Job) (outbox.Pending, error) {
	back := make([]outbox.Job, len(jobs))
	for i := range jobs {
		doc, err := json.Marshal(jobs[i])
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(doc, &back[i]); err != nil {
			return nil, err
		}
	}
	if _, err := s.Memory.Put(ctx, back...); err != nil {
		return nil, err
	}
	p := make(pending, 1)
	if s.later == nil {
		p <- nil
	} else {
		s.later <- func() { p <- nil }
	}
	return p, nil
}

// A job that comes back from a store needs no rule: it does what the rule of its time
// said, error action and statement included, although the rules are others by now.
func TestStoredJobRunsWithoutItsRule(t *testing.T) {
	f := functions{"echo": echo, "throws": throws(errThrown), "down": throws(errDown)}
	out := newBroker()
	b := bridge.New(bridge.Options{Publisher: out, Outbox: stored{Memory: outbox.NewMemory(outbox.MemoryOptions{})}})
	out.bridge = b
	b.Load(compile(t, f,
		rule("plain", "SELECT n AS m FROM 'in'", lambdaReply("echo", "plain/${n}")),
		withError(rule("fails", "SELECT * FROM 'in'", lambda("throws")), republish("errors/${topic()}/${n}")),
		withError(rule("outside", `SET @x = aws_lambda("echo", *) SELECT @x AS x FROM 'in'`, republish("outside/${n}")), republish("no")),
		withError(rule("broken", `SELECT aws_lambda("down", *) AS x FROM 'in'`, republish("no")), republish("errors/broken")),
	))
	accept(t, b, msg("in", `{"n":1}`))
	b.Load(compile(t, f)) // all rules are gone
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	got := map[string]string{}
	for range 4 {
		m := out.next(t)
		got[m.Topic] = string(m.Payload)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	for topic, part := range map[string]string{
		"plain/1":       `{"m":1}`,
		"errors/in/1":   `"failedResource":"throws"`,
		"outside/1":     `{"x":{"n":1}}`,
		"errors/broken": "connection refused",
	} {
		if !strings.Contains(got[topic], part) {
			t.Errorf("%s: got %q, want %s", topic, got[topic], part)
		}
	}
}

// Accept hands the store's promise on: it does not wait, and says nothing too early.
func TestPendingIsTheStores(t *testing.T) {
	later := make(chan func(), 1)
	b := bridge.New(bridge.Options{Publisher: newBroker(), Outbox: stored{outbox.NewMemory(outbox.MemoryOptions{}), later}})
	b.Load(compile(t, functions{"f": echo}, rule("r", "SELECT * FROM 'in'", lambda("f"))))
	p, err := b.Accept(t.Context(), msg("in", "{}"))
	if err != nil || p == nil {
		t.Fatalf("got %v, %v", p, err)
	}
	durable := make(chan error, 1)
	p.Then(func(err error) { durable <- err })
	store := <-later
	select {
	case <-durable:
		t.Fatal("acknowledged before it was stored")
	default:
	}
	store()
	if err := receive(t, durable, "acknowledgement"); err != nil {
		t.Error(err)
	}
	// QoS 0 and what no rule takes does not go to the store.
	m := msg("in", "{}")
	m.QoS = 0
	if p, err := b.Accept(t.Context(), m); p != nil || err != nil {
		t.Errorf("QoS 0: got %v, %v", p, err)
	}
}

// What comes out of a job when the outbox is full is done by the worker that has it:
// the message was acknowledged.
func TestFullOutboxLosesNoErrorAction(t *testing.T) {
	f := functions{"throws": throws(errThrown)}
	box := outbox.NewMemory(outbox.MemoryOptions{Limits: outbox.Limits{Jobs: 1}})
	b, out, _ := start(t, bridge.Options{Outbox: box}, compile(t, f,
		withError(rule("r", "SELECT * FROM 'in'", lambda("throws")), republish("errors"))))
	accept(t, b, msg("in", "{}"))
	if got := out.next(t); got.Topic != "errors" {
		t.Errorf("got %s", got.Topic)
	}
}

func TestTimeoutRunsTheErrorAction(t *testing.T) {
	f := functions{"hangs": func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }}
	hangs := action.Config{Lambda: &action.LambdaConfig{Function: "hangs", Timeout: time.Millisecond}}
	b, out, _ := start(t, bridge.Options{}, compile(t, f, withError(rule("r", "SELECT * FROM 'in'", hangs), republish("errors"))))
	accept(t, b, msg("in", "{}"))
	if got := out.next(t); !strings.Contains(string(got.Payload), function.ErrTimeout.Error()+" after 1ms") {
		t.Errorf("got %s", got.Payload)
	}
}
