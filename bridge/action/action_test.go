package action_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules/sql"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConfigCheck(t *testing.T) {
	for name, c := range map[string]struct {
		config action.Config
		want   []string
	}{
		"lambda":          {action.Config{Lambda: &action.LambdaConfig{Function: "f"}}, nil},
		"empty":           {action.Config{}, []string{": the action is empty (write one of lambda, http, republish)"}},
		"two kinds":       {action.Config{Lambda: &action.LambdaConfig{Function: "f"}, Republish: &action.RepublishConfig{Topic: "t"}}, []string{": one action has lambda and republish (make an action of each: a list item with one key)"}},
		"no function":     {action.Config{Lambda: &action.LambdaConfig{}}, []string{"lambda: names no function (add function: NAME or functionArn: ARN)"}},
		"two functions":   {action.Config{Lambda: &action.LambdaConfig{Function: "f", FunctionArn: "g"}}, []string{"lambda.function: functionArn is given too (keep one of them: they mean the same)"}},
		"prefer alone":    {action.Config{Lambda: &action.LambdaConfig{Function: "f", Reply: &action.ReplyConfig{PreferResponseTopic: true}}}, []string{"lambda.reply.prefer_response_topic: has no meaning without topic (remove it: without topic the answer goes to the Response Topic anyway)"}},
		"no URL":          {action.Config{HTTP: &action.HTTPConfig{}}, []string{"http.url: is missing (write url: http://HOST:PORT/PATH)"}},
		"signing":         {action.Config{HTTP: &action.HTTPConfig{URL: "http://h", Auth: map[string]any{"sigv4": map[string]any{}}}}, []string{"http.auth: signing with an IAM role is not supported (remove it and add a header Authorization, or declare the URL under functions with its auth and use a lambda action)"}},
		"batching":        {action.Config{HTTP: &action.HTTPConfig{URL: "http://h", EnableBatching: true}}, []string{"http.enableBatching: batches are not supported (set it to false: every message is a request of its own)"}},
		"batch config":    {action.Config{HTTP: &action.HTTPConfig{URL: "http://h", BatchConfig: map[string]any{"maxBatchSize": int64(5)}}}, nil},
		"confirmation":    {action.Config{HTTP: &action.HTTPConfig{URL: "http://h/x", ConfirmationURL: "nonsense"}}, []string{`http.confirmationUrl: "nonsense" is not an http or https URL (write http://HOST:PORT/PATH or https://...)`}},
		"header":          {action.Config{HTTP: &action.HTTPConfig{URL: "http://h", Headers: []action.HTTPHeader{{Key: "a:b"}}}}, []string{`http.headers[0].key: "a:b" is not a header name (use letters, digits and hyphens)`}},
		"republish":       {action.Config{Republish: &action.RepublishConfig{Topic: "t", RoleArn: "arn:aws:iam::1:role/r"}}, nil},
		"republish where": {action.Config{Republish: &action.RepublishConfig{}}, []string{"republish.topic: is missing (write topic: NAME)"}},
		"negative":        {action.Config{Lambda: &action.LambdaConfig{Function: "f", Timeout: -1}}, []string{"lambda.timeout: is negative (write a duration such as 5s)"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			c.config.Check(func(path, problem, remedy string) { got = append(got, path+": "+problem+" ("+remedy+")") })
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Error(diff)
			}
			_, err := c.config.Compile("actions[3]", sql.V20160323, nil)
			if (err != nil) != (c.want != nil) {
				t.Errorf("Check found %q, Compile says %v", c.want, err)
			}
		})
	}
}

func TestCompileErrorsNameThePath(t *testing.T) {
	for path, c := range map[string]action.Config{
		"a.lambda.function":                         {Lambda: &action.LambdaConfig{Function: "x${}"}},
		"a.lambda.functionArn":                      {Lambda: &action.LambdaConfig{FunctionArn: "x${}"}},
		"a.lambda.reply.topic":                      {Lambda: &action.LambdaConfig{Function: "f", Reply: &action.ReplyConfig{Topic: "x/${}"}}},
		"a.http.url":                                {HTTP: &action.HTTPConfig{URL: "http://h/${}"}},
		"a.http.headers[1].value":                   {HTTP: &action.HTTPConfig{URL: "http://h", Headers: []action.HTTPHeader{{Key: "a", Value: "b"}, {Key: "c", Value: "${}"}}}},
		"a.republish.topic":                         {Republish: &action.RepublishConfig{Topic: "x/${}"}},
		"a.republish.headers.contentType":           {Republish: &action.RepublishConfig{Topic: "t", Headers: &action.RepublishHeaders{ContentType: "${}"}}},
		"a.republish.headers.userProperties[0].key": {Republish: &action.RepublishConfig{Topic: "t", Headers: &action.RepublishHeaders{UserProperties: []action.UserProperty{{Key: "${}"}}}}},
	} {
		_, err := c.Compile("a", sql.V20160323, nil)
		var e *action.Error
		var at *sql.Error
		if !errors.As(err, &e) || e.Path != path {
			t.Errorf("%s: got %v", path, err)
		}
		if !errors.As(err, &at) || at.Line != 1 {
			t.Errorf("%s: %v does not lead to the place in the template", path, err)
		}
	}
}

