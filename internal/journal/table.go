package journal

import (
	"encoding/binary"
	"fmt"

	"github.com/topicwire/topicwire/message"
)

// Table keeps values that several records refer to: each is written once, and kept as
// long as something refers to it. The journal's lock guards it.
type Table[K comparable] struct {
	j      *Journal
	part   Part
	kind   []byte // what its records begin with
	encode func(b []byte, k K) []byte
	decode func(b []byte) (K, error)
	byKey  map[K]*Shared[K]
	byNum  map[uint64]*Shared[K] // while the journal is replayed
	num    uint64
}

// Shared is a value in a table.
type Shared[K comparable] struct {
	Record
	key   K
	num   uint64
	refs  int
	known bool
	table *Table[K]
}

// NewTable makes a table of p's, whose records begin with kind.
func NewTable[K comparable](j *Journal, p Part, kind byte, encode func([]byte, K) []byte, decode func([]byte) (K, error)) *Table[K] {
	return &Table[K]{
		j: j, part: p, kind: []byte{kind}, encode: encode, decode: decode,
		byKey: map[K]*Shared[K]{}, byNum: map[uint64]*Shared[K]{},
	}
}

// Hold adds a reference to k's value, which it writes if nobody has one.
func (t *Table[K]) Hold(k K) *Shared[K] {
	s := t.byKey[k]
	if s == nil {
		t.num++
		s = &Shared[K]{key: k, num: t.num, known: true, table: t}
		s.Init(t.part, s)
		t.byKey[k] = s
		t.j.Put(&s.Record)
	}
	s.refs++
	return s
}

// Has reports whether something refers to k's value.
func (t *Table[K]) Has(k K) bool { return t.byKey[k] != nil }

// Release takes a reference back. While the journal is replayed the last one may be
// followed by another: then Replayed decides.
func (s *Shared[K]) Release() {
	if s.refs--; s.refs == 0 && s.table.byNum == nil {
		s.table.j.Drop(&s.Record)
		delete(s.table.byKey, s.key)
	}
}

// Key is the value.
func (s *Shared[K]) Key() K { return s.key }

// Num is the number under which records refer to it.
func (s *Shared[K]) Num() uint64 { return s.num }

// AppendTo is its record.
func (s *Shared[K]) AppendTo(b []byte) []byte {
	b = append(b, s.table.kind...)
	b = binary.AppendUvarint(b, s.num)
	return s.table.encode(b, s.key)
}

// Ref adds a reference to the value with a number while the journal is replayed. It
// may come before the value itself.
func (t *Table[K]) Ref(num uint64) *Shared[K] {
	s := t.find(num)
	s.refs++
	return s
}

func (t *Table[K]) find(num uint64) *Shared[K] {
	s := t.byNum[num]
	if s == nil {
		s = &Shared[K]{num: num, table: t}
		s.Init(t.part, s)
		t.byNum[num] = s
		t.num = max(t.num, num)
	}
	return s
}

// Replay takes a value back; b is its record without the kind.
func (t *Table[K]) Replay(b []byte) error {
	r := Reader{b}
	num, err := r.Uvarint()
	if err != nil {
		return err
	}
	s := t.find(num)
	t.j.Restored(&s.Record)
	if s.known {
		return nil // written anew since
	}
	s.known = true
	s.key, err = t.decode(r.Rest())
	return err
}

// Replayed finds values that are missing and lets go of those that nothing refers to.
func (t *Table[K]) Replayed() error {
	for num, s := range t.byNum {
		switch {
		case s.refs <= 0:
			t.j.Drop(&s.Record)
		case !s.known:
			return fmt.Errorf("%w: what record %d of part %d says is missing", ErrCorrupt, num, t.part)
		default:
			t.byKey[s.key] = s
		}
	}
	t.byNum = nil
	return nil
}

// Body is a message that records refer to.
type Body = Shared[*bodyKey]

type bodyKey = message.Message

func newBodies(j *Journal) *Table[*bodyKey] {
	t := NewTable(j, Bodies, 0, AppendMessage, func(b []byte) (*bodyKey, error) {
		r := Reader{b}
		return r.Message()
	})
	t.kind = nil // the part has one kind of record alone
	return t
}

// Hold adds a reference to a message, so that the log keeps it, and writes it if it is
// not there yet. The lock is held.
func (j *Journal) Hold(m *message.Message) *Body { return j.bodies.Hold(m) }

// HeldBody adds a reference to the message with a number, in an owner's Replay.
func (j *Journal) HeldBody(num uint64) *Body { return j.bodies.Ref(num) }
