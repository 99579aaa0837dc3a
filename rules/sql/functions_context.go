package sql

import (
	"encoding/base64"
	"strings"

	"github.com/topicwire/topicwire/message"
)

// contextFunctions tell of the message and of what runs the rule.
func contextFunctions() []Function {
	return []Function{
		{
			Name: "topic", Signature: "topic([level])", Text: "The topic of the message, or one level of it, counted from 1. A Basic Ingest prefix is not part of it.",
			Examples: []Example{{"topic()", `"things/myThings/thingOne"`}, {"topic(1)", `"things"`}, {"topic('3')", `"thingOne"`}, {"topic(9)", ""}},
			max:      1, context: true,
			call: topicLevel,
		},
		{
			Name: "clientid", Signature: "clientid()", Text: "The MQTT client identifier of the publisher; n/a if the message did not come over MQTT.",
			Examples: []Example{{"clientid()", `"client-1"`}, {"clientid() = 'n/a'", "false"}, {"clientid(1)", ""}},
			context:  true,
			call: func(in *Input, _ []value, _ *memo) value {
				if !in.m.From.Via.OverMQTT() {
					return text("n/a")
				}
				return text(in.m.From.ClientID)
			},
		},
		{
			Name: "principal", Signature: "principal()", Text: "The identity the publisher authenticated as, such as a certificate's fingerprint; Undefined if it did not.",
			Examples: []Example{{"principal()", `"user-1"`}, {"isUndefined(principal())", "false"}, {"principal(1)", ""}},
			context:  true,
			call:     func(in *Input, _ []value, _ *memo) value { return textOrUndefined(in.m.From.Principal) },
		},
		{
			Name: "sourceip", Signature: "sourceip()", Text: "The network address of the publisher.",
			Examples: []Example{{"sourceip()", `"192.0.2.7"`}, {"startswith(sourceip(), '192.')", "true"}, {"sourceip(1)", ""}},
			context:  true,
			call: func(in *Input, _ []value, _ *memo) value {
				if !in.m.From.Addr.IsValid() {
					return undefined
				}
				return text(in.m.From.Addr.Addr().Unmap().String())
			},
		},
		{
			Name: "accountid", Signature: "accountid()", Text: "The account that the rule runs in.",
			Examples: []Example{{"accountid()", `"123456789012"`}, {"length(accountid())", "12"}, {"accountid(1)", ""}},
			context:  true,
			call:     func(in *Input, _ []value, _ *memo) value { return text(in.env.AccountID()) },
		},
		{
			Name: "sql_version", Signature: "sql_version()", Text: "The version of SQL that the rule has.",
			Examples: []Example{{"sql_version()", `"2016-03-23"`}, {"length(sql_version())", "10"}, {"sql_version(1)", ""}},
			context:  true,
			call:     func(in *Input, _ []value, _ *memo) value { return text(string(in.version)) },
		},
		{
			Name: "traceid", Signature: "traceid()", Text: "A UUID that stands for this message; Undefined if it did not come over MQTT.",
			Examples: []Example{{"length(traceid())", "36"}, {"traceid() = traceid()", "true"}, {"traceid(1)", ""}},
			context:  true,
			call:     traceID,
		},
		{
			Name: "newuuid", Signature: "newuuid()", Text: "A new random UUID, version 4.",
			Examples: []Example{{"length(newuuid())", "36"}, {"newuuid() = newuuid()", "false"}, {"newuuid(1)", ""}},
			context:  true,
			call:     func(in *Input, _ []value, _ *memo) value { return in.makeText(message.NewID()) },
		},
		{
			Name: "get_mqtt_property", Signature: "get_mqtt_property(name)",
			Text:     "A property of the MQTT 5 PUBLISH: content_type, format_indicator, response_topic or correlation_data, the last in base64.",
			Examples: []Example{{"get_mqtt_property('content_type')", `"application/json"`}, {"get_mqtt_property('format_indicator')", `"UNSPECIFIED_BYTES"`}, {"get_mqtt_property('correlation_data')", `"Y2lk"`}, {"get_mqtt_property('other')", ""}},
			min:      1, max: 1, params: []param{stringOnly}, context: true,
			call: mqttProperty,
			lint: func(_ int, v value) (string, bool) {
				switch v.s {
				case "content_type", "format_indicator", "response_topic", "correlation_data":
					return "", false
				}
				return "get_mqtt_property() knows content_type, format_indicator, response_topic and correlation_data; any other name is always Undefined", false
			},
		},
		{
			Name: "get_user_properties", Signature: "get_user_properties([key])",
			Text:     "The values of an MQTT 5 user property as an Array, or all user properties as an Array of objects in the order of the packet.",
			Examples: []Example{{"get_user_properties('k')", `["v1","v2"]`}, {"get_user_properties()", `[{"k":"v1"},{"o":"ov"},{"k":"v2"}]`}, {"get_user_properties('none')", ""}},
			max:      1, params: []param{stringOnly}, context: true,
			call: userProperties,
		},
	}
}

func textOrUndefined(s string) value {
	if s == "" {
		return undefined
	}
	return text(s)
}

func topicLevel(in *Input, a []value, _ *memo) value {
	topic := in.topic()
	if len(a) == 0 {
		return text(topic)
	}
	n, ok := toInt(a[0], towardsZero)
	if !ok || n < 1 {
		return undefined
	}
	for ; n > 1; n-- {
		i := strings.IndexByte(topic, '/')
		if i < 0 {
			return undefined
		}
		topic = topic[i+1:]
	}
	if i := strings.IndexByte(topic, '/'); i >= 0 {
		topic = topic[:i]
	}
	return text(topic)
}

func traceID(in *Input, _ []value, _ *memo) value {
	if !in.m.From.Via.OverMQTT() {
		return undefined
	}
	if in.trace == "" {
		if in.trace = in.m.ID; in.trace == "" {
			in.trace = message.NewID()
		}
	}
	return text(in.trace)
}

func mqttProperty(in *Input, a []value, _ *memo) value {
	props := &in.m.Props
	switch a[0].s {
	case "content_type":
		return textOrUndefined(props.ContentType)
	case "format_indicator":
		if props.Format == message.FormatUTF8 {
			return text("UTF8_DATA")
		}
		return text("UNSPECIFIED_BYTES")
	case "response_topic":
		return textOrUndefined(props.ResponseTopic)
	case "correlation_data":
		if props.Correlation == nil {
			return undefined
		}
		return in.makeText(base64.StdEncoding.EncodeToString(props.Correlation))
	}
	return undefined
}

func userProperties(in *Input, a []value, _ *memo) value {
	found := []value{}
	for _, p := range in.m.Props.User {
		if !in.spend(64) {
			return undefined
		}
		switch {
		case len(a) == 0:
			found = append(found, (&object{keys: []string{p.Key}, values: []value{text(p.Value)}}).value())
		case p.Key == a[0].s:
			found = append(found, text(p.Value))
		}
	}
	if len(a) > 0 && len(found) == 0 {
		return undefined
	}
	return array(found)
}
