package outbox

import (
	"context"
	"time"

	"github.com/topicwire/topicwire/bridge/action"
)

// Log keeps what an outbox must not forget when the process ends. It takes no
// decisions: the outbox above it schedules jobs in memory and writes down what becomes
// of them. What is written down first is safe first. Implementations are safe for concurrent use.
type Log interface {
	// Load calls visit for every entry that is kept, in the order of their Seq. It is
	// called once, before anything else.
	Load(ctx context.Context, visit func(Entry) error) error
	// Put adds entries, all of them or, with an error, none; the error is a [Refusal].
	// It does not wait for a disk: the entries are safe once the Pending has called
	// back without an error; a nil Pending means that they are safe already. must says
	// that they come out of one that is kept: then they are not refused because nothing
	// can be written for now.
	Put(entries []Entry, must bool) (Pending, error)
	// Set replaces the State of an entry that is kept; of one that is deleted already it
	// does nothing. It is lazy: after a crash the entry may come back as it was before.
	// Set and Delete may come before the Pending of the entry has called back.
	Set(e Entry)
	// Delete forgets entries. It is lazy too: after a crash an entry may come back,
	// and its job is then handed out again.
	Delete(seqs ...uint64)
	// Close gives up what the Log holds. It does not wait for a store that cannot be
	// written. Nothing may be called after it.
	Close() error
}

// Entry is a job as a Log keeps it.
type Entry struct {
	// Seq orders the entries. The outbox chooses it, rising and never reused, also
	// over restarts.
	Seq uint64
	// Job is what is to be done. It does not change.
	Job Job
	// State is what has become of it; the zero value when it is put.
	State State
}

// State is what has become of a job so far.
type State struct {
	// Attempts are those that failed, the oldest first. Only the last ones are kept
	// whole; Tried counts all.
	Attempts []Attempt `json:"attempts,omitempty"`
	// Tried is how many attempts have been made.
	Tried int `json:"tried,omitempty"`
	// Own is how many of them failed of the function itself, and of this job.
	Own int `json:"own,omitempty"`
	// Split is how many count for nothing, because the job failed with others of its
	// batch and not by itself.
	Split int `json:"split,omitempty"`
	// Due is when the next attempt may be made; zero for at once.
	Due time.Time `json:"due,omitzero"`
	// Dead is when the job was given up and became a dead letter; zero while it lives.
	Dead time.Time `json:"dead,omitzero"`
	// Condition is why.
	Condition Condition `json:"condition,omitempty"`
	// Replay says that a dead letter is to be tried again, and how; nil if it is not.
	Replay *Replay `json:"replay,omitempty"`
}

// Replay is how a dead letter is tried again.
type Replay struct {
	// At is when.
	At time.Time `json:"at"`
	// Spec and Queue take the place of the job's own if it goes elsewhere this time.
	Spec  *action.Spec `json:"spec,omitempty"`
	Queue string       `json:"queue,omitempty"`
}

// Attempt is one attempt that failed.
type Attempt struct {
	// At is when it ended.
	At time.Time `json:"at"`
	// Took is how long it took, in nanoseconds.
	Took time.Duration `json:"took,omitempty"`
	// Outcome is the name of its kind of failure, as in metrics.
	Outcome string `json:"outcome"`
	// Error says what happened.
	Error string `json:"error"`
	// Payload is the error document of the function, if it gave one.
	Payload []byte `json:"payload,omitempty"`
}
