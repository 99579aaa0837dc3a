package outbox

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/internal/journal"
)

// JournalLog is the Log that survives the process. It holds the entries as the outbox
// does, sharing what they share, and beside them a journal of their changes. The
// journal's lock guards all of it.
type JournalLog struct {
	j       *journal.Journal
	entries map[uint64]*entry
	specs   *journal.Table[action.Spec]
	sources *journal.Table[*Source]

	deliveries *journal.Table[*action.Delivery]
}

// entry is an Entry and where the journal has it.
type entry struct {
	journal.Record
	Entry
	body   *journal.Body                // nil without a message
	spec   *journal.Shared[action.Spec] // the same for every message, for most actions
	source *journal.Shared[*Source]     // nil without one

	delivery *journal.Shared[*action.Delivery] // nil without one
	same     bool                              // the payload is the message's, as it was published
}

// NewJournalLog makes a Log that keeps its changes in j, and joins j, which is to be
// replayed before Load.
func NewJournalLog(j *journal.Journal) *JournalLog {
	l := &JournalLog{j: j, entries: map[uint64]*entry{}}
	l.specs = journal.NewTable(j, journal.Outbox, recSpec, appendJSON[action.Spec], decodeJSON[action.Spec])
	l.sources = journal.NewTable(j, journal.Outbox, recSource, appendJSON[*Source], decodeJSON[*Source])
	l.deliveries = journal.NewTable(j, journal.Outbox, recDelivery, appendJSON[*action.Delivery], decodeJSON[*action.Delivery])
	j.Join(journal.Outbox, l)
	return l
}

// Put implements [Log].
func (l *JournalLog) Put(entries []Entry, must bool) (Pending, error) {
	l.j.Lock()
	defer l.j.Unlock()
	if err := l.j.Refuses(); err != nil && !must {
		return nil, refusal(err)
	}
	for i := range entries {
		if err := l.writable(&entries[i].Job); err != nil {
			return nil, &Refusal{Err: fmt.Errorf("a job of rule %s cannot be stored: %w", entries[i].Job.Rule, err), Code: codeImplementationSpecific}
		}
	}
	seqs := make([]uint64, len(entries))
	for i := range entries {
		seqs[i] = entries[i].Seq
		l.put(&entries[i])
	}
	return &storing{l, seqs, l.j.Last()}, nil
}

// writable reports why a job's specification or rule cannot be written, the first time
// that it is seen.
func (l *JournalLog) writable(j *Job) error {
	if !l.specs.Has(j.Spec) {
		if _, err := json.Marshal(j.Spec); err != nil {
			return err
		}
	}
	if j.Source != nil && !l.sources.Has(j.Source) {
		if _, err := json.Marshal(j.Source); err != nil {
			return err
		}
	}
	return nil
}

func (l *JournalLog) put(e *Entry) {
	n := &entry{Entry: *e, spec: l.specs.Hold(e.Job.Spec)}
	n.Job.Local = nil // the process's own
	if m := e.Job.Message; m != nil {
		n.body = l.j.Hold(m)
		n.same = e.Job.Payload != nil && bytes.Equal(e.Job.Payload, m.Payload)
	}
	if e.Job.Source != nil {
		n.source = l.sources.Hold(e.Job.Source)
	}
	if e.Job.Delivery != nil {
		n.delivery = l.deliveries.Hold(e.Job.Delivery)
	}
	l.keep(n)
	l.j.Put(&n.Record)
}

// keep enters an entry, in the place of one with the same number.
func (l *JournalLog) keep(n *entry) {
	n.Init(journal.Outbox, n)
	l.remove(n.Seq)
	l.entries[n.Seq] = n
}

func (l *JournalLog) remove(seq uint64) bool {
	e := l.entries[seq]
	if e == nil {
		return false
	}
	delete(l.entries, seq)
	l.j.Drop(&e.Record)
	e.spec.Release()
	if e.body != nil {
		e.body.Release()
	}
	if e.source != nil {
		e.source.Release()
	}
	if e.delivery != nil {
		e.delivery.Release()
	}
	return true
}

// storing is the Pending of a Put.
type storing struct {
	l    *JournalLog
	seqs []uint64
	last uint64
}

// Then calls f when the entries are durable. If they cannot be made so, they are
// forgotten first: their publisher is told to send the message again.
func (s *storing) Then(f func(error)) {
	s.l.j.After(s.last, func(err error) {
		if err != nil {
			s.l.Delete(s.seqs...)
			err = refusal(err)
		}
		f(err)
	})
}

// refusal is the journal's reason as the outbox gives it.
func refusal(err error) error {
	code := byte(codeImplementationSpecific)
	if r, ok := errors.AsType[*journal.Refusal](err); ok {
		code = r.Code
	}
	return &Refusal{Err: err, Code: code}
}

// Set implements [Log].
func (l *JournalLog) Set(e Entry) {
	l.j.Lock()
	defer l.j.Unlock()
	kept := l.entries[e.Seq]
	if kept == nil {
		return
	}
	kept.State = e.State
	b := binary.AppendUvarint(append(l.j.Begin(journal.Outbox), recState), e.Seq)
	l.j.End(appendState(b, &e.State))
}

// Delete implements [Log].
func (l *JournalLog) Delete(seqs ...uint64) {
	l.j.Lock()
	defer l.j.Unlock()
	b := append(l.j.Begin(journal.Outbox), recDelete)
	n := 0
	for _, seq := range seqs {
		if l.remove(seq) {
			b = binary.AppendUvarint(b, seq)
			n++
		}
	}
	if n > 0 {
		l.j.End(b)
	}
}

// Load implements [Log].
func (l *JournalLog) Load(ctx context.Context, visit func(Entry) error) error {
	l.j.Lock()
	all := make([]Entry, 0, len(l.entries))
	for _, e := range l.entries {
		all = append(all, e.Entry)
	}
	l.j.Unlock()
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.Seq, b.Seq) })
	for _, e := range all {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := visit(e); err != nil {
			return err
		}
	}
	return nil
}

// Close implements [Log]. The journal is the caller's, whose Close writes what is left,
// for as long as it has the patience.
func (l *JournalLog) Close() error { return nil }
