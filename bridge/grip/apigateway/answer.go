package apigateway

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strconv"
	"strings"
)

// answer is what a function behind a Lambda proxy integration returns.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// errAnswer is what API Gateway calls a malformed Lambda proxy response.
var errAnswer = errors.New("the function's answer is no proxy response")

// answerJSON is its document.
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html)
type answerJSON struct {
	StatusCode        json.RawMessage              `json:"statusCode"`
	Headers           map[string]json.RawMessage   `json:"headers"`
	MultiValueHeaders map[string][]json.RawMessage `json:"multiValueHeaders"`
	Body              json.RawMessage              `json:"body"`
	IsBase64Encoded   bool                         `json:"isBase64Encoded"`
}

// parseAnswer reads what a function has returned. Errors wrap errAnswer.
func parseAnswer(out []byte) (*answer, error) {
	var doc answerJSON
	if err := json.Unmarshal(out, &doc); err != nil {
		return nil, fmt.Errorf("%w: %w", errAnswer, err)
	}
	a := &answer{header: make(http.Header)}
	var err error
	if a.status, err = statusCode(doc.StatusCode); err != nil {
		return nil, err
	}
	for name, v := range doc.Headers {
		if err := a.setHeader(name, v); err != nil {
			return nil, err
		}
	}
	for name, values := range doc.MultiValueHeaders {
		for _, v := range values { // besides a single one of the same name
			if err := a.setHeader(name, v); err != nil {
				return nil, err
			}
		}
	}
	if a.body, err = body(doc.Body, doc.IsBase64Encoded); err != nil {
		return nil, err
	}
	return a, nil
}

func statusCode(raw json.RawMessage) (int, error) {
	text := strings.Trim(string(raw), `"`) // "200" is taken for 200
	n, err := strconv.Atoi(text)
	switch {
	case text == "" || text == "null":
		return 0, fmt.Errorf("%w: it has no statusCode", errAnswer)
	case err != nil || n < 100 || n > 599:
		return 0, fmt.Errorf("%w: the statusCode %.20s is none", errAnswer, text)
	}
	return n, nil
}

// setHeader adds a header: its value may be a string, a number or a boolean.
func (a *answer) setHeader(name string, raw json.RawMessage) error {
	value := string(raw)
	if value == "null" {
		return nil
	}
	if raw[0] == '"' {
		if err := json.Unmarshal(raw, &value); err != nil {
			return fmt.Errorf("%w: header %s: %w", errAnswer, name, err)
		}
	}
	if raw[0] == '{' || raw[0] == '[' || name == "" || strings.ContainsAny(name, " \r\n:") || strings.ContainsAny(value, "\r\n\x00") {
		return fmt.Errorf("%w: header %.50q is none", errAnswer, name)
	}
	name = textproto.CanonicalMIMEHeaderKey(name)
	if slices.Contains(a.header[name], value) { // in headers and multiValueHeaders
		return nil
	}
	a.header[name] = append(a.header[name], value)
	return nil
}

func body(raw json.RawMessage, isBase64 bool) ([]byte, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, fmt.Errorf("%w: its body is no string (send JSON.stringify(...))", errAnswer)
	}
	if !isBase64 {
		return []byte(text), nil
	}
	b, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: its body is no base64: %w", errAnswer, err)
	}
	return b, nil
}

// ok reports whether the status is a success.
func (a *answer) ok() bool { return a.status >= 200 && a.status < 300 }

// list is every value of a header, those with commas taken apart.
func (a *answer) list(name string) (values []string) {
	for _, line := range a.header.Values(name) {
		for v := range strings.SplitSeq(line, ",") {
			if v = strings.TrimSpace(v); v != "" {
				values = append(values, v)
			}
		}
	}
	return values
}
