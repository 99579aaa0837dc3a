package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules"
)

// memoryLog is the plainest Log there can be: what the suite expects of the others.
type memoryLog struct {
	mu      sync.Mutex
	entries map[uint64]outbox.Entry
}

func (l *memoryLog) Load(_ context.Context, visit func(outbox.Entry) error) error {
	for _, seq := range slices.Sorted(maps.Keys(l.entries)) {
		if err := visit(l.entries[seq]); err != nil {
			return err
		}
	}
	return nil
}

func (l *memoryLog) Put(entries []outbox.Entry, _ bool) (outbox.Pending, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range entries {
		e.Job.Local = nil
		l.entries[e.Seq] = e
	}
	return nil, nil //nolint:nilnil // nothing to wait for
}

func (l *memoryLog) Set(e outbox.Entry) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if kept, ok := l.entries[e.Seq]; ok {
		kept.State = e.State
		l.entries[e.Seq] = kept
	}
}

func (l *memoryLog) Delete(seqs ...uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, seq := range seqs {
		delete(l.entries, seq)
	}
}

func (l *memoryLog) Close() error { return nil }

func TestMemoryLog(t *testing.T) {
	testLog(t, &memoryLog{entries: map[uint64]outbox.Entry{}}, func(_ *testing.T, l outbox.Log) outbox.Log { return l })
}

// store puts entries and waits until they are safe.
func store(tb testing.TB, l outbox.Log, entries ...outbox.Entry) {
	tb.Helper()
	p, err := l.Put(entries, false)
	if err != nil {
		tb.Fatal(err)
	}
	if p == nil {
		return
	}
	done := make(chan error, 1)
	p.Then(func(err error) { done <- err })
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
}

func load(tb testing.TB, l outbox.Log) []outbox.Entry {
	tb.Helper()
	var got []outbox.Entry
	if err := l.Load(tb.Context(), func(e outbox.Entry) error { got = append(got, e); return nil }); err != nil {
		tb.Fatal(err)
	}
	return got
}

// testLog takes a Log through all it can do. reopen gives what comes after the end of
// the process.
func testLog(t *testing.T, l outbox.Log, reopen func(*testing.T, outbox.Log) outbox.Log) {
	t.Helper()
	at := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC)
	source := &outbox.Source{Definition: rules.Definition{Name: "r", SQL: "SELECT * FROM 'a'"}}
	spec := action.Spec{Lambda: &action.LambdaSpec{Function: "f", Timeout: time.Second}}
	m := &message.Message{ID: "m", Topic: "a", Payload: []byte(`{"n":1}`), QoS: 1, Received: at, From: message.Origin{ClientID: "c"}}
	entry := func(seq uint64) outbox.Entry {
		return outbox.Entry{Seq: seq, Job: outbox.Job{
			Task:  action.Task{ID: fmt.Sprint("id-", seq), Rule: "r", Spec: spec, Message: m, Payload: fmt.Appendf(nil, `{"seq":%d}`, seq)},
			Stage: outbox.Act, Queue: "lambda/f", Accepted: at, Source: source, Local: 1,
		}}
	}
	kept := func(seqs ...uint64) (entries []outbox.Entry) {
		for _, seq := range seqs {
			e := entry(seq)
			e.Job.Local = nil
			entries = append(entries, e)
		}
		return entries
	}
	check := func(name string, want []outbox.Entry) {
		t.Helper()
		if diff := cmp.Diff(want, load(t, l), cmpopts.EquateComparable(message.Origin{}), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
	check("empty", nil)
	store(t, l, entry(7), entry(8), entry(9))
	store(t, l, entry(10))
	l = reopen(t, l)
	check("what was put", kept(7, 8, 9, 10))

	failed := entry(8)
	failed.State = outbox.State{Tried: 2, Due: at, Attempts: []outbox.Attempt{{At: at, Outcome: "timeout", Error: "late", Payload: []byte(`{"errorType":"T"}`)}}}
	l.Set(failed)
	l.Delete(7, 99)
	l.Delete()
	l.Delete(9)
	l.Set(entry(9)) // it has gone
	l.Set(entry(100))
	store(t, l, entry(11), failedCopy(entry(12), at))
	want := kept(8, 10, 11, 12)
	want[0].State = failed.State
	want[3].State = failedCopy(entry(12), at).State
	l = reopen(t, l)
	check("what has become of it", want)
	l = reopen(t, l)
	check("once more", want)

	stop := errors.New("stop")
	if err := l.Load(t.Context(), func(outbox.Entry) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("Load went on after an error: %v", err)
	}
	store(t, l) // nothing
	l.Delete(8, 10, 11, 12)
	l = reopen(t, l)
	check("everything deleted", nil)
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// failedCopy is an entry that is put with a state: a dead letter that is replayed.
func failedCopy(e outbox.Entry, at time.Time) outbox.Entry {
	e.State.Dead = at
	return e
}
