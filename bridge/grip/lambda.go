package grip

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/internal/weborigin"
	"github.com/topicwire/topicwire/message"
)

// lambdaHandler asks a function, with a Lambda proxy event of version 1 (API Gateway's
// REST APIs): what faas-grip and most frameworks expect.
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html)
type lambdaHandler struct{ functions Invoker }

// errAnswer says that a function's answer is no response.
var errAnswer = errors.New("the function's answer is no HTTP response")

func (l lambdaHandler) ask(ctx context.Context, route *Route, q *request) (*answer, error) {
	out, err := l.functions.Invoke(ctx, route.Function, proxyEvent(route, q, time.Now()))
	if err != nil {
		return nil, err
	}
	return parseProxyResponse(out)
}

// proxyEvent is the event of a request.
func proxyEvent(route *Route, q *request, now time.Time) []byte {
	b := make([]byte, 0, 2048+len(q.body)*4/3)
	b = append(b, `{"resource":`...)
	b = appendString(b, resource(route))
	b = append(b, `,"path":`...)
	b = appendString(b, q.uri.Path)
	b = append(b, `,"httpMethod":`...)
	b = appendString(b, q.method)
	b = appendHeaders(b, q)
	b = appendQuery(b, q)
	b = append(b, `,"pathParameters":`...)
	if rest, ok := strings.CutPrefix(q.uri.Path, route.Base+"/"); ok && route.Prefix && rest != "" {
		b = append(b, `{"proxy":`...)
		b = appendString(b, rest)
		b = append(b, '}')
	} else {
		b = append(b, `null`...)
	}
	b = append(b, `,"stageVariables":null`...)
	b = appendContext(b, route, q, now)
	b = append(b, `,"body":"`...)
	// Events are sent as base64 always: their bytes are no text. A body that is empty is
	// an empty string: faas-grip fails on null.
	encoded := len(q.body) > 0 && (isEvents(q) || !utf8.Valid(q.body))
	switch {
	case encoded:
		b = base64.StdEncoding.AppendEncode(b, q.body)
	case len(q.body) > 0:
		b = appendString(b[:len(b)-1], string(q.body))
		b = b[:len(b)-1]
	}
	b = append(b, `","isBase64Encoded":`...)
	b = strconv.AppendBool(b, encoded)
	return append(b, '}')
}

func isEvents(q *request) bool {
	for _, p := range q.extra {
		if p.Name == "Content-Type" {
			return p.Value == wire.ContentType
		}
	}
	return false
}

// resource is the route's path as API Gateway writes it.
func resource(r *Route) string {
	if r.Prefix {
		return r.Base + "/{proxy+}"
	}
	return r.Path
}

// appendHeaders writes headers, the last value of each, and multiValueHeaders.
func appendHeaders(b []byte, q *request) []byte {
	names := make([]string, 0, len(q.header)+1)
	for k := range q.header {
		if !q.overrides(k) {
			names = append(names, k)
		}
	}
	slices.Sort(names)
	for _, multi := range [...]bool{false, true} {
		if multi {
			b = append(b, `},"multiValueHeaders":{"Host":[`...)
			b = append(appendString(b, q.host), ']')
		} else {
			b = append(b, `,"headers":{"Host":`...)
			b = appendString(b, q.host)
		}
		for _, k := range names {
			v := q.header[k]
			if len(v) == 0 {
				continue
			}
			b = append(b, ',')
			b = appendString(b, k)
			if !multi {
				b = append(b, ':')
				b = appendString(b, v[len(v)-1])
				continue
			}
			b = append(b, `:[`...)
			for i, s := range v {
				if i > 0 {
					b = append(b, ',')
				}
				b = appendString(b, s)
			}
			b = append(b, ']')
		}
		for _, p := range q.extra {
			b = append(b, ',')
			b = appendString(b, p.Name)
			b = append(b, ':')
			if multi {
				b = append(b, '[')
			}
			b = appendString(b, p.Value)
			if multi {
				b = append(b, ']')
			}
		}
	}
	return append(b, '}')
}

// overrides reports whether an extra header takes the place of a client's.
func (q *request) overrides(name string) bool {
	for _, p := range q.extra {
		if p.Name == name {
			return true
		}
	}
	return false
}

