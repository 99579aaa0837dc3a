package outbox

import (
	"slices"
	"strings"
	"time"
)

// Work is a job in the outbox with what has become of it. A [Worker] reads it and sets
// Result and Job.Local, and nothing else.
type Work struct {
	Entry
	// Result is what Do says became of the attempt.
	Result Result
	// Replay says that it is a dead letter that is tried again.
	Replay bool
	letter bool // it is among the dead letters
	stop   bool // a dead letter whose attempt that is under way is to be the last
	drop   bool // a dead letter that was dropped while it was tried again, or a job that could not be stored

	born  time.Time // when its age began: accepted, or replayed
	size  int64
	most  int // of a batch that it may be in; 0: any size. See Result.Smaller
	tries int // attempts since memory began to end

	queue *queue
	lane  *lane
	group *group
	in    *list // the list of waiting works that it is in; nil while it runs
	timer *alarm
	link  [lists]struct{ prev, next *Work }

	original   *Job  // of a dead letter, while another job is tried in its place
	before     int   // attempts before it was replayed
	letterSize int64 // what it takes as a dead letter, while it is one
}

// Result is what became of an attempt.
type Result struct {
	// Verdict says what is to be done with the job.
	Verdict Verdict
	// Attempt is the attempt that failed, with Again and Dead.
	Attempt Attempt
	// Own says that the function itself failed, as [State.Own] counts it.
	Own bool
	// Split says that the attempt is to count for nothing, because the job failed with
	// others and not by itself.
	Split bool
	// Nothing says that there was no attempt after all: nothing was called.
	Nothing bool
	// Wait is how long to wait before the next attempt, with Again.
	Wait time.Duration
	// Smaller is the most jobs that the batch of the next attempt may have, with
	// Again; 0: any number. Jobs with such a bound are batched among themselves.
	Smaller int
	// Condition is why the job is given up, with Dead.
	Condition Condition
}

// Verdict is what is to be done with a job after an attempt.
type Verdict byte

// The verdicts.
const (
	// Done: the job has come to its end.
	Done Verdict = iota
	// Again: it is tried again.
	Again
	// Dead: it is given up and becomes a dead letter.
	Dead
	// Undone: the attempt was cut off because the server shuts down.
	Undone
)

// Condition is why a job was given up. The first two are AWS's.
// (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html)
type Condition string

// The conditions.
const (
	RetriesExhausted Condition = "RetriesExhausted"
	EventAgeExceeded Condition = "EventAgeExceeded"
	// PushedOut: the outbox was full and this was its oldest job.
	PushedOut Condition = "PushedOut"
	// ShutDown: it was in memory alone when the server stopped, and failed once more.
	ShutDown Condition = "ShutDown"
)

func newWork(e Entry) *Work {
	w := &Work{Entry: e, born: e.Job.Accepted}
	w.size = w.weight()
	return w
}

// weight is about what it takes in memory, in bytes.
func (w *Work) weight() int64 { return w.Job.Size() + w.State.size() }

// rebase moves a work's times back that lie ahead: the clock was wrong when they were
// taken, and nobody is to wait until it is as late as that.
func (w *Work) rebase(now time.Time) {
	s := &w.State
	last := w.Job.Accepted
	if s.Dead.After(last) {
		last = s.Dead
	}
	if n := len(s.Attempts); n > 0 && s.Attempts[n-1].At.After(last) {
		last = s.Attempts[n-1].At
	}
	ahead := last.Sub(now)
	if ahead <= 0 {
		return
	}
	w.born = w.born.Add(-ahead)
	for _, t := range []*time.Time{&s.Due, &s.Dead} {
		if !t.IsZero() {
			*t = t.Add(-ahead)
		}
	}
}

// Born is when the job's age began: when its message was accepted, or when the dead
// letter was replayed.
func (w *Work) Born() time.Time { return w.born }

// Tries is how many attempts count: all that the job was the cause of or, of a replayed
// letter, those since.
func (w *Work) Tries() int { return w.State.Tried - w.State.Split - w.before }

// kept is the entry as the Log has it.
func (w *Work) kept() Entry {
	e := w.Entry
	if w.original != nil {
		e.Job = *w.original
	}
	return e
}

// What is kept of failed attempts: the first, which often tells most, and the last ones
// whole; of those between what went wrong, shortened, up to a number that the retries of
// the default six hours hardly reach.
const (
	wholeAttempts = 10
	keptAttempts  = 200
	shortError    = 200 // bytes
)

// failed notes an attempt.
func (s *State) failed(r *Result) {
	s.Tried++
	if r.Own {
		s.Own++
	}
	if r.Split {
		s.Split++
	}
	// Never in place: whoever lists dead letters may hold the slice.
	kept := slices.Clone(s.Attempts)
	if len(kept) >= keptAttempts {
		kept = slices.Delete(kept, 1, len(kept)-keptAttempts+2)
	}
	a := r.Attempt
	if n := len(kept); n > 0 && kept[n-1].Error == a.Error {
		a.Error = kept[n-1].Error // in memory once
	}
	kept = append(kept, a)
	if i := len(kept) - wholeAttempts; i > 0 {
		kept[i].shorten()
	}
	s.Attempts = kept
}

// size is about what the attempts take in memory, in bytes: an error that is the same as
// the one before is there once.
func (s *State) size() int64 {
	const fixed = 96
	n := 0
	for i := range s.Attempts {
		a := &s.Attempts[i]
		n += fixed + len(a.Payload)
		if i == 0 || a.Error != s.Attempts[i-1].Error {
			n += len(a.Error)
		}
	}
	return int64(n)
}

// share lets errors that are the same be in memory once, in a State that was read.
func (s *State) share() {
	s.Attempts = slices.Clone(s.Attempts) // the Log has the slice too
	for i := 1; i < len(s.Attempts); i++ {
		if before := s.Attempts[i-1].Error; s.Attempts[i].Error == before {
			s.Attempts[i].Error = before
		}
	}
}

// shorten leaves of an attempt what an overview needs.
func (a *Attempt) shorten() {
	a.Payload = nil
	if len(a.Error) > shortError {
		a.Error = strings.ToValidUTF8(a.Error[:shortError], "") + "..."
	}
}

// The lists that a work is in at once.
const (
	byTurn = iota // waiting: a group's or a lane's
	byAge         // everything of a queue
	lists
)

// list is a list of works that are linked to each other.
type list struct {
	which      int
	head, tail *Work
	n          int
}

func (l *list) push(w *Work) {
	k := &w.link[l.which]
	k.prev, k.next = l.tail, nil
	if l.tail != nil {
		l.tail.link[l.which].next = w
	} else {
		l.head = w
	}
	l.tail = w
	l.added(w)
}

func (l *list) pushFront(w *Work) {
	k := &w.link[l.which]
	k.prev, k.next = nil, l.head
	if l.head != nil {
		l.head.link[l.which].prev = w
	} else {
		l.tail = w
	}
	l.head = w
	l.added(w)
}

func (l *list) added(w *Work) {
	l.n++
	if l.which == byTurn {
		w.in = l
	}
}

func (l *list) remove(w *Work) {
	k := &w.link[l.which]
	if k.prev != nil {
		k.prev.link[l.which].next = k.next
	} else {
		l.head = k.next
	}
	if k.next != nil {
		k.next.link[l.which].prev = k.prev
	} else {
		l.tail = k.prev
	}
	k.prev, k.next = nil, nil
	l.n--
	if l.which == byTurn {
		w.in = nil
	}
}
