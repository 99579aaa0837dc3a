package journal

import (
	"encoding/binary"
	"math"
	"slices"
)

// batch is what is written together.
type batch struct {
	end     uint64 // number after that of its last record; set when it is taken
	buf     []byte // records, each under its length
	cuts    []cut  // where buf is to be cut into chunks, the end of buf not included
	last    int    // where the present chunk begins in buf
	waiters []func(error)
	safe    uint64 // records below are needed by nobody once the batch is durable
}

// giveUp takes out those who wait.
func (b *batch) giveUp() []func(error) {
	waiters := append([]func(error){}, b.waiters...)
	clear(b.waiters)
	b.waiters = b.waiters[:0]
	return waiters
}

// cut is the end of a chunk in a batch's buffer, and the number of the first record
// after it.
type cut struct {
	at   int
	next uint64
}

func (b *batch) reset() {
	const most = 4 << 20 // a larger buffer was an exception
	if cap(b.buf) > most {
		b.buf = nil
	}
	clear(b.waiters)
	b.buf, b.cuts, b.waiters, b.last = b.buf[:0], b.cuts[:0], b.waiters[:0], 0
}

// chunkSize is about how much goes into one message of the stream. The cost of a
// message is spread over what is in it, and beyond this there is nothing to gain.
const chunkSize = 768 << 10

// lengthSize is what stands in front of each record.
const lengthSize = 4

// Begin begins a record and returns a buffer to append its content to and to hand to
// [Journal.End]. The lock is held. A record that only changes others, or ends them, is
// written this way; one that is to be kept with [Journal.Put].
func (j *Journal) Begin(p Part) []byte {
	if j.failing && len(j.pending.buf) > 4*j.options.MaxPending+j.kept {
		j.lose()
	}
	j.start = len(j.pending.buf)
	return append(j.pending.buf, 0, 0, 0, 0, byte(p))
}

// End ends the record. The lock is held.
func (j *Journal) End(b []byte) {
	p := j.pending
	empty := len(p.buf) == 0
	p.buf = b
	binary.LittleEndian.PutUint32(b[j.start:], uint32(len(b)-j.start-lengthSize))
	if len(b)-p.last > chunkSize && j.start > p.last {
		p.cuts = append(p.cuts, cut{at: j.start, next: j.next})
		p.last = j.start
	}
	j.next++
	j.metrics.records.Add(1)
	if empty {
		j.awake()
	}
}

// Group calls f and keeps together what is appended meanwhile: after a crash all of it
// is there or nothing, unless it is more than fits into one message of the stream. f
// must not wait for the journal. The lock is not held.
func (j *Journal) Group(f func()) {
	j.groups.RLock()
	defer j.groups.RUnlock()
	f()
}

// lose drops what waits: it is more than may wait. Nobody was told that it is durable.
// The records that were put are put again at once, because others may refer to them. What
// the rest has changed or ended is in the owners' hands: everything older is written anew
// when writing works, and until then nobody is told that anything is durable.
func (j *Journal) lose() {
	first := j.done
	if j.flight != nil {
		first = j.flight.end
	}
	j.metrics.dropped.Add(int64(j.next - first))
	p := j.pending
	p.buf, p.cuts, p.last = p.buf[:0], p.cuts[:0], 0
	j.ledger.rewrite = j.next
	j.kept = math.MaxInt >> 1 // what is put again is not dropped on the way
	j.putAgain(first, j.next)
	j.kept = len(p.buf)
	if waiters, err := j.pending.giveUp(), j.err; len(waiters) > 0 {
		go func() { // whoever appends may hold what they need
			for _, done := range waiters {
				done(err)
			}
		}()
	}
}

// Put appends a record that is kept until [Journal.Drop], or what has become of it: the
// last Put counts. The lock is held.
func (j *Journal) Put(r *Record) {
	b := j.Begin(r.part)
	at := j.start
	j.End(r.state.AppendTo(b))
	if r.next != nil {
		j.live.remove(r)
	}
	r.id, r.size = j.next-1, len(j.pending.buf)-at
	j.live.push(r)
}

// putAgain puts the records again that have a number from first up to before, in their
// order.
func (j *Journal) putAgain(first, before uint64) {
	var again []*Record
	for r := j.live.back(); r != nil && r != &j.live.root && r.id >= first; r = r.prev {
		if r.id < before {
			again = append(again, r)
		}
	}
	for _, r := range slices.Backward(again) {
		j.Put(r)
	}
}

// Drop says that a record is not needed any more. The lock is held. It costs nothing
// in the log: what ends a record the owner notes itself, if it matters.
func (j *Journal) Drop(r *Record) {
	if r.next != nil {
		j.live.remove(r)
	}
}

// Restored says, in an owner's Replay, that r stands for the record that is being
// replayed.
func (j *Journal) Restored(r *Record) {
	if r.next != nil {
		j.live.remove(r)
	}
	r.id, r.size = j.next, j.start // see replay
	j.live.push(r)
}
