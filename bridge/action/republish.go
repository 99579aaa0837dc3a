package action

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules/sql"
)

// RepublishConfig publishes the rule's result to another topic.
// (https://docs.aws.amazon.com/iot/latest/developerguide/republish-rule-action.html)
type RepublishConfig struct {
	Topic   string            `yaml:"topic" jsonschema:"required,example=alerts/${topic(2)}" jsonschema_description:"The topic to publish to; ${} templates see the message. A reserved topic is written with $$, as in $$aws/things/lamp/shadow/update."`
	QoS     Value             `yaml:"qos" jsonschema:"oneof_type=integer;string" jsonschema_description:"The QoS to publish with: 0, 1, 2 or a template; 0 if left out."`
	RoleArn string            `yaml:"roleArn" jsonschema_description:"Accepted so that rules from AWS load, and not used: a rule here publishes in its own right."`
	Headers *RepublishHeaders `yaml:"headers" jsonschema_description:"MQTT 5 properties of the message. Those of the message that the rule took are not carried over."`
}

// RepublishHeaders are the MQTT 5 properties of a republished message. All fields
// take templates.
type RepublishHeaders struct {
	PayloadFormatIndicator string         `yaml:"payloadFormatIndicator" jsonschema:"example=UTF8_DATA" jsonschema_description:"UNSPECIFIED_BYTES or UTF8_DATA."`
	ContentType            string         `yaml:"contentType" jsonschema_description:"What the payload is, for instance application/json."`
	ResponseTopic          string         `yaml:"responseTopic" jsonschema_description:"Where an answer is expected."`
	CorrelationData        string         `yaml:"correlationData" jsonschema_description:"The correlation data in base64."`
	MessageExpiry          Value          `yaml:"messageExpiry" jsonschema:"oneof_type=integer;string" jsonschema_description:"How many seconds the message is valid."`
	UserProperties         []UserProperty `yaml:"userProperties" jsonschema_description:"User properties, in their order."`
}

// UserProperty is one MQTT 5 user property.
type UserProperty struct {
	Key   string `yaml:"key" jsonschema:"required" jsonschema_description:"The name. Takes ${} templates."`
	Value string `yaml:"value" jsonschema:"required" jsonschema_description:"The value. Takes ${} templates."`
}

func (r *RepublishConfig) check(report Report) {
	if r.Topic == "" {
		report("topic", "is missing", "write topic: NAME")
	}
}

// republishAction is a compiled RepublishConfig.
type republishAction struct {
	source string
	topic  topicField
	qos    field
	props  *properties
}

func (r *RepublishConfig) compile(c *compiler) renderer {
	a := &republishAction{source: r.Topic, topic: c.topic("topic", r.Topic)}
	qos := string(r.QoS)
	if qos == "" {
		qos = "0"
	}
	a.qos = c.checked("qos", qos, "write 0, 1 or 2", func(s string) error { _, err := parseQoS(s); return err })
	if r.Headers != nil {
		a.props = c.properties("headers", r.Headers)
	}
	return a
}

// RepublishSpec is a rendered republish action.
type RepublishSpec struct {
	Topic string             `json:"topic"`
	QoS   byte               `json:"qos"`
	Props message.Properties `json:"props"`
}

func (a *republishAction) resource() string { return a.source }

func (a *republishAction) render(ctx context.Context, in *sql.Input) (Spec, error) {
	spec := &RepublishSpec{}
	var err error
	if spec.Topic, err = a.topic.render(ctx, in); err != nil {
		return Spec{}, err
	}
	qos, err := a.qos.render(ctx, in)
	if err != nil {
		return Spec{}, err
	}
	if spec.QoS, err = parseQoS(qos); err != nil {
		return Spec{}, errRender("qos", err)
	}
	if spec.Props, err = a.props.render(ctx, in); err != nil {
		return Spec{}, err
	}
	return Spec{Republish: spec}, nil
}

// queue is one per rule, so that a rule's messages keep their order.
func (r *RepublishSpec) queue(rule string) string { return rule }

func (r *RepublishSpec) resource() string { return r.Topic }

