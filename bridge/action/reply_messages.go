package action

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/topicwire/topicwire/message"
)

// maxMessages bounds how many messages one answer may hold.
const maxMessages = 1000

var (
	errMessagesForm = errors.New(`the answer is not {"publish": [{"topic": ..., "payload": ...}, ...]}, as the rule's reply.format says`)
	errMessagesMany = fmt.Errorf("publish has more than %d messages", maxMessages)
	errNoTopic      = errors.New("topic is missing, and the rule's reply and the message name none to answer to")
	errTwoPayloads  = errors.New("payload and payloadBase64 are given: keep one of them")
	errMayNot       = errors.New("the function's policies do not let it publish there")
)

// outgoing is one message of an answer.
type outgoing struct {
	Topic         string          `json:"topic"`
	Payload       json.RawMessage `json:"payload"` // a string is published as its text, anything else as JSON
	PayloadBase64 *[]byte         `json:"payloadBase64"`
	QoS           *int            `json:"qos"`
	Retain        bool            `json:"retain"`
	Properties    *outgoingProps  `json:"properties"`
}

// outgoingProps are MQTT 5 properties under the names of the republish action's headers.
type outgoingProps struct {
	Format      string             `json:"payloadFormatIndicator"`
	ContentType string             `json:"contentType"`
	Response    string             `json:"responseTopic"`
	Correlation string             `json:"correlationData"` // base64
	Expiry      *int64             `json:"messageExpiry"`   // seconds
	User        []outgoingProperty `json:"userProperties"`
}

type outgoingProperty struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// answerMessages publishes the messages of an answer, in their order. All of them are
// checked before the first is published: an answer with a mistake publishes nothing. One
// that cannot be published later on, because a queue is full for instance, fails the
// action when those before it are out; what is tried again then is the whole.
func (s *Services) answerMessages(ctx context.Context, t *Task, spec *ReplySpec, payload []byte) (Result, error) {
	var doc struct {
		Publish []json.RawMessage `json:"publish"`
	}
	if err := strict(payload, &doc); err != nil {
		return Result{}, fmt.Errorf("%w: %w", errMessagesForm, err)
	}
	switch {
	case len(doc.Publish) == 0:
		return Result{Unanswered: NoAnswer}, nil
	case len(doc.Publish) > maxMessages:
		return Result{}, errMessagesMany
	}
	messages := make([]*message.Message, len(doc.Publish))
	for i, raw := range doc.Publish {
		m, err := s.outgoing(t, spec, raw)
		if err != nil {
			return Result{}, fmt.Errorf("publish[%d]: %w", i, err)
		}
		messages[i] = m
	}
	for i, m := range messages {
		if err := s.publish(ctx, t, m); err != nil {
			return Result{}, fmt.Errorf("publish[%d], with %d before it published: %w", i, i, err)
		}
	}
	return Result{ReplyTopic: messages[0].Topic}, nil
}

// strict decodes JSON that has no other fields than v.
func strict(doc []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(doc))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		return err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return errors.New("there is more behind it") //nolint:err113 // nobody tests for it
	}
	return nil
}

// outgoing checks one message of an answer.
func (s *Services) outgoing(t *Task, spec *ReplySpec, raw json.RawMessage) (*message.Message, error) {
	var o outgoing
	if err := strict(raw, &o); err != nil {
		return nil, err
	}
	named := o.Topic != ""
	if !named {
		if o.Topic, _ = s.replyTopic(t.Message, spec); o.Topic == "" {
			return nil, errNoTopic
		}
	} else if err := (topicField{}).valid(o.Topic); err != nil {
		return nil, err
	}
	payload, err := o.payload()
	if err != nil {
		return nil, err
	}
	m := replyMessage(t, spec, o.Topic, payload)
	m.Retain = m.Retain || o.Retain
	if o.QoS != nil {
		if *o.QoS < 0 || *o.QoS > 2 {
			return nil, fmt.Errorf("qos is %d: it is 0, 1 or 2", *o.QoS) //nolint:err113 // the text is for a person
		}
		m.QoS = byte(*o.QoS)
	}
	if o.Properties != nil {
		if err := o.Properties.set(&m.Props); err != nil {
			return nil, errRender("properties", err)
		}
	}
	if named && !s.mayPublish(t, m.Topic, m.Retain) {
		return nil, fmt.Errorf("topic %.200q: %w", m.Topic, errMayNot)
	}
	return m, nil
}

func (o *outgoing) payload() ([]byte, error) {
	var text string
	switch {
	case o.PayloadBase64 != nil && o.Payload != nil:
		return nil, errTwoPayloads
	case o.PayloadBase64 != nil:
		return *o.PayloadBase64, nil
	case len(o.Payload) == 0, string(o.Payload) == "null":
		return nil, nil
	case o.Payload[0] == '"':
		err := json.Unmarshal(o.Payload, &text)
		return []byte(text), err
	default:
		return o.Payload, nil
	}
}

func (o *outgoingProps) set(p *message.Properties) error {
	var err error
	if p.Format, err = parseFormat(o.Format); err != nil {
		return err
	}
	if o.Correlation != "" {
		if p.Correlation, err = base64.StdEncoding.DecodeString(o.Correlation); err != nil {
			return errRender("correlationData", err)
		}
	}
	if o.Response != "" {
		if err := message.ValidateTopic(o.Response); err != nil {
			return errRender("responseTopic", err)
		}
	}
	if o.Expiry != nil {
		if *o.Expiry < 0 || *o.Expiry > math.MaxUint32 {
			return fmt.Errorf("messageExpiry is %d: it is a number of seconds", *o.Expiry) //nolint:err113 // the text is for a person
		}
		p.Expiry, p.HasExpiry = uint32(*o.Expiry), true
	}
	if err := checkText(o.ContentType); err != nil {
		return errRender("contentType", err)
	}
	p.ContentType, p.ResponseTopic = o.ContentType, o.Response
	for i, u := range o.User {
		for _, s := range []string{u.Key, u.Value} {
			if err := checkText(s); err != nil {
				return errRender(fmt.Sprintf("userProperties[%d]", i), err)
			}
		}
		p.User = append(p.User, message.UserProperty{Key: u.Key, Value: u.Value})
	}
	return nil
}
