package rules

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"time"

	"github.com/topicwire/topicwire/message"
)

// TestCase is a test that stands beside a rule: a message, and what the rule makes of
// it. `topicwire rules test` runs it; the server only checks its form.
type TestCase struct {
	Name            string            `yaml:"name" jsonschema:"example=a hot day" jsonschema_description:"What the test shows, in your words; its number if left out."`
	Topic           string            `yaml:"topic" jsonschema:"required,example=plant/7/data" jsonschema_description:"The topic of the message, a Basic Ingest prefix included."`
	Payload         *any              `yaml:"payload" jsonschema:"oneof_type=string;number;boolean;object;array" jsonschema_description:"The payload as a value of any kind; the rule sees it as JSON."`
	PayloadText     string            `yaml:"payload_text" jsonschema_description:"The payload as text, byte for byte, in place of payload. With none of the three the payload is empty."`
	PayloadBase64   string            `yaml:"payload_base64" jsonschema:"example=AAEC" jsonschema_description:"The payload in base64, in place of payload."`
	ClientID        string            `yaml:"client_id" jsonschema_description:"The MQTT client identifier of the publisher. Without it, the message did not come over MQTT."`
	Principal       string            `yaml:"principal" jsonschema_description:"What the publisher authenticated as."`
	SourceIP        string            `yaml:"source_ip" jsonschema:"example=192.0.2.7" jsonschema_description:"The network address of the publisher."`
	ContentType     string            `yaml:"content_type" jsonschema_description:"The MQTT 5 content type."`
	ResponseTopic   string            `yaml:"response_topic" jsonschema_description:"The MQTT 5 response topic."`
	PayloadFormat   string            `yaml:"payload_format" jsonschema:"enum=utf8,enum=bytes" jsonschema_description:"The MQTT 5 payload format indicator; none if left out."`
	CorrelationData string            `yaml:"correlation_data" jsonschema_description:"The MQTT 5 correlation data, as text."`
	UserProperties  map[string]string `yaml:"user_properties" jsonschema_description:"MQTT 5 user properties, name and value; the message has them in the order of their names."`
	Now             time.Time         `yaml:"now" jsonschema:"example=2026-01-31T12:00:00Z" jsonschema_description:"The time at which the rule runs, for timestamp() and its like, as RFC 3339 writes it; the clock's if left out."`
	Expect          Expectation       `yaml:"expect" jsonschema:"required" jsonschema_description:"What comes of it."`
}

// Expectation is what a rule has to make of a test's message. What it does not mention
// is not looked at.
type Expectation struct {
	Payload     *any             `yaml:"payload" jsonschema:"oneof_type=string;number;boolean;object;array" jsonschema_description:"What the rule's actions receive, compared as JSON: spaces, the order of keys and 1 or 1.0 make no difference."`
	PayloadText *string          `yaml:"payload_text" jsonschema_description:"What the rule's actions receive, byte for byte."`
	NoMatch     bool             `yaml:"no_match" jsonschema_description:"true: the rule does not run, because of its topic filter or its WHERE."`
	Error       string           `yaml:"error" jsonschema_description:"The statement or a template fails, and the error has this text in it."`
	Actions     []map[string]any `yaml:"actions" jsonschema_description:"The rule's actions, all of them in their order, with their templates filled in. Of each one, only the keys that stand here are compared."`
}

// Check reports what is wrong with the test's form.
func (t TestCase) Check(report func(path, problem, remedy string)) {
	if t.Topic != "" { // decoding has reported a topic that is missing
		if err := message.ValidateTopic(t.Topic); err != nil {
			report("topic", err.Error(), "write the topic of one message")
		}
	}
	given := 0
	for _, is := range []bool{t.Payload != nil, t.PayloadText != "", t.PayloadBase64 != ""} {
		if is {
			given++
		}
	}
	if given > 1 {
		report("", "the message has several payloads", "keep one of payload, payload_text and payload_base64")
	}
	if _, err := base64.StdEncoding.DecodeString(t.PayloadBase64); err != nil {
		report("payload_base64", "is not base64", "encode it with the standard alphabet and padding, or write payload_text")
	}
	t.Expect.check(func(path, problem, remedy string) {
		if path = "expect." + path; path == "expect." {
			path = "expect"
		}
		report(path, problem, remedy)
	})
}

func (e Expectation) check(report func(path, problem, remedy string)) {
	result := e.Payload != nil || e.PayloadText != nil || e.Actions != nil
	switch {
	case !result && !e.NoMatch && e.Error == "":
		report("", "nothing is expected", "write payload, payload_text, actions, error or no_match: true")
	case e.NoMatch && (result || e.Error != ""):
		report("no_match", "a rule that does not run has no result and no error", "keep no_match or what it contradicts")
	case e.Error != "" && (e.Payload != nil || e.PayloadText != nil || e.Actions != nil):
		report("error", "a rule that fails has no result", "keep error or what it contradicts")
	case e.Payload != nil && e.PayloadText != nil:
		report("payload_text", "payload is given too", "keep one of them")
	}
	for i, a := range e.Actions {
		if len(a) != 1 {
			report(fmt.Sprintf("actions[%d]", i), fmt.Sprintf("has %d keys", len(a)), "write one action as in the rule: a map with its kind as the key")
		}
	}
}

// Bytes is the payload of the test's message. The error says that it cannot be written
// as JSON or is not base64.
func (t TestCase) Bytes() ([]byte, error) {
	switch {
	case t.Payload != nil:
		var b bytes.Buffer
		enc := json.NewEncoder(&b)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(*t.Payload); err != nil {
			return nil, fmt.Errorf("payload: %w", err)
		}
		return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
	case t.PayloadBase64 != "":
		b, err := base64.StdEncoding.DecodeString(t.PayloadBase64)
		if err != nil {
			return nil, fmt.Errorf("payload_base64: %w", err)
		}
		return b, nil
	}
	return []byte(t.PayloadText), nil
}