func appendQuery(b []byte, q *request) []byte {
	values := q.uri.Query()
	if len(values) == 0 {
		return append(b, `,"queryStringParameters":null,"multiValueQueryStringParameters":null`...)
	}
	last := make(map[string]string, len(values))
	for k, v := range values {
		last[k] = v[len(v)-1]
	}
	b = append(b, `,"queryStringParameters":`...)
	b = appendJSON(b, last)
	b = append(b, `,"multiValueQueryStringParameters":`...)
	return appendJSON(b, values)
}

// The account and API that events name: there is no real one.
const (
	accountID = "000000000000"
	apiID     = "topicwire"
	stage     = "$default"
)

func appendContext(b []byte, route *Route, q *request, now time.Time) []byte {
	b = append(b, `,"requestContext":{"accountId":"`+accountID+`","apiId":"`+apiID+`","stage":"`+stage+`","requestId":`...)
	b = appendString(b, message.NewID())
	b = append(b, `,"httpMethod":`...)
	b = appendString(b, q.method)
	b = append(b, `,"path":`...)
	b = appendString(b, q.uri.Path)
	b = append(b, `,"resourcePath":`...)
	b = appendString(b, resource(route))
	b = append(b, `,"protocol":`...)
	b = appendString(b, q.proto)
	b = append(b, `,"domainName":`...)
	b = appendString(b, weborigin.Host(q.host))
	b = append(b, `,"requestTime":"`...)
	b = now.UTC().AppendFormat(b, "02/Jan/2006:15:04:05 -0700")
	b = append(b, `","requestTimeEpoch":`...)
	b = strconv.AppendInt(b, now.UnixMilli(), 10)
	b = append(b, `,"identity":{"sourceIp":`...)
	b = appendString(b, q.addr)
	b = append(b, `,"userAgent":`...)
	if agent := q.header["User-Agent"]; len(agent) > 0 {
		b = appendString(b, agent[len(agent)-1])
	} else {
		b = append(b, `null`...)
	}
	return append(b, `}}`...)
}

// appendString writes a JSON string.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x7f {
			return appendJSON(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendJSON(b []byte, v any) []byte {
	doc, err := json.Marshal(v)
	if err != nil {
		return append(b, `null`...) // strings and maps of them always encode
	}
	return append(b, doc...)
}

// proxyResponse is what a function answers.
type proxyResponse struct {
	StatusCode json.Number                  `json:"statusCode"`
	Headers    map[string]json.RawMessage   `json:"headers"`
	Multi      map[string][]json.RawMessage `json:"multiValueHeaders"`
	Body       *string                      `json:"body"`
	Base64     bool                         `json:"isBase64Encoded"`
}

// parseProxyResponse reads a function's answer. Errors wrap errAnswer.
func parseProxyResponse(b []byte) (*answer, error) {
	var p proxyResponse
	if err := json.Unmarshal(b, &p); err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	status, err := strconv.Atoi(string(p.StatusCode))
	if err != nil || status < 100 || status > 599 {
		return nil, fmt.Errorf("%w: the statusCode is %.20q", errAnswer, p.StatusCode)
	}
	a := &answer{Response: wire.Response{Status: status, Header: make(http.Header, len(p.Headers))}}
	for k, v := range p.Headers {
		if _, more := p.Multi[k]; !more {
			a.add(k, headerText(v))
		}
	}
	for k, list := range p.Multi {
		for _, v := range list {
			a.add(k, headerText(v))
		}
	}
	if p.Body == nil {
		return a, nil
	}
	if !p.Base64 {
		a.Body = []byte(*p.Body)
		return a, nil
	}
	if a.Body, err = base64.StdEncoding.DecodeString(*p.Body); err != nil {
		return nil, fmt.Errorf("%w: isBase64Encoded is true and the body is no base64: %w", errAnswer, err)
	}
	return a, nil
}

// headerText is a header's value: a string, or a number or a boolean as it is written.
func headerText(raw json.RawMessage) string {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// add takes a header over; what HTTP cannot carry is left out.
func (a *answer) add(name, value string) {
	if !function.IsToken(name) || strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return
	}
	const setMeta = "set-meta-"
	if len(name) > len(setMeta) && strings.EqualFold(name[:len(setMeta)], setMeta) {
		a.meta = append(a.meta, wire.Param{Name: name[len(setMeta):], Value: value})
		return
	}
	a.Header.Add(name, value)
}
