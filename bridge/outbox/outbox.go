// Package outbox is the queue in front of functions. What it has taken it hands out at
// least once, in order within a queue, and no queue waits for another. A job that
// failed waits here for its next attempt, one that is given up is kept here as a dead
// letter. It knows nothing of what a job does: a [Worker] makes the attempts and says
// what is to become of them.
package outbox

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Worker does jobs. Its methods are called from many goroutines.
type Worker interface {
	// Restore is told once, before anything is handed out, what came back from the
	// Log, in the order of Seq, dead letters among it. It may set the jobs' Local.
	Restore(all []*Work)
	// Do makes one attempt of each of batch, all in one go, and sets their Results.
	// Without [BatchSpec] in its Delivery a job comes alone. When ctx ends Do is to
	// return with Undone.
	Do(ctx context.Context, batch []*Work)
	// GiveUp is told that a job is given up without an attempt: it is too old, was
	// pushed out by newer ones, or memory ends.
	GiveUp(ctx context.Context, w *Work, why Condition)
}

// Pending tells when jobs are durable. Then calls f once: with nil when they are, with
// an error when they could not be made so. It is called once.
type Pending = interface{ Then(f func(error)) }

// Options are what an Outbox needs. The zero value works, in memory.
type Options struct {
	// Name tells one outbox from another in metrics; "outbox" if empty.
	Name string
	// Log keeps what must outlive the process; nil: nothing does. The Outbox closes it.
	Log Log
	// Limits bound it.
	Limits Limits
	// Letters bound its dead letters; nil: none are kept.
	Letters *LetterLimits
	// Gate says how many invocations of a queue may run at once, and, with 0, until
	// when none may. It is asked again and again, so it may change, and must not call
	// the outbox. nil means 1 for every queue.
	Gate func(queue string) (limit int, until time.Time)
	// Drain is how long Run goes on after its context has ended; 10 seconds if 0.
	Drain time.Duration
	// Metrics takes the counters; may be nil.
	Metrics prometheus.Registerer
}

const defaultDrain = 10 * time.Second

// idleQueues is how many empty queues are kept for their next job. More are given
// back, because queue names may come from messages.
const idleQueues = 1024

// Outbox keeps jobs until they are done. All scheduling is in memory: with a Log it
// writes down what happens and finds it again at the next start, and behaves the same.
// A job begins at once if its queue lets it: there is no polling and no pool of workers
// to wait for. Its methods are safe for concurrent use.
type Outbox struct {
	limits  Limits
	log     Log // nil: in memory
	gate    func(string) (int, time.Time)
	drain   time.Duration
	metrics *metrics

	mu       sync.Mutex
	seq      uint64 // of the last job
	queues   map[string]*queue
	jobs     int   // waiting and running
	bytes    int64 // of both
	letters  *letters
	clock    clock
	worker   Worker          // nil until Run
	ctx      context.Context //nolint:containedctx // of the workers that Put starts
	restored []*Work         // what the Log had, until Run
	phase    phase
	empty    chan struct{} // set while draining; closed when jobs reaches 0
	doomed   []doomed      // pushed out, and the worker not told yet
	burying  bool          // a goroutine tells it
	gone     []uint64      // to be deleted from the Log when the lock is free
	workers  sync.WaitGroup
	writers  sync.WaitGroup // calls of the Log that no worker makes
}

// doomed is a work that was pushed out: what it was, for those who wait for its end, and
// what has become of it.
type doomed struct{ was, work *Work }

// phase is how far an outbox is.
type phase byte

const (
	open    phase = iota
	ending        // Run's context has ended: in memory everything is tried without waiting
	halted        // nothing is handed out any more
	ended         // nothing is taken any more
	blanked       // the Log is closed
)

// New makes an Outbox, with what its Log has. It hands nothing out before Run.
func New(ctx context.Context, o Options) (*Outbox, error) {
	if o.Name == "" {
		o.Name = "outbox"
	}
	if o.Gate == nil {
		o.Gate = func(string) (int, time.Time) { return 1, time.Time{} }
	}
	if o.Drain <= 0 {
		o.Drain = defaultDrain
	}
	b := &Outbox{
		limits: o.Limits.WithDefaults(), log: o.Log, gate: o.Gate, drain: o.Drain,
		queues: make(map[string]*queue),
		// Above every number of a process before, even if the Log has none left.
		seq:   uint64(time.Now().UnixMicro()),
		clock: newClock(),
	}
	b.metrics = newMetrics(o.Metrics, o.Name, b)
	if o.Letters != nil {
		b.letters = newLetters(o.Letters.withDefaults(), b.metrics)
	}
	if b.log == nil {
		return b, nil
	}
	if err := b.log.Load(ctx, b.load); err != nil {
		return nil, fmt.Errorf("cannot read what the outbox has stored: %w", err)
	}
	b.mu.Lock()
	defer b.unlock()
	b.buryRestored()
	b.trim()
	b.gauge()
	return b, nil
}

