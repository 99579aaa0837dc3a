package bridge

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"sync"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/message"
)

// group collects what becomes of the actions of one rule for one message, because the
// error action runs once for all that fail.
type group struct {
	mu       sync.Mutex
	left     int
	failures []action.Failure
}

func newGroup(actions int) *group { return &group{left: actions} }

// finish takes one action off, with its failure or nil, and reports whether it was
// the last.
func (g *group) finish(f *action.Failure) (last bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if f != nil {
		g.failures = append(g.failures, *f)
	}
	g.left--
	return g.left == 0
}

// take returns the failures.
func (g *group) take() []action.Failure {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.failures
}

// errorID is the ID of the error action's job of a rule for a message: the same again if
// a crash makes it run twice, so that a function can tell.
func errorID(messageID, rule string) string { return derivedID(messageID, rule) }

// derivedID is an ID that comes out the same whenever it is made of the same.
func derivedID(from, what string) string {
	sum := sha256.Sum256([]byte(from + "/" + what))
	sum[6], sum[8] = sum[6]&0x0f|0x80, sum[8]&0x3f|0x80 // a UUID of version 8 (RFC 9562, section 5.8)
	h := hex.EncodeToString(sum[:16])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// restoreGroups finds out for the jobs that a process before has left which of them
// belong together: one error action is due for all that fail of one rule and message.
// A dead letter is one that has failed; an error action's job, whatever its state, says
// that the error action has had its chance.
func restoreGroups(all []*outbox.Work) {
	type of struct{ message, rule string }
	groups := make(map[of]*group)
	key := func(w *outbox.Work) of { return of{w.Job.Message.ID, w.Job.Rule} }
	for _, w := range all {
		switch {
		case w.Job.Stage == outbox.ErrorAct:
			groups[key(w)] = nil
		case w.Job.Stage == outbox.Act && w.Job.Source != nil:
			if _, known := groups[key(w)]; !known {
				groups[key(w)] = newGroup(0)
			}
		}
	}
	for _, w := range all {
		if w.Job.Stage != outbox.Act || w.Job.Source == nil {
			continue
		}
		g := groups[key(w)]
		switch dead := !w.State.Dead.IsZero(); {
		case g == nil:
			w.Job.Local = &local{}
		case dead && len(w.State.Attempts) > 0:
			last := w.State.Attempts[len(w.State.Attempts)-1]
			g.failures = append(g.failures, action.Failure{Action: w.Job.Spec.FailedAction(), Resource: w.Job.Spec.Resource(), Message: last.Error})
		case !dead:
			g.left++
			w.Job.Local = &local{group: g}
		}
	}
}

// document is what AWS hands to an error action.
// (https://docs.aws.amazon.com/iot/latest/developerguide/rule-error-handling.html)
type document struct {
	RuleName              string           `json:"ruleName"`
	Topic                 string           `json:"topic"`
	CloudwatchTraceID     string           `json:"cloudwatchTraceId"`
	ClientID              string           `json:"clientId"`
	Base64OriginalPayload []byte           `json:"base64OriginalPayload"`
	Failures              []action.Failure `json:"failures"`
}

// errorDocument builds the document for one message and one rule.
func errorDocument(rule string, m *message.Message, failures []action.Failure) []byte {
	client := m.From.ClientID
	if client == "" {
		client = "n/a" // as clientid() has it for what did not come over MQTT
	}
	payload := m.Payload
	if payload == nil {
		payload = []byte{} // "" and not null
	}
	doc, err := json.Marshal(document{
		RuleName: rule, Topic: m.Topic, CloudwatchTraceID: m.ID, ClientID: client,
		Base64OriginalPayload: payload, Failures: failures,
	})
	if err != nil {
		return []byte("{}") // strings and bytes always encode
	}
	return doc
}
