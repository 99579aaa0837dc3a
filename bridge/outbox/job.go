package outbox

import (
	"errors"
	"time"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/rules"
)

// Job is one piece of work: plain data, but for Local.
type Job struct {
	action.Task
	// Stage says what is to be done with the task.
	Stage Stage `json:"stage"`
	// Queue names what the job waits for. Jobs of one queue begin in order and share a
	// limit on how many run at once.
	Queue string `json:"queue"`
	// Lane names jobs of the queue that are done one after the other: the next one
	// begins when the one before is done or given up. Empty: the job waits for none.
	Lane string `json:"lane,omitempty"`
	// Batch names jobs of the queue that may be handed out together, as Delivery.Batch
	// says. Empty: the job goes alone.
	Batch string `json:"batch,omitempty"`
	// Delivery is how hard to try; nil: as the defaults say. It is shared and immutable.
	Delivery *action.Delivery `json:"delivery,omitempty"`
	// Accepted is when the message was accepted.
	Accepted time.Time `json:"accepted"`
	// Source is the rule that the job comes from, where the job needs it: to be
	// evaluated, and to run its error action. It is shared and immutable.
	Source *Source `json:"source,omitempty"`
	// Local is what the process that put the job keeps beside it. It is lost when the
	// job comes back from a store.
	Local any `json:"-"`
}

// Stage is what is to be done with a job.
type Stage string

// The stages.
const (
	// Act does the task's action.
	Act Stage = "act"
	// Evaluate runs the source's statement, which calls the outside, over the task's
	// message, and puts what comes of it.
	Evaluate Stage = "evaluate"
	// ErrorAct does a rule's error action.
	ErrorAct Stage = "error"
)

// Source is a rule as its author wrote it.
type Source struct {
	rules.Definition
	Actions     []action.Config
	ErrorAction *action.Config
}

// Limits bound an outbox. 0 means the default for Jobs and Bytes, and no bound of its
// own for a queue or for the age.
type Limits struct {
	Jobs       int           // jobs that wait or run
	Bytes      int64         // their size
	QueueJobs  int           // jobs that wait or run in one queue
	QueueBytes int64         // their size
	Age        time.Duration // since they were accepted; older ones are given up
	DropOldest bool          // at a limit the oldest job becomes a dead letter; else the new one is refused
}

// The default limits.
const (
	DefaultJobs  = 1_000_000
	DefaultBytes = 256 << 20
)

// WithDefaults fills in what is 0.
func (l Limits) WithDefaults() Limits {
	if l.Jobs <= 0 {
		l.Jobs = DefaultJobs
	}
	if l.Bytes <= 0 {
		l.Bytes = DefaultBytes
	}
	if l.QueueJobs <= 0 {
		l.QueueJobs = l.Jobs
	}
	if l.QueueBytes <= 0 {
		l.QueueBytes = l.Bytes
	}
	return l
}

// Size is about what the job takes in memory, in bytes.
func (j *Job) Size() int64 {
	const fixed = 1024 // the structs, the rendered action, the queue's share
	n := fixed + len(j.Payload) + len(j.Lane)
	if m := j.Message; m != nil {
		n += len(m.Payload) + len(m.Topic) + len(m.Props.Correlation)
		for _, u := range m.Props.User {
			n += len(u.Key) + len(u.Value)
		}
	}
	return int64(n)
}

// batch is how the job is batched; nil if it goes alone.
func (j *Job) batch() *action.BatchSpec {
	if j.Batch == "" || j.Delivery == nil {
		return nil
	}
	return j.Delivery.Batch
}

// ErrFull says that the outbox or one of its queues has as many jobs, or bytes of
// them, as it may have.
var ErrFull = errors.New("the outbox is full: functions take less than is published")

// ErrClosed says that the outbox takes nothing more, because the server shuts down.
var ErrClosed = errors.New("the outbox is closed: the server shuts down")

// Refusal is an error of Put that carries the MQTT 5 reason code with which the
// publisher is to be answered.
type Refusal struct {
	Err  error
	Code byte
}

// The reason codes of a PUBACK (MQTT 5, section 3.4.2.1).
const (
	codeImplementationSpecific = 0x83
	codeQuotaExceeded          = 0x97
)

// Closed is the refusal of what comes when the outbox takes nothing more.
func Closed() *Refusal { return &Refusal{Err: ErrClosed, Code: codeImplementationSpecific} }

// Error is that of the cause.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap is the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// ReasonCode is the MQTT 5 reason code.
func (r *Refusal) ReasonCode() byte { return r.Code }
