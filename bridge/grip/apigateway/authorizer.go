package apigateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/grip"
)

// authorizerEvent is what a REQUEST authorizer gets.
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/apigateway-websocket-api-lambda-auth.html)
type authorizerEvent struct {
	Type              string              `json:"type"`
	MethodARN         string              `json:"methodArn"`
	Headers           map[string]string   `json:"headers"`
	MultiValueHeaders map[string][]string `json:"multiValueHeaders"`
	Query             map[string]string   `json:"queryStringParameters"`
	MultiValueQuery   map[string][]string `json:"multiValueQueryStringParameters"`
	StageVariables    map[string]string   `json:"stageVariables"`
	RequestContext    requestContext      `json:"requestContext"`
}

// authorizerAnswer is what it answers: an IAM policy, and values for later events.
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html)
type authorizerAnswer struct {
	PrincipalID    string                     `json:"principalId"`
	PolicyDocument struct{ Statement some }   `json:"policyDocument"`
	Context        map[string]json.RawMessage `json:"context"`
}

// some is one statement or a list of them.
type some []statement

type statement struct {
	Effect   string
	Action   texts
	Resource texts
}

// UnmarshalJSON takes a statement or a list.
func (s *some) UnmarshalJSON(b []byte) error { return oneOrMore(b, (*[]statement)(s)) }

// texts is one text or a list of them.
type texts []string

// UnmarshalJSON takes a text or a list.
func (t *texts) UnmarshalJSON(b []byte) error { return oneOrMore(b, (*[]string)(t)) }

func oneOrMore[T any](b []byte, list *[]T) error {
	if len(b) > 0 && b[0] == '[' {
		return json.Unmarshal(b, list)
	}
	*list = make([]T, 1)
	return json.Unmarshal(b, &(*list)[0])
}

// Errors of authorizers.
var (
	errDenied     = errors.New("the authorizer's policy does not allow it")
	errAuthorizer = errors.New("the authorizer's answer is no policy")
)

// authorize asks the API's authorizer and keeps its context for the events. Its error
// "Unauthorized" is status 401, a policy that does not allow is 403, anything else 500.
func (c *connection) authorize(r *http.Request, requestID string) *refusal {
	h := c.handshake(r)
	arn := fmt.Sprintf("arn:aws:execute-api:us-east-1:123456789012:%s/%s/$connect", c.apiID, c.stage)
	begin := time.Now()
	out, err := c.g.invoke(c.api, c.api.authorizer, eventAuthorize, encode(&authorizerEvent{
		Type: "REQUEST", MethodARN: arn, Headers: h.Headers, MultiValueHeaders: h.MultiValueHeaders,
		Query: h.Query, MultiValueQuery: h.MultiValueQuery, StageVariables: h.StageVariables,
		RequestContext: c.context(grip.RouteConnect, eventConnect, requestID, begin),
	}))
	var own *function.Error
	switch {
	case errors.As(err, &own) && own.Message == textUnauthorized:
		return &refusal{status: http.StatusUnauthorized, text: textUnauthorized, cause: err}
	case err != nil:
		return &refusal{status: http.StatusInternalServerError, text: textInternal, cause: err}
	}
	c.authorizer, err = authorizerContext(out, arn, time.Since(begin))
	switch {
	case errors.Is(err, errDenied):
		return &refusal{status: http.StatusForbidden, text: textForbidden, cause: err}
	case err != nil:
		return &refusal{status: http.StatusInternalServerError, text: textInternal, cause: err}
	}
	return nil
}

// authorizerContext reads an authorizer's answer: what later events repeat of it.
func authorizerContext(out []byte, arn string, took time.Duration) (json.RawMessage, error) {
	var a authorizerAnswer
	if err := json.Unmarshal(out, &a); err != nil {
		return nil, fmt.Errorf("%w: %w", errAuthorizer, err)
	}
	if a.PrincipalID == "" {
		return nil, fmt.Errorf("%w: it has no principalId", errAuthorizer)
	}
	if !a.PolicyDocument.Statement.allow("execute-api:Invoke", arn) {
		return nil, errDenied
	}
	values := map[string]any{"principalId": a.PrincipalID, "integrationLatency": took.Milliseconds()}
	for key, raw := range a.Context {
		switch raw[0] {
		case '{', '[':
			return nil, fmt.Errorf("%w: context.%s is neither text nor a number nor a boolean", errAuthorizer, key)
		case 'n':
		case '"':
			var s string
			if err := json.Unmarshal(raw, &s); err != nil {
				return nil, fmt.Errorf("%w: context.%s: %w", errAuthorizer, key, err)
			}
			values[key] = s
		default:
			values[key] = string(raw) // AWS makes text of it
		}
	}
	return json.Marshal(values)
}

// allow evaluates the statements: what is denied is denied, what is not allowed too.
func (s some) allow(action, resource string) bool {
	allowed := false
	for _, st := range s {
		if !st.Action.match(action, true) || !st.Resource.match(resource, false) {
			continue
		}
		if st.Effect != "Allow" {
			return false
		}
		allowed = true
	}
	return allowed
}

func (t texts) match(s string, fold bool) bool {
	for _, pattern := range t {
		if fold {
			pattern, s = strings.ToLower(pattern), strings.ToLower(s)
		}
		if wildcard(pattern, s) {
			return true
		}
	}
	return false
}

// wildcard matches with * for any characters and ? for one, as IAM does.
func wildcard(pattern, s string) bool {
	star, from := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, from = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
			p++
			i++
		case star >= 0:
			from++
			p, i = star+1, from
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// authorizerValue is a value of the authorizer's context, as text.
func (c *client) authorizerValue(key string) string {
	var values map[string]any
	if json.Unmarshal(c.authorizer, &values) != nil {
		return ""
	}
	if s, ok := values[key].(string); ok {
		return s
	}
	return ""
}
