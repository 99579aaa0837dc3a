package iotdata

import (
	"context"
	"encoding/base64"
	"math"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/message"
)

// done is what a publish answers.
type done struct {
	Message string `json:"message"`
	TraceID string `json:"traceId"`
}

func (c *call) done() done { return done{"OK", c.requestID} }

// publish is the operation Publish.
func (c *call) publish() (any, error) {
	m, err := c.message(c.name)
	if err != nil {
		return nil, err
	}
	if m.QoS, err = c.qos(); err != nil {
		return nil, err
	}
	if m.Retain, err = c.flag("retain"); err != nil {
		return nil, err
	}
	if err := c.may(auth.Publish, m.Topic); err != nil {
		return nil, err
	}
	if m.Retain {
		if err := c.may(auth.RetainPublish, m.Topic); err != nil {
			return nil, err
		}
	}
	if err := c.o.Broker.Publish(c.r.Context(), m); err != nil {
		return nil, err
	}
	return c.done(), nil
}

// The time that SendDirectMessage waits for an acknowledgement, in seconds.
const (
	defaultConfirm = 5
	maxConfirm     = 15
)

// sendDirect is the operation SendDirectMessage.
func (c *call) sendDirect() (any, error) {
	topic := c.query.Get("topic")
	if topic == "" {
		return nil, invalid("topic is missing")
	}
	m, err := c.message(topic)
	if err != nil {
		return nil, err
	}
	confirm, err := c.flag("confirmation")
	if err != nil {
		return nil, err
	}
	seconds, err := c.number("timeout", defaultConfirm, 1, maxConfirm)
	if err != nil {
		return nil, err
	}
	if err := c.client(auth.SendDirectMessage); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(c.r.Context(), time.Duration(seconds)*time.Second)
	defer cancel()
	if err := c.o.Broker.Direct(ctx, c.name, m, confirm); err != nil {
		return nil, err
	}
	return c.done(), nil
}

// message is the message that a request describes, but for QoS and retain.
func (c *call) message(topic string) (*message.Message, error) {
	if err := message.ValidateTopic(topic); err != nil {
		return nil, invalid("%v", err)
	}
	props, err := c.properties()
	if err != nil {
		return nil, err
	}
	if props.Format == message.FormatUTF8 && !utf8.Valid(c.body) { // MQTT 5, 3.3.2.3.2
		return nil, invalid("the payload is not UTF-8, and the payload format indicator says that it is")
	}
	return &message.Message{
		Topic: topic, Payload: c.body, Props: props, Hops: c.caller.Hops, Received: time.Now(),
		From: message.Origin{Via: message.ViaHTTP, Principal: c.caller.Principal.Name, Addr: c.remote()},
	}, nil
}

// properties are the MQTT 5 properties of a request: some in the query, some in headers.
func (c *call) properties() (message.Properties, error) {
	var p message.Properties
	p.ContentType, p.ResponseTopic = c.query.Get("contentType"), c.query.Get("responseTopic")
	if !text(p.ContentType) {
		return p, invalid("contentType is not text that MQTT can carry")
	}
	if p.ResponseTopic != "" {
		if err := message.ValidateTopic(p.ResponseTopic); err != nil {
			return p, invalid("responseTopic: %v", err)
		}
	}
	if c.query.Has("messageExpiry") {
		n, err := c.number("messageExpiry", 0, 0, math.MaxUint32)
		if err != nil {
			return p, err
		}
		p.Expiry, p.HasExpiry = uint32(n), true
	}
	h := c.r.Header
	switch s := h.Get("X-Amz-Mqtt5-Payload-Format-Indicator"); s {
	case "":
	case "UNSPECIFIED_BYTES":
		p.Format = message.FormatBytes
	case "UTF8_DATA":
		p.Format = message.FormatUTF8
	default:
		return p, invalid("payloadFormatIndicator %q is neither UNSPECIFIED_BYTES nor UTF8_DATA", s)
	}
	if s := h.Get("X-Amz-Mqtt5-Correlation-Data"); s != "" {
		var err error
		if p.Correlation, err = base64.StdEncoding.DecodeString(s); err != nil || len(p.Correlation) > math.MaxUint16 {
			return p, invalid("correlationData is not base64 of at most 65535 bytes")
		}
	}
	if s := h.Get("X-Amz-Mqtt5-User-Properties"); s != "" {
		var err error
		if p.User, err = decodeUserProperties(s); err != nil {
			return p, err
		}
	}
	return p, nil
}

// text reports whether s can be an MQTT string. [MQTT-1.5.4-1] [MQTT-1.5.4-2]
func text(s string) bool {
	return len(s) <= message.MaxTopicBytes && utf8.ValidString(s) && !containsNUL(s)
}

func containsNUL(s string) bool {
	for i := range len(s) {
		if s[i] == 0 {
			return true
		}
	}
	return false
}

func (c *call) qos() (byte, error) {
	n, err := c.number("qos", 0, 0, 2) // AWS stops at 1
	return byte(n), err
}

func (c *call) flag(name string) (bool, error) {
	switch s := c.query.Get(name); s {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, invalid("%s is %q: write true or false", name, s)
	}
}

func (c *call) number(name string, absent, least, most int64) (int64, error) {
	s := c.query.Get(name)
	if s == "" {
		return absent, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < least || n > most {
		return 0, invalid("%s is %q: write a number from %d to %d", name, s, least, most)
	}
	return n, nil
}
