// Package journal keeps the state of several owners in one durable, append-only log: a
// JetStream stream. Owners append records at the moment something changes and go on;
// one goroutine gathers what has arrived while it was writing, writes it in one go, and
// calls back those who wait. It knows what a record weighs and whether it is still
// needed, and nothing of what it means. DESIGN.md tells how.
//
// The journal has one lock, and its owners use it as their own: state and log change
// together. Methods say whether the caller holds it.
package journal

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

// Server is the NATS server that keeps the journal; *natsd.Server is one.
type Server interface {
	// Link is the connection, and a context that ends when it is lost.
	Link() (*nats.Conn, context.Context)
	// Stream is the name of the stream and the number of its replicas.
	Stream() (name string, replicas int)
	// Room is why n more bytes cannot be written, or nil. last: not even out of what is
	// kept back for tidying up.
	Room(n int, last bool) error
	// Sync returns when everything that was acknowledged is on the disk.
	Sync() error
	// Mend does what can be done after a failed write, before the next attempt.
	Mend(ctx context.Context)
}

// Part is an owner of records. The first byte of each record in the stream says whose
// it is.
type Part byte

// The parts.
const (
	Bodies Part = iota // the journal's own: messages that records refer to
	Store              // broker/store
	Outbox             // bridge/outbox
	parts
)

// Replayer is an owner that takes its records back when the journal is opened.
type Replayer interface {
	// Replay takes one record, in the order in which they were appended. It calls
	// [Journal.Restored] with the Record that stands for it, if it is still needed. It
	// must not keep b.
	Replay(b []byte) error
	// Replayed is called when all are there.
	Replayed() error
}

// Options are what a journal needs.
type Options struct {
	Log     zerolog.Logger
	Metrics prometheus.Registerer // may be nil
	// Tidy is how many bytes of what is no longer needed make it worth while to give
	// them back; 16 MB if 0.
	Tidy int64
	// MaxPending bounds the bytes that wait to be written: beyond, [Journal.Err] is not
	// nil, and at four times as much what waits is dropped and written anew later;
	// 64 MB if 0.
	MaxPending int
	// Patience is how long Close tries to write what is left; 10 seconds if 0.
	Patience time.Duration
}

const (
	defaultTidy       = 16 << 20
	defaultMaxPending = 64 << 20
	defaultPatience   = 10 * time.Second
)

// Journal is the log. Make one with New, let the owners in with Join, read it with
// Replay; from then on it takes records until Close.
type Journal struct {
	server  Server
	options Options
	log     zerolog.Logger
	metrics *metrics
	owners  [parts]Replayer
	writer  [8]byte // tells this process's chunks from others'

	groups   sync.RWMutex // read-locked by groups that are under way
	cutting  sync.Mutex   // whoever throws away from the stream's beginning, or finds out that its end is lost
	mu       sync.Mutex
	pending  *batch // what waits to be written
	flight   *batch // what is being written; nil if nothing is
	late     []late // who waits until what was dropped is written anew
	kept     int    // bytes in pending that were put again when others were dropped
	start    int    // of the record that is being appended, in pending
	next     uint64 // the next record's number
	done     uint64 // every record below is durable
	err      error  // why writing fails now
	failing  bool
	hopeless bool  // writing will not work again
	full     error // why nothing new is taken, although what waits is still written
	closed   bool
	live     list
	bodies   *Table[*bodyKey]
	ledger   ledger

	js      jetstream.JetStream
	seq     uint64 // of the last message in the stream; the writer's
	number  uint64 // of the last chunk; the writer's
	wake    chan struct{}
	tidy    chan struct{}
	notices chan notice
	running sync.WaitGroup
	life    context.Context //nolint:containedctx // ends when Close gives up
	end     context.CancelFunc
	closing chan struct{}
}

// New makes a journal that keeps its records on s.
func New(s Server, o Options) *Journal {
	if o.Tidy <= 0 {
		o.Tidy = defaultTidy
	}
	if o.MaxPending <= 0 {
		o.MaxPending = defaultMaxPending
	}
	if o.Patience <= 0 {
		o.Patience = defaultPatience
	}
	j := &Journal{
		server: s, options: o, log: o.Log.With().Str("part", "journal").Logger(), pending: &batch{}, next: 1, done: 1,
		wake: make(chan struct{}, 1), tidy: make(chan struct{}, 1), notices: make(chan notice, 4), closing: make(chan struct{}),
	}
	j.ledger.init()
	j.life, j.end = context.WithCancel(context.Background())
	j.bodies = newBodies(j)
	j.owners[Bodies] = j.bodies
	j.metrics = newMetrics(o.Metrics, j)
	return j
}

// Join lets an owner in, before Replay.
func (j *Journal) Join(p Part, r Replayer) { j.owners[p] = r }

// Lock locks the journal and the state of all its owners.
func (j *Journal) Lock() { j.mu.Lock() }

// Unlock unlocks them.
func (j *Journal) Unlock() { j.mu.Unlock() }

