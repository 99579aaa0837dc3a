package bridge

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/topicwire/topicwire/bridge/outbox"
)

// LetterFilter chooses dead letters. Every field that is set has to match.
type LetterFilter struct {
	// IDs are those of the jobs, which functions see as request ids.
	IDs []string
	// Rule is a rule's name, Function a function's name or ARN, or the beginning of a
	// URL.
	Rule, Function string
	// Since and Until bound the time of death; Until is excluded.
	Since, Until time.Time
	// Error is part of the last error, in any case, or its outcome in metrics.
	Error string
}

// Zero reports whether the filter chooses all.
func (f *LetterFilter) Zero() bool {
	return len(f.IDs) == 0 && f.Rule == "" && f.Function == "" && f.Since.IsZero() && f.Until.IsZero() && f.Error == ""
}

func (b *Bridge) matches(f *LetterFilter, l *outbox.Letter) bool {
	at := l.State.Dead
	switch {
	case len(f.IDs) > 0 && !slices.Contains(f.IDs, l.Job.ID),
		f.Rule != "" && f.Rule != l.Job.Rule,
		!f.Since.IsZero() && at.Before(f.Since),
		!f.Until.IsZero() && !at.Before(f.Until),
		f.Function != "" && !b.isFunction(&l.Job, f.Function):
		return false
	}
	if f.Error == "" {
		return true
	}
	for _, a := range l.State.Attempts[max(0, len(l.State.Attempts)-1):] {
		if a.Outcome == f.Error || strings.Contains(strings.ToLower(a.Error), strings.ToLower(f.Error)) {
			return true
		}
	}
	return strings.EqualFold(string(l.State.Condition), f.Error)
}

func (b *Bridge) isFunction(j *outbox.Job, name string) bool {
	target := targetOf(j)
	if target == name || j.Spec.HTTP != nil && strings.HasPrefix(target, name) {
		return true
	}
	functions := b.loaded.Load().functions
	return j.Spec.Lambda != nil && functions.Resolve(target) == functions.Resolve(name)
}

// Letters gives the dead letters that match, in the order of their messages.
func (b *Bridge) Letters(f LetterFilter) []outbox.Letter {
	return b.durable.Letters(func(l *outbox.Letter) bool { return b.matches(&f, l) })
}

// DropLetters forgets the dead letters that match and says how many.
func (b *Bridge) DropLetters(f LetterFilter) int {
	return b.durable.Drop(func(l *outbox.Letter) bool { return b.matches(&f, l) })
}

// ReplayLetters tries the dead letters that match again, in the order of their
// messages: with as many attempts as a new message, perSecond of them (0: no limit), and,
// if to is not empty, with that function instead of their own, which must exist. A
// letter is kept until it has succeeded. The rule's error action is not run again. It
// says how many are tried.
func (b *Bridge) ReplayLetters(f LetterFilter, perSecond float64, to string) (int, error) {
	var change func(*outbox.Job)
	if to != "" {
		functions := b.loaded.Load().functions
		if _, err := functions.Lookup(to); err != nil {
			return 0, err
		}
		queue := queueName(queueLambda, functions.Resolve(to))
		change = func(j *outbox.Job) {
			if j.Stage == outbox.Evaluate {
				return // it has no result yet to hand to a function
			}
			j.Spec, j.Queue = j.Spec.To(to), queue
		}
	}
	return b.durable.Replay(func(l *outbox.Letter) bool { return b.matches(&f, l) }, perSecond, change), nil
}

// StopReplays ends the replays of the dead letters that match, which stay, and says of how
// many.
func (b *Bridge) StopReplays(f LetterFilter) int {
	return b.durable.Stop(func(l *outbox.Letter) bool { return b.matches(&f, l) })
}

// LetterRecord is a dead letter in the form in which AWS hands it to a failure
// destination of an asynchronous invocation. Under topicwire it says what AWS has no
// place for.
// (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-retain-records.html)
type LetterRecord struct {
	Version         string           `json:"version"`
	Timestamp       time.Time        `json:"timestamp"`
	RequestContext  requestContext   `json:"requestContext"`
	RequestPayload  json.RawMessage  `json:"requestPayload"`
	ResponseContext *responseContext `json:"responseContext,omitempty"`
	ResponsePayload json.RawMessage  `json:"responsePayload,omitempty"`
	Topicwire       letterContext    `json:"topicwire"`
}