// Values without a template are checked when the configuration is loaded.
func TestCompileChecksConstants(t *testing.T) {
	republish := func(c action.RepublishConfig) action.Config { return action.Config{Republish: &c} }
	headers := func(h action.RepublishHeaders) action.Config {
		return republish(action.RepublishConfig{Topic: "t", Headers: &h})
	}
	for want, c := range map[string]action.Config{
		`a.republish.topic: topic "a/+" contains a wildcard: '+' at byte 3 (write a topic name without wildcards)`:                    republish(action.RepublishConfig{Topic: "a/+"}),
		"a.republish.topic: a reserved topic is written with $$ (write $$aws/... for a reserved topic)":                               republish(action.RepublishConfig{Topic: "$aws/x"}),
		`a.republish.qos: "3" is not a QoS: it is 0, 1 or 2 (write 0, 1 or 2)`:                                                        republish(action.RepublishConfig{Topic: "t", QoS: "3"}),
		`a.republish.headers.payloadFormatIndicator: "UTF8" is not a payload format indicator (write UNSPECIFIED_BYTES or UTF8_DATA)`: headers(action.RepublishHeaders{PayloadFormatIndicator: "UTF8"}),
		`a.republish.headers.messageExpiry: "soon" is not a number of seconds (write a number of seconds)`:                            headers(action.RepublishHeaders{MessageExpiry: "soon"}),
		`a.republish.headers.correlationData: illegal base64 data at input byte 1 (encode it in base64)`:                              headers(action.RepublishHeaders{CorrelationData: "a!"}),
		`a.http.url: "ftp://h" is not an http or https URL (write http://HOST:PORT/PATH or https://...)`:                              {HTTP: &action.HTTPConfig{URL: "ftp://h"}},
		`a.http.url: "http://other/x" does not begin with confirmationUrl (write http://HOST:PORT/PATH or https://...)`:               {HTTP: &action.HTTPConfig{URL: "http://other/x", ConfirmationURL: "http://h/"}},
		`a.lambda.reply.retain: "yes" is neither true nor false (write true or false)`:                                                {Lambda: &action.LambdaConfig{Function: "f", Reply: &action.ReplyConfig{Retain: "yes"}}},
	} {
		_, err := c.Compile("a", sql.V20160323, nil)
		if err == nil || err.Error() != want {
			t.Errorf("got  %v\nwant %s", err, want)
		}
	}
}

func input(t *testing.T, topic, payload string) *sql.Input {
	t.Helper()
	return sql.NewInput(&message.Message{Topic: topic, Payload: []byte(payload)}, noWorld{})
}

// noWorld is an sql.Env for statements that ask nothing.
type noWorld struct{}

func (noWorld) Now() time.Time    { return time.Unix(0, 0) }
func (noWorld) AccountID() string { return "" }
func (noWorld) Invoke(context.Context, string, []byte) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

func (noWorld) Descriptors(context.Context, string, string) ([]byte, error) {
	return nil, errors.ErrUnsupported
}

