package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
	"unicode/utf8"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// messageJSON is what --json prints: a payload that is text as it is, any other in Base64.
type messageJSON struct {
	Topic         string          `json:"topic"`
	QoS           byte            `json:"qos"`
	Retain        bool            `json:"retain"`
	Payload       *string         `json:"payload,omitempty"`
	PayloadBase64 []byte          `json:"payloadBase64,omitempty"`
	Properties    *propertiesJSON `json:"properties,omitempty"`
}

type propertiesJSON struct {
	PayloadFormat   *byte              `json:"payloadFormatIndicator,omitempty"`
	MessageExpiry   *uint32            `json:"messageExpiryInterval,omitempty"`
	ContentType     string             `json:"contentType,omitempty"`
	ResponseTopic   string             `json:"responseTopic,omitempty"`
	CorrelationData []byte             `json:"correlationData,omitempty"` // Base64
	SubscriptionIDs []uint32           `json:"subscriptionIdentifiers,omitempty"`
	TopicAlias      uint16             `json:"topicAlias,omitempty"`
	User            []userPropertyJSON `json:"userProperties,omitempty"`
}

type userPropertyJSON struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// appendMessageJSON appends a message as one line of JSON without its line end.
func appendMessageJSON(b []byte, m *mqttclient.Publish) ([]byte, error) {
	v := messageJSON{Topic: m.Topic, QoS: m.QoS, Retain: m.Retain}
	if utf8.Valid(m.Payload) {
		v.Payload = new(string(m.Payload))
	} else {
		v.PayloadBase64 = m.Payload
	}
	p := &m.Props
	v.Properties = &propertiesJSON{
		PayloadFormat: p.PayloadFormat, MessageExpiry: p.MessageExpiry, ContentType: p.ContentType,
		ResponseTopic: p.ResponseTopic, CorrelationData: p.CorrelationData, SubscriptionIDs: p.SubscriptionIDs, TopicAlias: p.TopicAlias,
	}
	for _, u := range p.User {
		v.Properties.User = append(v.Properties.User, userPropertyJSON(u))
	}
	text, err := marshal(v.Properties)
	if err != nil {
		return b, err
	}
	if string(text) == "{}" {
		v.Properties = nil
	}
	text, err = marshal(v)
	return append(b, text...), err
}

// marshal leaves <, > and & as they are: the output is for terminals and programs, not
// for web pages.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	err := enc.Encode(v)
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), err
}

// appendMosquittoJSON appends what mosquitto's %j and %J print.
func appendMosquittoJSON(b []byte, m *mqttclient.Publish, now time.Time, raw bool) ([]byte, error) {
	var err error
	field := func(key string, v any) {
		if err != nil {
			return
		}
		var text []byte
		if text, err = marshal(v); err == nil {
			b = append(fmt.Appendf(b, "%q:", key), text...)
			b = append(b, ',')
		}
	}
	b = append(b, '{')
	field("tst", now.Format("2006-01-02T15:04:05.000000Z-0700"))
	field("topic", m.Topic)
	field("qos", m.QoS)
	field("retain", digit(m.Retain))
	field("payloadlen", len(m.Payload))
	if m.QoS > 0 {
		field("mid", m.PacketID)
	}
	if p := mosquittoProperties(&m.Props); len(p) > 2 {
		field("properties", json.RawMessage(p))
	}
	switch {
	case !raw:
		field("payload", string(m.Payload))
	case json.Valid(m.Payload):
		field("payload", json.RawMessage(m.Payload))
	default:
		return b, fmt.Errorf("the payload on %s is not valid JSON, which %%J needs; use %%j", m.Topic)
	}
	b[len(b)-1] = '}'
	return b, err
}

// mosquittoProperties is the object under "properties", "{}" if there is none.
func mosquittoProperties(p *mqttclient.Properties) []byte {
	b := []byte{'{'}
	field := func(key string, v any, present bool) {
		if !present {
			return
		}
		text, err := marshal(v)
		if err != nil {
			return // strings and numbers always have a JSON form
		}
		if len(b) > 1 {
			b = append(b, ',')
		}
		b = append(fmt.Appendf(b, "%q:", key), text...)
	}
	field("content-type", p.ContentType, p.ContentType != "")
	if len(p.User) > 0 { // an object whose keys may repeat, which no Go value has
		user := []byte{'{'}
		for i, u := range p.User {
			if i > 0 {
				user = append(user, ',')
			}
			key, _ := marshal(u.Key)
			value, _ := marshal(u.Value)
			user = append(append(append(user, key...), ':'), value...)
		}
		b = append(b, map[bool]string{true: ",", false: ""}[len(b) > 1]...)
		b = append(append(b, `"user-properties":`...), append(user, '}')...)
	}
	field("correlation-data", string(p.CorrelationData), p.CorrelationData != nil)
	field("response-topic", p.ResponseTopic, p.ResponseTopic != "")
	field("payload-format-indicator", p.PayloadFormat, p.PayloadFormat != nil)
	field("message-expiry-interval", p.MessageExpiry, p.MessageExpiry != nil)
	field("topic-alias", p.TopicAlias, p.TopicAlias != 0)
	field("subscription-identifiers", p.SubscriptionIDs, len(p.SubscriptionIDs) > 0)
	return append(b, '}')
}