// load takes one entry of the Log.
func (o *Outbox) load(e Entry) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.seq = max(o.seq, e.Seq)
	e.State.share()
	w := newWork(e)
	w.rebase(time.Now())
	o.restored = append(o.restored, w)
	if w.State.Dead.IsZero() {
		o.place(o.reserve(w), w)
	}
	return nil
}

// buryRestored makes dead letters of what has died in a process before, in the order in
// which it has.
func (o *Outbox) buryRestored() {
	var dead []*Work
	for _, w := range o.restored {
		if !w.State.Dead.IsZero() {
			dead = append(dead, w)
		}
	}
	slices.SortStableFunc(dead, func(a, b *Work) int { return a.State.Dead.Compare(b.State.Dead) })
	for _, w := range dead {
		o.bury(w)
	}
}

// Put takes jobs, all of them or, with an error, none. It does not wait for room: an
// outbox at its limits returns an error that is [ErrFull], or pushes out older jobs. A
// nil Pending means that the jobs are as safe as they will be.
func (o *Outbox) Put(_ context.Context, jobs ...Job) (Pending, error) {
	return o.put(jobs, false)
}

// PutAfter takes the jobs that come out of one that is in the outbox, in its place: they
// are refused neither for want of room nor because the Log can write nothing for now.
// Nobody has to wait for them: they are safe before that one is forgotten.
func (o *Outbox) PutAfter(_ context.Context, jobs ...Job) error {
	_, err := o.put(jobs, true)
	return err
}

func (o *Outbox) put(jobs []Job, always bool) (Pending, error) {
	o.mu.Lock()
	if o.phase >= ended {
		o.mu.Unlock()
		o.metrics.refused("closed", len(jobs))
		return nil, Closed()
	}
	if !always {
		if err := o.room(jobs); err != nil {
			o.mu.Unlock()
			o.metrics.refused("full", len(jobs))
			return nil, err
		}
	}
	if o.log == nil {
		defer o.mu.Unlock()
		for i := range jobs {
			w := o.newWork(&jobs[i])
			o.enter(o.reserve(w), w)
		}
		o.metrics.put.Add(float64(len(jobs)))
		o.gauge()
		return nil, nil
	}
	return o.putStored(jobs, always)
}

// putStored puts jobs in the Log first. o.mu is held, and free when it returns.
func (o *Outbox) putStored(jobs []Job, always bool) (Pending, error) {
	works := make([]*Work, len(jobs))
	entries := make([]Entry, len(jobs))
	queues := make([]*queue, len(jobs))
	for i := range jobs {
		works[i] = o.newWork(&jobs[i])
		entries[i] = works[i].Entry
		queues[i] = o.reserve(works[i])
	}
	o.writers.Add(1) // Run does not close the Log under it
	defer o.writers.Done()
	o.mu.Unlock()

	pending, err := o.log.Put(entries, always)

	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.gauge()
	if err != nil {
		o.metrics.refused("store", len(jobs))
		for i, w := range works {
			o.release(queues[i], w)
		}
		return nil, err
	}
	o.metrics.put.Add(float64(len(jobs)))
	// They are handed out before they are durable: what that may cost after a crash is
	// an attempt too many, and nobody was told yet that the message is safe.
	for i, w := range works {
		o.enter(queues[i], w)
	}
	if pending == nil || always {
		return nil, nil
	}
	return &stored{o, works, pending}, nil
}

// stored is a Pending that takes back what could not be stored: its publisher will
// send it again.
type stored struct {
	o       *Outbox
	works   []*Work
	pending Pending
}

func (s *stored) Then(f func(error)) {
	s.pending.Then(func(err error) {
		if err != nil {
			s.o.mu.Lock()
			for _, w := range s.works {
				if s.o.waiting(w) {
					s.o.remove(w)
				} else {
					w.drop = true // the attempt that is under way is its last
				}
			}
			s.o.gauge()
			s.o.mu.Unlock()
			s.o.metrics.refused("store", len(s.works))
		}
		f(err)
	})
}

// newWork makes the next job's work. o.mu is held.
func (o *Outbox) newWork(j *Job) *Work {
	o.seq++
	return newWork(Entry{Seq: o.seq, Job: *j})
}

