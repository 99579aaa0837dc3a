package action

import (
	"bytes"
	"context"

	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules/sql"
)

// ReplyConfig says where a function's answer is published. It is ours: on AWS the
// answer of a rule's function goes nowhere. Without it, or without its topic, the
// answer goes to the MQTT 5 Response Topic of the message, if it has one.
type ReplyConfig struct {
	Topic               string `yaml:"topic" jsonschema:"example=${topic()}/reply" jsonschema_description:"The topic to publish the answer to; ${} templates see the message. Left out, the answer goes to the message's Response Topic."`
	QoS                 Value  `yaml:"qos" jsonschema:"oneof_type=integer;string" jsonschema_description:"The answer's QoS: 0, 1, 2 or a template. Left out, it is the message's."`
	Retain              Value  `yaml:"retain" jsonschema:"oneof_type=boolean;string" jsonschema_description:"Whether the answer is retained: true, false or a template."`
	PreferResponseTopic bool   `yaml:"prefer_response_topic" jsonschema_description:"With topic: where a message has a Response Topic that its sender may receive from, answer there instead."`
	Stream              bool   `yaml:"stream" jsonschema_description:"Publish a streamed answer piece by piece, each as a message of its own, while the function writes it; the user properties stream, sequence and end hold it together."`
	Format              Format `yaml:"format" jsonschema:"enum=payload,enum=messages" jsonschema_description:"payload, the default, publishes the answer as it is. messages takes it for {\"publish\": [{topic, payload, qos, retain, properties}]} and publishes each of these; without a topic of its own one goes where the answer would."`
}

// Format says what an answer is.
type Format string

// The formats; empty is FormatPayload.
const (
	FormatPayload  Format = "payload"
	FormatMessages Format = "messages"
)

func (r *ReplyConfig) check(path string, report Report) {
	if r == nil {
		return
	}
	switch {
	case r.Format != "" && r.Format != FormatPayload && r.Format != FormatMessages:
		report(join(path, "format"), "is neither payload nor messages", "write format: payload or format: messages")
	case r.Stream && r.Format == FormatMessages:
		report(join(path, "format"), "messages are read when the answer is there, and stream publishes it before", "remove stream or format")
	case r.Stream && r.Retain != "":
		report(join(path, "retain"), "of a streamed answer only the last piece would be kept", "remove retain or stream")
	}
	if r.PreferResponseTopic && r.Topic == "" {
		report(join(path, "prefer_response_topic"), "has no meaning without topic", "remove it: without topic the answer goes to the Response Topic anyway")
	}
}

// reply is a compiled ReplyConfig.
type reply struct {
	topic       topicField
	hasTopic    bool
	qos, retain field
	prefer      bool
	stream      bool
	format      Format
}

func (c *compiler) reply(path string, cfg *ReplyConfig) *reply {
	if cfg == nil {
		return nil
	}
	r := &reply{prefer: cfg.PreferResponseTopic, stream: cfg.Stream}
	if cfg.Format != FormatPayload {
		r.format = cfg.Format
	}
	if cfg.Topic != "" {
		r.hasTopic = true
		r.topic = c.topic(join(path, "topic"), cfg.Topic)
	}
	r.qos = c.checked(join(path, "qos"), string(cfg.QoS), "write 0, 1 or 2", func(s string) error {
		if s == "" {
			return nil
		}
		_, err := parseQoS(s)
		return err
	})
	r.retain = c.checked(join(path, "retain"), string(cfg.Retain), "write true or false", func(s string) error {
		_, err := parseBool(s)
		return err
	})
	return r
}

// ReplySpec is a rendered reply.
type ReplySpec struct {
	// Topic is where the answer goes; empty for the message's Response Topic.
	Topic string `json:"topic,omitempty"`
	// QoS is the answer's QoS; -1 for that of the message.
	QoS int8 `json:"qos"`
	// Retain asks for the answer to be retained.
	Retain bool `json:"retain,omitempty"`
	// Prefer puts the message's Response Topic before Topic.
	Prefer bool `json:"prefer,omitempty"`
	// Stream publishes the pieces of a streamed answer as they come.
	Stream bool `json:"stream,omitempty"`
	// Format is what the answer is; empty for a payload.
	Format Format `json:"format,omitempty"`
}

func (r *reply) render(ctx context.Context, in *sql.Input) (*ReplySpec, error) {
	if r == nil {
		return nil, nil //nolint:nilnil // no reply is configured
	}
	spec := &ReplySpec{QoS: -1, Prefer: r.prefer, Stream: r.stream, Format: r.format}
	var err error
	if r.hasTopic {
		if spec.Topic, err = r.topic.render(ctx, in); err != nil {
			return nil, err
		}
	}
	qos, err := r.qos.render(ctx, in)
	if err != nil {
		return nil, err
	}
	if qos != "" {
		q, err := parseQoS(qos)
		if err != nil {
			return nil, errRender(r.qos.path, err)
		}
		spec.QoS = int8(q)
	}
	retain, err := r.retain.render(ctx, in)
	if err != nil {
		return nil, err
	}
	if spec.Retain, err = parseBool(retain); err != nil {
		return nil, errRender(r.retain.path, err)
	}
	return spec, nil
}

// answer publishes what a function returned. A function that returns nothing gives an
// empty answer or, from Lambda, null: neither is published.
func (s *Services) answer(ctx context.Context, t *Task, spec *ReplySpec, payload []byte) (Result, error) {
	if trimmed := bytes.TrimSpace(payload); len(trimmed) == 0 || string(trimmed) == "null" {
		return Result{Unanswered: NoAnswer}, nil
	}
	if spec != nil && spec.Format == FormatMessages {
		return s.answerMessages(ctx, t, spec, payload)
	}
	topic, why := s.replyTopic(t.Message, spec)
	if topic == "" {
		return Result{Unanswered: why}, nil
	}
	m := replyMessage(t, spec, topic, payload)
	if err := s.publish(ctx, t, m); err != nil {
		return Result{}, err
	}
	return Result{ReplyTopic: topic}, nil
}

// replyMessage is an answer, or a piece of one, as a message.
func replyMessage(t *Task, spec *ReplySpec, topic string, payload []byte) *message.Message {
	m := &message.Message{
		Topic:   topic,
		Payload: payload,
		QoS:     t.Message.QoS,
		Props:   message.Properties{Correlation: t.Message.Props.Correlation},
	}
	if spec != nil {
		m.Retain = spec.Retain
		if spec.QoS >= 0 {
			m.QoS = byte(spec.QoS)
		}
	}
	return m
}

// replyTopic chooses between the rule's topic and the message's Response Topic.
func (s *Services) replyTopic(m *message.Message, spec *ReplySpec) (topic string, why Unanswered) {
	if spec != nil && spec.Topic != "" && !spec.Prefer {
		return spec.Topic, ""
	}
	switch to := m.Props.ResponseTopic; {
	case to == "":
		why = NoTopic
	case to[0] == '$' || message.ValidateTopic(to) != nil || !s.MayReceive(m.From, to):
		// A reserved topic could reach another rule by Basic Ingest, and whoever may
		// not receive from a topic must not make us publish there.
		why = NotAllowed
	default:
		return to, ""
	}
	if spec != nil && spec.Topic != "" {
		return spec.Topic, ""
	}
	return "", why
}