type requestContext struct {
	RequestID   string           `json:"requestId"`
	FunctionARN string           `json:"functionArn"`
	Condition   outbox.Condition `json:"condition"`
	InvokeCount int              `json:"approximateInvokeCount"`
}

type responseContext struct {
	StatusCode      int    `json:"statusCode"`
	ExecutedVersion string `json:"executedVersion"`
	FunctionError   string `json:"functionError"`
}

type letterContext struct {
	Rule           string           `json:"rule"`
	Action         string           `json:"action"`
	Target         string           `json:"target"`
	ErrorAction    bool             `json:"errorAction,omitempty"`
	MessageID      string           `json:"messageId"`
	Topic          string           `json:"topic"`
	ClientID       string           `json:"clientId,omitempty"`
	QoS            byte             `json:"qos"`
	Accepted       time.Time        `json:"accepted"`
	PayloadIsBytes bool             `json:"requestPayloadIsBase64,omitempty"`
	Original       []byte           `json:"base64OriginalPayload,omitempty"`
	Attempts       []outbox.Attempt `json:"attempts"`
	Replaying      bool             `json:"replaying,omitempty"`
}

const awsQualifier = ":$LATEST"

// Record is a dead letter as AWS would write it.
func (b *Bridge) Record(l *outbox.Letter) LetterRecord {
	j, s := &l.Job, &l.State
	r := LetterRecord{
		Version: "1.0", Timestamp: s.Dead.UTC(),
		RequestContext: requestContext{
			RequestID: j.ID, FunctionARN: b.functionARN(j), Condition: cmp.Or(s.Condition, outbox.RetriesExhausted), InvokeCount: s.Tried,
		},
		Topicwire: letterContext{
			Rule: j.Rule, Action: kindOf(j), Target: targetOf(j), ErrorAction: j.Stage == outbox.ErrorAct,
			MessageID: j.Message.ID, Topic: j.Message.Topic, ClientID: j.Message.From.ClientID, QoS: j.Message.QoS,
			Accepted: j.Accepted.UTC(), Original: j.Message.Payload, Attempts: s.Attempts, Replaying: l.Replaying,
		},
	}
	payload := j.Payload
	if j.Stage == outbox.Evaluate {
		payload = j.Message.Payload // there is no result yet
	}
	r.RequestPayload, r.Topicwire.PayloadIsBytes = asJSON(payload)
	if n := len(s.Attempts); n > 0 && json.Valid(s.Attempts[n-1].Payload) {
		r.ResponsePayload = s.Attempts[n-1].Payload
		r.ResponseContext = &responseContext{StatusCode: 200, ExecutedVersion: "$LATEST", FunctionError: "Unhandled"}
	}
	if r.Topicwire.Attempts == nil {
		r.Topicwire.Attempts = []outbox.Attempt{}
	}
	return r
}

// asJSON gives JSON as it is, text as a string, and anything else in base64.
func asJSON(payload []byte) (doc json.RawMessage, isBytes bool) {
	if json.Valid(payload) {
		return payload, false
	}
	var v any = payload
	if utf8.Valid(payload) {
		v = string(payload)
	}
	doc, err := json.Marshal(v)
	if err != nil {
		return json.RawMessage("null"), false // bytes and strings always encode
	}
	return doc, !utf8.Valid(payload)
}

// functionARN names what was called as AWS would. What is no function is named by what
// it is.
func (b *Bridge) functionARN(j *outbox.Job) string {
	if j.Spec.Lambda == nil {
		return targetOf(j)
	}
	name := j.Spec.Lambda.Function
	if strings.HasPrefix(name, "arn:") {
		if strings.Count(name, ":") < 7 {
			name += awsQualifier
		}
		return name
	}
	return fmt.Sprintf("arn:aws:lambda:us-east-1:%s:function:%s%s", b.options.AccountID, name, awsQualifier)
}