// Refusal is why the journal takes nothing now. It carries the MQTT 5 reason code with
// which publishers are to be answered.
type Refusal struct {
	Err  error
	Code byte
}

// The reason codes of MQTT 5 (section 2.4).
const (
	codeImplementation = 0x83
	codeQuotaExceeded  = 0x97
)

// Error is that of the cause.
func (r *Refusal) Error() string { return "the store takes nothing now: " + r.Err.Error() }

// Unwrap is the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// ReasonCode is the MQTT 5 reason code.
func (r *Refusal) ReasonCode() byte { return r.Code }

// Temporary reports true: the same will be taken when the store can be written again.
func (r *Refusal) Temporary() bool { return true }

// What can be wrong.
var (
	// ErrBehind says that more waits to be written than may.
	ErrBehind = errors.New("the disk is slower than what is to be written to it")
	// ErrClosed says that the journal has been closed.
	ErrClosed = errors.New("the store is closed")
	// ErrCorrupt says that a part of the journal is missing or cannot be read.
	ErrCorrupt = errors.New("the journal is damaged")
	// ErrVersion says that the journal was written by another version of the program.
	ErrVersion = errors.New("the journal's format is that of another version of topicwire")
	// ErrTakenOver says that somebody else writes to the stream.
	ErrTakenOver = errors.New("another topicwire server writes to the same stream")
)

// Err is why the journal takes nothing now, a *[Refusal], or nil.
func (j *Journal) Err() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.Refuses()
}

// Refuses is Err for those who hold the lock.
func (j *Journal) Refuses() error {
	switch {
	case j.err != nil:
		return j.err
	case j.full != nil:
		return j.full
	case len(j.pending.buf) > j.options.MaxPending:
		return &Refusal{Err: ErrBehind, Code: codeQuotaExceeded}
	default:
		return nil
	}
}

// Last is the number of the record that was appended last; the lock is held.
func (j *Journal) Last() uint64 { return j.next - 1 }

// Sync calls done once: with nil when everything that has been appended so far is
// durable, or with the reason why it will not be; possibly before Sync returns. While
// writing fails, it waits until it works again. done must not wait for anything. The
// lock is not held.
func (j *Journal) Sync(done func(error)) {
	j.mu.Lock()
	j.after(j.next-1, done)
}

// After is Sync for the records up to number n.
func (j *Journal) After(n uint64, done func(error)) {
	j.mu.Lock()
	j.after(n, done)
}

// late is somebody who waits for the records up to number n.
type late struct {
	n    uint64
	done func(error)
}

// after unlocks.
func (j *Journal) after(n uint64, done func(error)) {
	if j.ledger.rewrite > 0 && !j.hopeless {
		j.late = append(j.late, late{n, done})
		j.mu.Unlock()
		return
	}
	j.wait(n, done)
}

// caughtUp lets those go on who wait until what was dropped is written anew. It unlocks.
func (j *Journal) caughtUp() {
	var all []late
	if j.ledger.rewrite == 0 {
		all, j.late = j.late, nil
	}
	j.mu.Unlock()
	for _, l := range all {
		j.After(l.n, l.done)
	}
}

// wait waits for records, whatever was dropped before them. It unlocks.
func (j *Journal) wait(n uint64, done func(error)) {
	switch {
	case n < j.done:
		j.mu.Unlock()
		done(nil)
	case j.hopeless:
		err := j.err
		j.mu.Unlock()
		done(err)
	case j.flight != nil && n < j.flight.end:
		j.flight.waiters = append(j.flight.waiters, done)
		j.mu.Unlock()
	default:
		j.pending.waiters = append(j.pending.waiters, done)
		first := len(j.pending.waiters) == 1
		j.mu.Unlock()
		if first {
			j.awake()
		}
	}
}

func (j *Journal) awake() {
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Close writes what is left and ends the journal. Its error says what could not be
// written. The owners must append nothing any more.
func (j *Journal) Close() error {
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return nil
	}
	j.closed = true
	if j.hopeless {
		j.end()
	}
	j.mu.Unlock()
	close(j.closing)
	giveUp := time.AfterFunc(j.options.Patience, j.end)
	defer giveUp.Stop()
	j.running.Wait()
	j.end()
	j.mu.Lock()
	err, late := j.err, j.late
	if err == nil {
		j.err, j.hopeless = &Refusal{Err: ErrClosed, Code: codeImplementation}, true
	}
	why := j.err
	j.late = nil
	j.mu.Unlock()
	for _, l := range late {
		l.done(why)
	}
	if err == nil {
		return nil
	}
	return fmt.Errorf("the store could not be brought up to date: %w", err)
}

// Stats are numbers of the journal.
type Stats struct {
	// LiveBytes are those of records that are still needed, StoredBytes those of all
	// that are stored.
	LiveBytes, StoredBytes int64
}

// Stats returns the numbers of this moment.
func (j *Journal) Stats() Stats {
	j.mu.Lock()
	defer j.mu.Unlock()
	return Stats{LiveBytes: j.live.bytes, StoredBytes: j.ledger.bytes}
}
