package bridge

import (
	"time"

	"github.com/topicwire/topicwire/message"
)

// Event is one stage of a message's way, for those who watch: `topicwire dev` makes a
// line of the events that share a Message.
type Event struct {
	// Stage says what happened.
	Stage Stage
	// Time is when.
	Time time.Time
	// Message is the message it happened to. Read-only.
	Message *message.Message
	// Rules are the names of the rules that took it, at [Accepted].
	Rules []string
	// Rule, Action and Target say what was done, from [Started] on: the rule's name,
	// the kind of action, and the function, URL or topic it acts on.
	Rule, Action, Target string
	// RequestID is that of the invocation, from [Started] on.
	RequestID string
	// ErrorAction says that it is the rule's error action.
	ErrorAction bool
	// Duration is how long the action took, at [Finished] and [Failed].
	Duration time.Duration
	// ReplyTopic is where the answer or the republished message went, at [Finished];
	// empty if nowhere.
	ReplyTopic string
	// Again is how long until the next attempt, at [Failed]; 0 if it was the last.
	Again time.Duration
	// Err is what failed, at [Failed], [Dropped] and [Refused].
	Err error
}

// Stage is a step of a message's way.
type Stage string

// The stages. A message has one Accepted, Refused or Dropped event; then, for every
// attempt of an action, Started and either Finished or Failed. An action whose templates or whose
// rule's statement failed has only Failed.
const (
	Accepted Stage = "accepted" // it was taken; Rules says by which rules, if any
	Refused  Stage = "refused"  // the outbox is full: the publisher is told
	Dropped  Stage = "dropped"  // it matched rules and no action was or will be done
	Started  Stage = "started"
	Finished Stage = "finished"
	Failed   Stage = "failed"
)

// observe tells the observer, if there is one. Callers that have to allocate for an
// event ask observed first.
func (b *Bridge) observe(e Event) {
	if b.options.Observe != nil {
		e.Time = time.Now()
		b.options.Observe(e)
	}
}

func (b *Bridge) observed() bool { return b.options.Observe != nil }