// room reports why jobs do not fit, after it has pushed out older ones if the policy
// says so. Those of one message are few, so that counting them per queue by walking is
// cheaper than a map.
func (o *Outbox) room(jobs []Job) error {
	if o.limits.DropOldest && o.neverFit(jobs) {
		return &Refusal{Err: ErrFull, Code: codeQuotaExceeded}
	}
	var bytes int64
	for i := range jobs {
		bytes += jobs[i].Size()
		n, size := 1, jobs[i].Size()
		for k := range i {
			if jobs[k].Queue == jobs[i].Queue {
				n++
				size += jobs[k].Size()
			}
		}
		q := o.queues[jobs[i].Queue]
		for {
			have, used := 0, int64(0)
			if q != nil {
				have, used = q.jobs, q.bytes
			}
			if n+have <= o.limits.QueueJobs && size+used <= o.limits.QueueBytes {
				break
			}
			if q == nil || !o.pushOut(q) {
				return &Refusal{Err: fmt.Errorf("%w: queue %s is at its limit", ErrFull, jobs[i].Queue), Code: codeQuotaExceeded}
			}
		}
	}
	for o.jobs+len(jobs) > o.limits.Jobs || o.bytes+bytes > o.limits.Bytes {
		if len(jobs) > o.limits.Jobs || bytes > o.limits.Bytes || !o.pushOut(o.oldest()) {
			return &Refusal{Err: ErrFull, Code: codeQuotaExceeded}
		}
	}
	return nil
}

// neverFit reports whether jobs are more than an empty outbox would take: nothing is
// pushed out for them.
func (o *Outbox) neverFit(jobs []Job) bool {
	type load struct {
		jobs  int
		bytes int64
	}
	var all load
	queues := make(map[string]load)
	for i := range jobs {
		size := jobs[i].Size()
		q := queues[jobs[i].Queue]
		q.jobs, q.bytes = q.jobs+1, q.bytes+size
		queues[jobs[i].Queue] = q
		all.jobs, all.bytes = all.jobs+1, all.bytes+size
		if q.jobs > o.limits.QueueJobs || q.bytes > o.limits.QueueBytes {
			return true
		}
	}
	return all.jobs > o.limits.Jobs || all.bytes > o.limits.Bytes
}

// oldest is the queue that has the oldest waiting job; nil if none waits.
func (o *Outbox) oldest() (q *queue) {
	if !o.limits.DropOldest {
		return nil
	}
	var first uint64
	for _, candidate := range o.queues {
		if w := o.firstWaiting(candidate); w != nil && (q == nil || w.Seq < first) {
			q, first = candidate, w.Seq
		}
	}
	return q
}

// firstWaiting is a queue's oldest job that does not run.
func (o *Outbox) firstWaiting(q *queue) *Work {
	for w := q.age.head; w != nil; w = w.link[byAge].next {
		if o.waiting(w) {
			return w
		}
	}
	return nil
}

// pushOut makes a dead letter of a queue's oldest waiting job.
func (o *Outbox) pushOut(q *queue) bool {
	if q == nil || !o.limits.DropOldest {
		return false
	}
	w := o.firstWaiting(q)
	if w == nil {
		return false
	}
	o.remove(w)
	o.metrics.dropped("pushed_out")
	w.State.Dead, w.State.Condition = time.Now(), PushedOut
	was := *w
	o.bury(w)
	o.doomed = append(o.doomed, doomed{&was, w})
	o.tellLater()
	return true
}

// tellLater starts a goroutine that tells of what was pushed out, if there is none.
func (o *Outbox) tellLater() {
	if len(o.doomed) > 0 && !o.burying && o.worker != nil && o.phase < halted {
		o.burying = true
		o.workers.Go(o.tell)
	}
}

// tell tells the worker, and the Log, of what was pushed out.
func (o *Outbox) tell() {
	for {
		o.mu.Lock()
		works := o.doomed
		o.doomed = nil
		if len(works) == 0 {
			o.burying = false
			o.mu.Unlock()
			return
		}
		worker, ctx := o.worker, o.ctx
		o.mu.Unlock()
		for _, d := range works {
			if worker != nil {
				worker.GiveUp(ctx, d.was, PushedOut)
			}
			o.mu.Lock()
			kept := d.work.letter
			o.mu.Unlock()
			o.writeDeath(d.was.Entry, kept)
		}
	}
}

// unlock frees the outbox and deletes from the Log what was given up meanwhile. The Log
// is never called under the lock, because it calls back.
func (o *Outbox) unlock() {
	gone := o.gone
	o.gone = nil
	if o.log == nil || len(gone) == 0 || o.phase >= ended {
		o.mu.Unlock()
		return
	}
	o.writers.Add(1)
	defer o.writers.Done()
	o.mu.Unlock()
	o.log.Delete(gone...)
}

// gauge sets the gauges. o.mu is held.
func (o *Outbox) gauge() {
	o.metrics.jobs.Set(float64(o.jobs))
	o.metrics.bytes.Set(float64(o.bytes))
}
