package outbox

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/topicwire/topicwire/internal/journal"
)

// The records of the journal, by their first byte. They are on disks: a number keeps
// its meaning for ever.
const (
	recSpec   = 1
	recSource = 2
	recEntry  = 3
	recState  = 4
	recDelete = 5

	recDelivery = 6
)

// entryVersion is the form of an entry's record.
const entryVersion = 1

// The flags of an entry.
const (
	entryPayload     = 1 << iota // it has a payload
	entrySamePayload             // the payload is the message's
	entryMessage
	entrySource
	entryState
	entryDelivery
	entryLane // it has a lane, a batch or both
)

// The stages, as records have them; 0 = written out.
var stages = [...]Stage{1: Act, 2: Evaluate, 3: ErrorAct} //nolint:gochecknoglobals // a table

func stageNumber(s Stage) byte {
	for i, known := range stages {
		if s == known && i > 0 {
			return byte(i)
		}
	}
	return 0
}

// AppendTo is the entry's record, as it stands now.
func (e *entry) AppendTo(b []byte) []byte {
	j := &e.Job
	var flags byte
	if j.Payload != nil {
		flags |= entryPayload
	}
	if e.same {
		flags |= entrySamePayload
	}
	if e.body != nil {
		flags |= entryMessage
	}
	if e.source != nil {
		flags |= entrySource
	}
	state := !e.State.zero()
	if state {
		flags |= entryState
	}
	if e.delivery != nil {
		flags |= entryDelivery
	}
	lane := j.Lane != "" || j.Batch != ""
	if lane {
		flags |= entryLane
	}
	stage := stageNumber(j.Stage)
	b = append(b, recEntry, entryVersion, flags, stage)
	if stage == 0 {
		b = journal.AppendString(b, j.Stage)
	}
	b = binary.AppendUvarint(b, e.Seq)
	b = journal.AppendTime(b, j.Accepted)
	b = journal.AppendString(b, j.ID)
	b = journal.AppendString(b, j.Rule)
	b = journal.AppendString(b, j.Queue)
	if lane {
		b = journal.AppendString(b, j.Lane)
		b = journal.AppendString(b, j.Batch)
	}
	b = binary.AppendUvarint(b, e.spec.Num())
	if e.delivery != nil {
		b = binary.AppendUvarint(b, e.delivery.Num())
	}
	if e.body != nil {
		b = binary.AppendUvarint(b, e.body.Num())
	}
	if e.source != nil {
		b = binary.AppendUvarint(b, e.source.Num())
	}
	if j.Payload != nil && !e.same {
		b = journal.AppendString(b, j.Payload)
	}
	if state {
		b = appendState(b, &e.State)
	}
	return b
}

func (s *State) zero() bool { return reflect.ValueOf(s).Elem().IsZero() }

func appendState(b []byte, s *State) []byte { return appendJSON(b, s) }

// appendJSON appends what has been found to be writable.
func appendJSON[T any](b []byte, v T) []byte {
	doc, err := json.Marshal(v)
	if err != nil {
		doc = []byte("null")
	}
	return append(b, doc...)
}

func decodeJSON[T any](b []byte) (v T, err error) {
	err = json.Unmarshal(b, &v)
	return v, err
}

// Replay takes a record back; what it refers to may come later.
func (l *JournalLog) Replay(b []byte) error {
	r := journal.NewReader(b)
	kind, err := r.Byte()
	if err != nil {
		return err
	}
	switch kind {
	case recSpec:
		return l.specs.Replay(r.Rest())
	case recSource:
		return l.sources.Replay(r.Rest())
	case recDelivery:
		return l.deliveries.Replay(r.Rest())
	case recEntry:
		return l.replayEntry(r)
	case recState:
		seq, err := r.Uvarint()
		if e := l.entries[seq]; err == nil && e != nil {
			e.State, err = decodeJSON[State](r.Rest())
		}
		return err
	case recDelete:
		for len(r.Rest()) > 0 {
			seq, err := r.Uvarint()
			if err != nil {
				return err
			}
			l.remove(seq)
		}
		return nil
	default:
		return fmt.Errorf("%w: a record of kind %d of the outbox", journal.ErrVersion, kind)
	}
}

// replayEntry takes an entry back. Nothing is referred to before all of the record has
// been read.
func (l *JournalLog) replayEntry(r *journal.Reader) error {
	f := fields{r: r}
	version, flags, stage := f.byte(), f.byte(), f.byte()
	if f.err == nil && version != entryVersion {
		return fmt.Errorf("%w: an entry of the outbox in form %d, and this one knows %d", journal.ErrVersion, version, entryVersion)
	}
	e := &entry{}
	j := &e.Job
	switch {
	case stage == 0:
		j.Stage = Stage(f.text())
	case int(stage) < len(stages):
		j.Stage = stages[stage]
	default:
		return fmt.Errorf("%w: a job of stage %d", journal.ErrVersion, stage)
	}
	e.Seq = f.number()
	f.then(func() (err error) { j.Accepted, err = r.Time(); return err })
	j.ID, j.Rule, j.Queue = f.text(), f.text(), f.text()
	if flags&entryLane != 0 {
		j.Lane, j.Batch = f.text(), f.text()
	}
	spec := f.number()
	var delivery, body, source uint64
	if flags&entryDelivery != 0 {
		delivery = f.number()
	}
	if flags&entryMessage != 0 {
		body = f.number()
	}
	if flags&entrySource != 0 {
		source = f.number()
	}
	e.same = flags&entrySamePayload != 0
	if flags&entryPayload != 0 && !e.same {
		f.then(func() error {
			p, err := r.Bytes()
			j.Payload = append([]byte{}, p...)
			return err
		})
	}
	if flags&entryState != 0 {
		f.then(func() (err error) { e.State, err = decodeJSON[State](r.Rest()); return err })
	}
	if f.err != nil {
		return f.err
	}
	e.spec = l.specs.Ref(spec)
	if flags&entryDelivery != 0 {
		e.delivery = l.deliveries.Ref(delivery)
	}
	if flags&entryMessage != 0 {
		e.body = l.j.HeldBody(body)
	}
	if flags&entrySource != 0 {
		e.source = l.sources.Ref(source)
	}
	l.keep(e)
	l.j.Restored(&e.Record)
	return nil
}

// Replayed gives every entry what it refers to.
func (l *JournalLog) Replayed() error {
	if err := errors.Join(l.specs.Replayed(), l.sources.Replayed(), l.deliveries.Replayed()); err != nil {
		return err
	}
	for _, e := range l.entries {
		e.Job.Spec = e.spec.Key()
		if e.delivery != nil {
			e.Job.Delivery = e.delivery.Key()
		}
		if e.source != nil {
			e.Job.Source = e.source.Key()
		}
		if e.body != nil {
			e.Job.Message = e.body.Key()
		}
		if e.same && e.body != nil {
			e.Job.Payload = e.body.Key().Payload
		}
	}
	return nil
}

// fields reads a record, and remembers the first error.
type fields struct {
	r   *journal.Reader
	err error
}

func (f *fields) then(read func() error) {
	if f.err == nil {
		f.err = read()
	}
}

func (f *fields) byte() (v byte) {
	f.then(func() (err error) { v, err = f.r.Byte(); return err })
	return v
}

func (f *fields) number() (v uint64) {
	f.then(func() (err error) { v, err = f.r.Uvarint(); return err })
	return v
}

func (f *fields) text() (v string) {
	f.then(func() (err error) { v, err = f.r.String(); return err })
	return v
}
