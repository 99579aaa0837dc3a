package outbox_test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/topicwire/topicwire/bridge/outbox"
)

// diary is a Log as small as can be: JSON in a map, which is what a store keeps. It
// survives the outbox, and can forget what is lazy as a crash would.
type diary struct {
	mu     sync.Mutex
	kept   map[uint64][]byte
	lazy   []func(map[uint64][]byte) // Set and Delete since the last sync
	closed bool
	fail   error // of Put
	failed error // of Pending
}

func newDiary() *diary { return &diary{kept: map[uint64][]byte{}} }

type record struct {
	Job   outbox.Job
	State outbox.State
}

func (d *diary) Load(_ context.Context, visit func(outbox.Entry) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = false
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

var errClosed = errors.New("the diary is closed")

func (d *diary) Put(entries []outbox.Entry, must bool) (outbox.Pending, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		panic(errClosed)
	}
	if d.fail != nil && !must {
		return nil, &outbox.Refusal{Err: d.fail, Code: 0x97}
	}
	if d.failed != nil {
		p := make(pending, 1)
		p <- d.failed
		return p, nil
	}
	for _, e := range entries {
		d.kept[e.Seq] = encode(e)
	}
	p := make(pending, 1)
	p <- nil
	return p, nil
}

func encode(e outbox.Entry) []byte {
	doc, err := json.Marshal(record{e.Job, e.State})
	if err != nil {
		panic(err)
	}
	return doc
}

type pending chan error

func (p pending) Then(f func(error)) {
	go func() { f(<-p) }()
}

func (d *diary) Set(e outbox.Entry) {
	doc := encode(e)
	d.later(func(kept map[uint64][]byte) {
		if kept[e.Seq] != nil {
			kept[e.Seq] = doc
		}
	})
}

func (d *diary) Delete(seqs ...uint64) {
	d.later(func(kept map[uint64][]byte) {
		for _, s := range seqs {
			delete(kept, s)
		}
	})
}

func (d *diary) later(f func(map[uint64][]byte)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		panic(errClosed)
	}
	d.lazy = append(d.lazy, f)
}

// sync makes everything durable.
func (d *diary) sync() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, f := range d.lazy {
		f(d.kept)
	}
	d.lazy = nil
}

// crash gives what a process finds that starts after this one has been killed: of what
// is lazy, only a beginning.
func (d *diary) crash() *diary {
	d.mu.Lock()
	defer d.mu.Unlock()
	after := &diary{kept: maps.Clone(d.kept)}
	for _, f := range d.lazy[:rand.IntN(len(d.lazy)+1)] {
		f(after.kept)
	}
	return after
}

func (d *diary) Close() error {
	d.sync()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.closed = true
	return nil
}

// open makes an outbox over the diary.
func (d *diary) open(tb testing.TB, s settings) *outbox.Outbox {
	tb.Helper()
	options := s.options()
	options.Log = d
	o, err := outbox.New(context.Background(), options)
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

func TestStored(t *testing.T) {
	suite(t, func(tb testing.TB, s settings) *outbox.Outbox {
		tb.Helper()
		return newDiary().open(tb, s)
	})
}