func TestRender(t *testing.T) {
	for name, c := range map[string]struct {
		config action.Config
		want   string // the Spec as it is stored, or the error
	}{
		"lambda": {
			action.Config{Lambda: &action.LambdaConfig{FunctionArn: "f", Timeout: time.Second, Reply: &action.ReplyConfig{Topic: "${topic()}/reply", QoS: "2", Retain: "true"}}},
			`{"lambda":{"function":"f","reply":{"topic":"in/1/reply","qos":2,"retain":true},"timeout":1000000000}}`,
		},
		"defaults":     {action.Config{Lambda: &action.LambdaConfig{Function: "f", Reply: &action.ReplyConfig{}}}, `{"lambda":{"function":"f","reply":{"qos":-1}}}`},
		"function":     {action.Config{Lambda: &action.LambdaConfig{Function: "${topic(1)}"}}, `{"lambda":{"function":"in"}}`},
		"qos template": {action.Config{Republish: &action.RepublishConfig{Topic: "t", QoS: "${topic(2)}"}}, `{"republish":{"topic":"t","qos":1,"props":{"Format":0,"ContentType":"","ResponseTopic":"","Correlation":null,"Expiry":0,"HasExpiry":false,"User":null}}}`},
		"reserved":     {action.Config{Republish: &action.RepublishConfig{Topic: "$$aws/things/${topic(2)}/shadow/update"}}, `{"republish":{"topic":"$aws/things/1/shadow/update","qos":0,"props":{"Format":0,"ContentType":"","ResponseTopic":"","Correlation":null,"Expiry":0,"HasExpiry":false,"User":null}}}`},
		"http": {
			action.Config{HTTP: &action.HTTPConfig{URL: "http://h/${topic(2)}", ConfirmationURL: "http://h/", Headers: []action.HTTPHeader{{Key: "x-topic", Value: "${topic()}"}}}},
			`{"http":{"url":"http://h/1","headers":{"X-Topic":["in/1"]},"timeout":30000000000}}`,
		},
		"headers": {
			action.Config{Republish: &action.RepublishConfig{Topic: "t", Headers: &action.RepublishHeaders{
				PayloadFormatIndicator: "UTF8_DATA", ContentType: "text/plain", ResponseTopic: "${topic()}/answer", CorrelationData: "aWQ=", MessageExpiry: "60",
				UserProperties: []action.UserProperty{{Key: "from", Value: "${topic()}"}, {Key: "from", Value: "x"}},
			}}},
			`{"republish":{"topic":"t","qos":0,"props":{"Format":2,"ContentType":"text/plain","ResponseTopic":"in/1/answer","Correlation":"aWQ=","Expiry":60,"HasExpiry":true,"User":[{"Key":"from","Value":"in/1"},{"Key":"from","Value":"x"}]}}}`,
		},
		"topic by the message":    {action.Config{Republish: &action.RepublishConfig{Topic: "${word}"}}, `topic: topic "#" contains a wildcard: '#' at byte 1`},
		"reserved by the message": {action.Config{Republish: &action.RepublishConfig{Topic: "${aws}"}}, "topic: the topic begins with $, which is reserved"},
		"qos by the message":      {action.Config{Republish: &action.RepublishConfig{Topic: "t", QoS: "${word}"}}, `qos: "#" is not a QoS: it is 0, 1 or 2`},
		"url by the message":      {action.Config{HTTP: &action.HTTPConfig{URL: "${url}/x", ConfirmationURL: "http://h/"}}, `url: "http://evil/x" does not begin with confirmationUrl`},
		"header by the message":   {action.Config{HTTP: &action.HTTPConfig{URL: "http://h", Headers: []action.HTTPHeader{{Key: "A", Value: "${lines}"}}}}, `header A: "a\r\nB: c" has control characters, which a header cannot carry`},
		"empty function":          {action.Config{Lambda: &action.LambdaConfig{Function: "${empty}"}}, `function: the template gives no function's name`},
		"empty topic":             {action.Config{Republish: &action.RepublishConfig{Topic: "${empty}"}}, `topic: topic "" is empty`},
	} {
		t.Run(name, func(t *testing.T) {
			a, err := c.config.Compile("a", sql.V20160323, nil)
			if err != nil {
				t.Fatal(err)
			}
			spec, err := a.Render(t.Context(), input(t, "in/1", `{"word":"#","aws":"$aws/x","url":"http://evil","lines":"a\r\nB: c","empty":""}`))
			if err != nil {
				if err.Error() != c.want {
					t.Errorf("got  %v\nwant %s", err, c.want)
				}
				return
			}
			doc, err := json.Marshal(spec)
			if err != nil {
				t.Fatal(err)
			}
			if string(doc) != c.want {
				t.Errorf("got  %s\nwant %s", doc, c.want)
			}
			var back action.Spec
			if err := json.Unmarshal(doc, &back); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(spec, back); diff != "" {
				t.Errorf("JSON loses: %s", diff)
			}
		})
	}
}

func TestValueTakesAnyScalar(t *testing.T) {
	for _, c := range []struct {
		in   any
		want action.Value
	}{{int64(1), "1"}, {true, "true"}, {"${qos}", "${qos}"}, {1.5, "1.5"}} {
		var v action.Value
		if err := v.UnmarshalConfig(c.in); err != nil || v != c.want {
			t.Errorf("%v: got %q, %v", c.in, v, err)
		}
	}
	var v action.Value
	if err := v.UnmarshalConfig([]any{}); err == nil {
		t.Error("a list was taken")
	}
}

// services are fakes that write down what is asked of them.
type services struct {
	url     string
	header  http.Header
	answer  string
	delay   bool
	sent    []*message.Message
	invoked string
}