func (r *RepublishSpec) do(ctx context.Context, s *Services, t *Task) (Result, error) {
	m := &message.Message{Topic: r.Topic, Payload: t.Payload, QoS: r.QoS, Props: r.Props}
	if err := s.publish(ctx, t, m); err != nil {
		return Result{}, err
	}
	return Result{ReplyTopic: r.Topic}, nil
}

// properties are compiled RepublishHeaders.
type properties struct {
	format, contentType, responseTopic, correlation, expiry field
	user                                                    []userProperty
}

type userProperty struct{ key, value field }

func (c *compiler) properties(path string, h *RepublishHeaders) *properties {
	p := &properties{
		format: c.checked(path+".payloadFormatIndicator", h.PayloadFormatIndicator, "write UNSPECIFIED_BYTES or UTF8_DATA",
			func(s string) error { _, err := parseFormat(s); return err }),
		contentType: c.checked(path+".contentType", h.ContentType, textRemedy, checkText),
		responseTopic: c.checked(path+".responseTopic", h.ResponseTopic, "write a topic name without wildcards", func(s string) error {
			if s == "" {
				return nil
			}
			return message.ValidateTopic(s)
		}),
		correlation: c.checked(path+".correlationData", h.CorrelationData, "encode it in base64",
			func(s string) error { _, err := base64.StdEncoding.DecodeString(s); return err }),
		expiry: c.checked(path+".messageExpiry", string(h.MessageExpiry), "write a number of seconds", func(s string) error {
			if s == "" {
				return nil
			}
			_, err := parseSeconds(s)
			return err
		}),
	}
	for i, u := range h.UserProperties {
		at := fmt.Sprintf("%s.userProperties[%d]", path, i)
		p.user = append(p.user, userProperty{
			key:   c.checked(at+".key", u.Key, textRemedy, checkText),
			value: c.checked(at+".value", u.Value, textRemedy, checkText),
		})
	}
	return p
}

func (p *properties) render(ctx context.Context, in *sql.Input) (message.Properties, error) {
	var out message.Properties
	if p == nil {
		return out, nil
	}
	text := func(f field, set func(string) error) error {
		s, err := f.render(ctx, in)
		if err != nil || s == "" {
			return err
		}
		if err := checkText(s); err != nil {
			return errRender(f.path, err)
		}
		if err := set(s); err != nil {
			return errRender(f.path, err)
		}
		return nil
	}
	steps := []struct {
		field field
		set   func(string) error
	}{
		{p.format, func(s string) (err error) { out.Format, err = parseFormat(s); return err }},
		{p.contentType, func(s string) error { out.ContentType = s; return nil }},
		{p.responseTopic, func(s string) error { out.ResponseTopic = s; return message.ValidateTopic(s) }},
		{p.correlation, func(s string) (err error) {
			out.Correlation, err = base64.StdEncoding.DecodeString(s)
			return err
		}},
		{p.expiry, func(s string) (err error) { out.Expiry, err = parseSeconds(s); out.HasExpiry = true; return err }},
	}
	for _, step := range steps {
		if err := text(step.field, step.set); err != nil {
			return message.Properties{}, err
		}
	}
	for _, u := range p.user {
		var pair message.UserProperty
		if err := text(u.key, func(s string) error { pair.Key = s; return nil }); err != nil {
			return message.Properties{}, err
		}
		if err := text(u.value, func(s string) error { pair.Value = s; return nil }); err != nil {
			return message.Properties{}, err
		}
		out.User = append(out.User, pair)
	}
	return out, nil
}

func parseFormat(s string) (message.PayloadFormat, error) {
	switch s {
	case "":
		return message.FormatUnset, nil
	case "UNSPECIFIED_BYTES":
		return message.FormatBytes, nil
	case "UTF8_DATA":
		return message.FormatUTF8, nil
	}
	return message.FormatUnset, fmt.Errorf("%q is not a payload format indicator", s)
}

// checkText reports why s cannot be an MQTT string. [MQTT-1.5.4-1] [MQTT-1.5.4-2]
func checkText(s string) error {
	switch {
	case len(s) > message.MaxTopicBytes:
		return message.ErrTopicTooLong
	case strings.IndexByte(s, 0) >= 0 || !utf8.ValidString(s):
		return message.ErrTopicText
	}
	return nil
}

const textRemedy = "write UTF-8 text of at most 65535 bytes, without NUL"
