package action_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/message"
)

func TestFields(t *testing.T) {
	type fields = map[string]any
	for _, c := range []struct {
		name string
		spec action.Spec
		want fields
	}{
		{"lambda", action.Spec{Lambda: &action.LambdaSpec{Function: "f"}}, fields{"function": "f"}},
		{"lambda with all", action.Spec{Lambda: &action.LambdaSpec{
			Function: "f", Timeout: 5 * time.Second, Reply: &action.ReplySpec{Topic: "r", QoS: 0, Retain: true, Prefer: true},
		}}, fields{"function": "f", "timeout": "5s", "reply": fields{"topic": "r", "qos": int64(0), "retain": true, "prefer_response_topic": true}}},
		{"http", action.Spec{HTTP: &action.HTTPSpec{
			URL: "http://x/", Timeout: time.Minute, Headers: http.Header{"A": {"1", "2"}}, Reply: &action.ReplySpec{QoS: -1},
		}}, fields{"url": "http://x/", "timeout": "1m0s", "headers": fields{"A": "1, 2"}, "reply": fields{}}},
		{"republish", action.Spec{Republish: &action.RepublishSpec{Topic: "a", QoS: 1}}, fields{"topic": "a", "qos": int64(1)}},
		{"republish with all", action.Spec{Republish: &action.RepublishSpec{Topic: "a", Props: message.Properties{
			Format: message.FormatUTF8, ContentType: "c", ResponseTopic: "r", Correlation: []byte{1}, Expiry: 0, HasExpiry: true,
			User: []message.UserProperty{{Key: "k", Value: "v"}},
		}}}, fields{"topic": "a", "qos": int64(0), "headers": fields{
			"payloadFormatIndicator": "UTF8_DATA", "contentType": "c", "responseTopic": "r", "correlationData": "AQ==",
			"messageExpiry": int64(0), "userProperties": []any{fields{"key": "k", "value": "v"}},
		}}},
		{"nothing", action.Spec{}, nil},
	} {
		if d := cmp.Diff(c.want, c.spec.Fields()); d != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, d)
		}
	}
}
