package bridge_test

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/outbox"
)

// diary is a Log that goes through JSON, as a store does, and whose entries are
// durable only when later says so. It survives the bridge that it is given to.
type diary struct {
	later chan func() // nil: at once, but through a Pending

	mu   sync.Mutex
	kept map[uint64][]byte
}

type record struct {
	Job   outbox.Job
	State outbox.State
}

type pending chan error

func (p pending) Then(f func(error)) {
	go func() { f(<-p) }()
}

func (d *diary) Load(_ context.Context, visit func(outbox.Entry) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, seq := range slices.Sorted(maps.Keys(d.kept)) {
		var r record
		if err := json.Unmarshal(d.kept[seq], &r); err != nil {
			return err
		}
		if err := visit(outbox.Entry{Seq: seq, Job: r.Job, State: r.State}); err != nil {
			return err
		}
	}
	return nil
}

func (d *diary) Put(entries []outbox.Entry, _ bool) (outbox.Pending, error) {
	for _, e := range entries {
		d.write(e)
	}
	p := make(pending, 1)
	if d.later == nil {
		p <- nil
	} else {
		d.later <- func() { p <- nil }
	}
	return p, nil
}

func (d *diary) write(e outbox.Entry) {
	doc, err := json.Marshal(record{e.Job, e.State})
	if err != nil {
		panic(err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.kept == nil {
		d.kept = make(map[uint64][]byte)
	}
	d.kept[e.Seq] = doc
}

func (d *diary) Set(e outbox.Entry) { d.write(e) }

func (d *diary) Delete(seqs ...uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range seqs {
		delete(d.kept, s)
	}
}

func (*diary) Close() error { return nil }

// copied is what a process finds that starts after this one was killed at this moment.
func (d *diary) copied() *diary {
	d.mu.Lock()
	defer d.mu.Unlock()
	return &diary{kept: maps.Clone(d.kept)}
}

// A job that comes back from a store needs no rule: it does what the rule of its time
// said, error action and statement included, although the rules are others by now.
func TestStoredJobRunsWithoutItsRule(t *testing.T) {
	f := functions{"echo": echo, "throws": throws(errThrown), "down": throws(errDown)}
	written := &diary{}
	b := newBridge(t, bridge.Options{Publisher: discard{}, Store: written})
	b.Load(compile(t, f,
		rule("plain", "SELECT n AS m FROM 'in'", lambdaReply("echo", "plain/${n}")),
		withError(rule("fails", "SELECT * FROM 'in'", once(lambda("throws"))), republish("errors/${topic()}/${n}")),
		withError(rule("outside", `SET @x = aws_lambda("echo", *) SELECT @x AS x FROM 'in'`, republish("outside/${n}")), republish("no")),
		withError(rule("broken", `SELECT aws_lambda("down", *) AS x FROM 'in'`, republish("no")), republish("errors/broken")),
	))
	accept(t, b, msg("in", `{"n":1}`))
	out := newBroker()
	b = newBridge(t, bridge.Options{Publisher: out, Store: written.copied()})
	out.bridge = b
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
	b := newBridge(t, bridge.Options{Publisher: newBroker(), Store: &diary{later: later}})
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

// What comes out of a job finds a place when the outbox is full: the message was
// acknowledged.
func TestFullOutboxLosesNoErrorAction(t *testing.T) {
	f := functions{"throws": throws(errThrown)}
	b, out, _ := start(t, bridge.Options{Outbox: outbox.Config{MaxJobs: 1}}, compile(t, f,
		withError(rule("r", "SELECT * FROM 'in'", once(lambda("throws"))), republish("errors"))))
	accept(t, b, msg("in", "{}"))
	if got := out.next(t); got.Topic != "errors" {
		t.Errorf("got %s", got.Topic)
	}
}

func TestTimeoutRunsTheErrorAction(t *testing.T) {
	f := functions{"hangs": func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }}
	hangs := action.Config{Lambda: &action.LambdaConfig{Function: "hangs", Timeout: time.Millisecond}}
	b, out, _ := start(t, bridge.Options{}, compile(t, f, withError(rule("r", "SELECT * FROM 'in'", once(hangs)), republish("errors"))))
	accept(t, b, msg("in", "{}"))
	if got := out.next(t); !strings.Contains(string(got.Payload), function.ErrTimeout.Error()+" after 1ms") {
		t.Errorf("got %s", got.Payload)
	}
}
