package action

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/rules/sql"
)

// HTTPConfig POSTs the rule's result to a URL. reply and timeout are ours.
// (https://docs.aws.amazon.com/iot/latest/developerguide/https-rule-action.html)
type HTTPConfig struct {
	URL             string         `yaml:"url" jsonschema:"required,example=http://127.0.0.1:9000/events" jsonschema_description:"Where to POST. Takes ${} templates; with confirmationUrl, what comes out must begin with that."`
	ConfirmationURL string         `yaml:"confirmationUrl" jsonschema_description:"On AWS the URL that is asked to confirm the destination, and the prefix of url. Here no confirmation is asked for; the prefix is enforced."`
	Headers         []HTTPHeader   `yaml:"headers" jsonschema_description:"Headers to send along."`
	Auth            map[string]any `yaml:"auth" jsonschema_description:"Not supported: AWS signs with an IAM role that does not exist here."`
	EnableBatching  bool           `yaml:"enableBatching" jsonschema_description:"Not supported: every message is a request of its own."`
	BatchConfig     map[string]any `yaml:"batchConfig" jsonschema_description:"Has an effect only with enableBatching, as on AWS."`
	Reply           *ReplyConfig   `yaml:"reply" jsonschema_description:"Where to publish the answer's body. Left out, it goes to the message's Response Topic."`
	Timeout         time.Duration  `yaml:"timeout" jsonschema:"example=5s" jsonschema_description:"How long to wait for the answer; 30 seconds if left out."`
}

// HTTPHeader is one header of a request.
type HTTPHeader struct {
	Key   string `yaml:"key" jsonschema:"required" jsonschema_description:"The header's name."`
	Value string `yaml:"value" jsonschema:"required" jsonschema_description:"The header's value. Takes ${} templates."`
}

// defaultTimeout ends a request whose action sets no limit.
const defaultTimeout = 30 * time.Second

func (h *HTTPConfig) check(report Report) {
	if h.URL == "" {
		report("url", "is missing", "write url: http://HOST:PORT/PATH")
	}
	if h.ConfirmationURL != "" {
		if problem := function.URLProblem(h.ConfirmationURL); problem != "" {
			report("confirmationUrl", problem, "write http://HOST:PORT/PATH or https://...")
		}
	}
	if len(h.Auth) > 0 {
		report("auth", "signing with an IAM role is not supported", "remove it and add a header Authorization, or declare the URL under functions with its auth and use a lambda action")
	}
	if h.EnableBatching {
		report("enableBatching", "batches are not supported", "set it to false: every message is a request of its own")
	}
	for i, header := range h.Headers {
		path := fmt.Sprintf("headers[%d]", i)
		function.CheckHeaders(path, map[string]string{header.Key: ""}, func(_, problem, remedy string) {
			report(path+".key", problem, remedy)
		})
	}
	if h.Timeout < 0 {
		report("timeout", "is negative", "write a duration such as 5s")
	}
	h.Reply.check("reply", report)
}

// httpAction is a compiled HTTPConfig.
type httpAction struct {
	source  string
	url     field
	prefix  string
	headers []httpHeader
	reply   *reply
	timeout time.Duration
}

type httpHeader struct {
	key   string
	value field
}

func (h *HTTPConfig) compile(c *compiler) renderer {
	a := &httpAction{source: h.URL, prefix: h.ConfirmationURL, timeout: h.Timeout}
	if a.timeout == 0 {
		a.timeout = defaultTimeout
	}
	a.url = c.checked("url", h.URL, "write http://HOST:PORT/PATH or https://...", a.checkURL)
	for i, header := range h.Headers {
		a.headers = append(a.headers, httpHeader{
			key:   http.CanonicalHeaderKey(header.Key),
			value: c.checked(fmt.Sprintf("headers[%d].value", i), header.Value, "write it on one line", checkHeaderValue),
		})
	}
	a.reply = c.reply("reply", h.Reply)
	return a
}

func (a *httpAction) checkURL(s string) error {
	if problem := function.URLProblem(s); problem != "" {
		return fmt.Errorf("%s", problem) //nolint:err113 // the text is for a person
	}
	if !strings.HasPrefix(s, a.prefix) {
		return fmt.Errorf("%q does not begin with confirmationUrl", s)
	}
	return nil
}

func checkHeaderValue(s string) error {
	if strings.ContainsFunc(s, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return fmt.Errorf("%q has control characters, which a header cannot carry", s)
	}
	return nil
}

// HTTPSpec is a rendered http action.
type HTTPSpec struct {
	URL     string        `json:"url"`
	Headers http.Header   `json:"headers,omitempty"`
	Reply   *ReplySpec    `json:"reply,omitempty"`
	Timeout time.Duration `json:"timeout"` // nanoseconds
}

func (a *httpAction) resource() string { return a.source }

func (a *httpAction) render(ctx context.Context, in *sql.Input) (Spec, error) {
	spec := &HTTPSpec{Timeout: a.timeout}
	var err error
	if spec.URL, err = a.url.render(ctx, in); err != nil {
		return Spec{}, err
	}
	if err := a.checkURL(spec.URL); err != nil {
		return Spec{}, errRender("url", err)
	}
	if len(a.headers) > 0 {
		spec.Headers = make(http.Header, len(a.headers))
	}
	for _, h := range a.headers {
		value, err := h.value.render(ctx, in)
		if err == nil {
			err = checkHeaderValue(value)
		}
		if err != nil {
			return Spec{}, errRender("header "+h.key, err)
		}
		spec.Headers.Add(h.key, value)
	}
	if spec.Reply, err = a.reply.render(ctx, in); err != nil {
		return Spec{}, err
	}
	return Spec{HTTP: spec}, nil
}

// queue is one per host and rule: a slow host slows no other, and a path that is broken
// no other rule's path.
func (h *HTTPSpec) queue(rule string) string {
	if u, err := url.Parse(h.URL); err == nil {
		return function.Place(u.Host, rule)
	}
	return ""
}

func (h *HTTPSpec) resource() string { return h.URL }

func (h *HTTPSpec) do(ctx context.Context, s *Services, t *Task) (Result, error) {
	return s.replied(ctx, t, h.Reply, h.Timeout, func(ctx context.Context) ([]byte, error) {
		return s.Poster.Post(ctx, h.URL, h.Headers, t.Payload)
	})
}
