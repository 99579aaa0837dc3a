package action

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/topicwire/topicwire/message"
)

// Fields is a rendered action under the names that a rule has for its settings, as
// plain values for people and tests to read; nil for the zero Spec. A field that the
// action leaves to a default is not among them.
func (s Spec) Fields() map[string]any {
	switch {
	case s.Lambda != nil:
		f := map[string]any{"function": s.Lambda.Function}
		s.Lambda.Reply.addTo(f)
		if s.Lambda.Timeout > 0 {
			f["timeout"] = s.Lambda.Timeout.String()
		}
		return f
	case s.HTTP != nil:
		f := map[string]any{"url": s.HTTP.URL, "timeout": s.HTTP.Timeout.String()}
		if len(s.HTTP.Headers) > 0 {
			headers := make(map[string]any, len(s.HTTP.Headers))
			for key, values := range s.HTTP.Headers {
				headers[key] = strings.Join(values, ", ")
			}
			f["headers"] = headers
		}
		s.HTTP.Reply.addTo(f)
		return f
	case s.Republish != nil:
		f := map[string]any{"topic": s.Republish.Topic, "qos": int64(s.Republish.QoS)}
		if headers := headerFields(&s.Republish.Props); len(headers) > 0 {
			f["headers"] = headers
		}
		return f
	}
	return s.plainFields()
}

// plainFields are those of a kind whose Spec has the names of its settings already.
func (s Spec) plainFields() map[string]any {
	_, w := s.find()
	text, err := json.Marshal(w)
	var fields map[string]any
	if err != nil || json.Unmarshal(text, &fields) != nil {
		return nil
	}
	return fields
}

func (r *ReplySpec) addTo(fields map[string]any) {
	if r == nil {
		return
	}
	f := map[string]any{}
	if r.Topic != "" {
		f["topic"] = r.Topic
	}
	if r.QoS >= 0 {
		f["qos"] = int64(r.QoS)
	}
	if r.Retain {
		f["retain"] = true
	}
	if r.Prefer {
		f["prefer_response_topic"] = true
	}
	if r.Stream {
		f["stream"] = true
	}
	if r.Format != "" {
		f["format"] = string(r.Format)
	}
	fields["reply"] = f
}

func headerFields(p *message.Properties) map[string]any {
	f := map[string]any{}
	for key, text := range map[string]string{
		"contentType": p.ContentType, "responseTopic": p.ResponseTopic,
		"correlationData": base64.StdEncoding.EncodeToString(p.Correlation),
	} {
		if text != "" {
			f[key] = text
		}
	}
	switch p.Format {
	case message.FormatBytes:
		f["payloadFormatIndicator"] = "UNSPECIFIED_BYTES"
	case message.FormatUTF8:
		f["payloadFormatIndicator"] = "UTF8_DATA"
	default: // the property is absent
	}
	if p.HasExpiry {
		f["messageExpiry"] = int64(p.Expiry)
	}
	var user []any
	for _, u := range p.User {
		user = append(user, map[string]any{"key": u.Key, "value": u.Value})
	}
	if user != nil {
		f["userProperties"] = user
	}
	return f
}
