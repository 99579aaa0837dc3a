package bridge

import (
	"encoding/json"
	"sync"

	"github.com/topicwire/topicwire/bridge/action"
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