func (s *services) Invoke(ctx context.Context, name string, _ []byte) ([]byte, error) {
	s.invoked = name
	if s.delay {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return []byte(s.answer), nil
}

func (s *services) Post(ctx context.Context, url string, header http.Header, body []byte) ([]byte, error) {
	s.url, s.header = url, header
	return s.Invoke(ctx, "", body)
}

func (s *services) Publish(_ context.Context, m *message.Message) error {
	s.sent = append(s.sent, m)
	return nil
}

func (s *services) all() *action.Services {
	return &action.Services{
		Functions: s, Poster: s, Publisher: s,
		MayReceive: func(message.Origin, string) bool { return true },
		Now:        func() time.Time { return time.Unix(5, 0) },
	}
}

func task(spec action.Spec) *action.Task {
	return &action.Task{
		ID: "id", Rule: "r", Spec: spec, Payload: []byte(`{"out":1}`),
		Message: &message.Message{Topic: "in", QoS: 1, Hops: 3, Props: message.Properties{Correlation: []byte("c")}},
	}
}

func TestDoHTTP(t *testing.T) {
	s := &services{answer: "fine"}
	result, err := s.all().Do(t.Context(), task(action.Spec{HTTP: &action.HTTPSpec{
		URL: "http://h/x", Headers: http.Header{"A": {"b"}}, Reply: &action.ReplySpec{Topic: "out", QoS: 0, Retain: true},
	}}))
	if err != nil || result.ReplyTopic != "out" || s.url != "http://h/x" || s.header.Get("A") != "b" {
		t.Fatalf("got %+v, %v; asked %+v", result, err, s)
	}
	want := &message.Message{
		Topic: "out", Payload: []byte("fine"), QoS: 0, Retain: true, Hops: 4, Received: time.Unix(5, 0),
		From: message.Origin{Via: message.ViaInternal, Rule: "r"}, Props: message.Properties{Correlation: []byte("c")},
	}
	if diff := cmp.Diff(want, s.sent[0], cmp.AllowUnexported(), cmp.Comparer(func(a, b message.Origin) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestDoRepublish(t *testing.T) {
	s := &services{}
	props := message.Properties{ContentType: "text/plain", User: []message.UserProperty{{Key: "a", Value: "b"}}}
	result, err := s.all().Do(t.Context(), task(action.Spec{Republish: &action.RepublishSpec{Topic: "out", QoS: 1, Props: props}}))
	if err != nil || result.ReplyTopic != "out" || len(s.sent) != 1 {
		t.Fatalf("got %+v, %v", result, err)
	}
	m := s.sent[0]
	if string(m.Payload) != `{"out":1}` || m.Hops != 4 || m.Props.Correlation != nil || m.Props.ContentType != "text/plain" {
		t.Errorf("got %+v", m)
	}
}

func TestTimeoutOfTheAction(t *testing.T) {
	for name, spec := range map[string]action.Spec{
		"lambda": {Lambda: &action.LambdaSpec{Function: "f", Timeout: time.Millisecond}},
		"http":   {HTTP: &action.HTTPSpec{URL: "http://h", Timeout: time.Millisecond}},
	} {
		s := &services{delay: true}
		if _, err := s.all().Do(t.Context(), task(spec)); !errors.Is(err, function.ErrTimeout) || !strings.Contains(err.Error(), "1ms") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	s := &services{delay: true}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.all().Do(ctx, task(action.Spec{Lambda: &action.LambdaSpec{Function: "f", Timeout: time.Minute}})); errors.Is(err, function.ErrTimeout) || !errors.Is(err, context.Canceled) {
		t.Errorf("a shutdown is no time-out: got %v", err)
	}
}

func TestDoNothing(t *testing.T) {
	if _, err := (&services{}).all().Do(t.Context(), task(action.Spec{})); !errors.Is(err, action.ErrNothing) {
		t.Errorf("got %v", err)
	}
}

func TestSpecDescribesItself(t *testing.T) {
	for _, c := range []struct {
		spec                                action.Spec
		kind, failed, resource, queue, name string
	}{
		{action.Spec{Lambda: &action.LambdaSpec{Function: "f"}}, "lambda", "LambdaAction", "f", "lambda", "f"},
		{action.Spec{HTTP: &action.HTTPSpec{URL: "http://h:1/x"}}, "http", "HttpAction", "http://h:1/x", "http", "h:1/r"},
		{action.Spec{Republish: &action.RepublishSpec{Topic: "t"}}, "republish", "RepublishAction", "t", "republish", "r"},
	} {
		queue, name := c.spec.Queue("r")
		got := []string{c.spec.Kind(), c.spec.FailedAction(), c.spec.Resource(), queue, name}
		if diff := cmp.Diff([]string{c.kind, c.failed, c.resource, c.queue, c.name}, got); diff != "" {
			t.Error(diff)
		}
	}
}
