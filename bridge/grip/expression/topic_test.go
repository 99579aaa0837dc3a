package expression

import (
	"errors"
	"strings"
	"testing"
)

// values are what names stand for in these tests.
func values(name string) string {
	return map[string]string{
		ConnectionID: "id=", "query.room": "a", "header.User-Agent": "x y", "authorizer.principalId": "ada", "query.empty": "",
		"query.slash": "a/b", "query.wild": "#", "query.plus": "a+b", "query.dollar": "$SYS", "query.nul": "a\x00", "query.bytes": "\xff",
	}[name]
}

func TestTopics(t *testing.T) {
	everything := Scope{Request: true, Body: true}
	const body = `{"room":"r1","n":7,"deep":{"list":["x"]},"slash":"a/b"}`
	for _, c := range []struct{ source, topic string }{
		{"rooms/lobby", "rooms/lobby"},
		{"rooms/#", "rooms/#"},
		{"rooms/${query.room}", "rooms/a"},
		{"${header.User-Agent}/${connectionId}", "x y/id="},
		{"${authorizer.principalId}/+/x", "ada/+/x"},
		{"rooms/${request.body.room}/${request.body.n}", "rooms/r1/7"},
		{"${request.body.deep.list[0]}", "x"},
		{"a/${query.dollar}", "a/$SYS"},
	} {
		topic, err := ParseTopic(c.source, everything, true)
		if err != nil {
			t.Errorf("%s: %v", c.source, err)
			continue
		}
		if got, err := topic.Render(values, []byte(body)); got != c.topic || err != nil || topic.String() != c.source {
			t.Errorf("%s: %q, %v, want %q", c.source, got, err, c.topic)
		}
	}
	for _, source := range []string{
		"a/${query.empty}", "a/${query.slash}", "a/${query.wild}", "a/${query.plus}", "${query.dollar}", "a/${query.nul}", "a/${query.bytes}",
		"a/${request.body.slash}", "a/${request.body.missing}", "a/${request.body}",
	} {
		topic, err := ParseTopic(source, everything, true)
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if got, err := topic.Render(values, []byte(body)); !errors.Is(err, ErrValue) {
			t.Errorf("%s: %q, %v", source, got, err)
		}
	}
	topic, err := ParseTopic("a/${request.body.room}", everything, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := topic.Render(values, []byte("no JSON")); !errors.Is(err, ErrValue) {
		t.Errorf("a message that is no JSON: %v", err)
	}
	if _, err := topic.Render(values, []byte(`{"room":"`+strings.Repeat("x", 70_000)+`"}`)); !errors.Is(err, ErrValue) {
		t.Errorf("a long value: %v", err)
	}
}

func TestWrongTopics(t *testing.T) {
	for _, c := range []struct {
		source string
		scope  Scope
		filter bool
		want   string
	}{
		{"", Scope{}, true, "is no topic: "},
		{"a/#/b", Scope{}, true, "is no topic: "},
		{"a/+", Scope{}, false, "is no topic: "},
		{"$share/g/a", Scope{}, true, "is no topic: it is a shared subscription"},
		{"a/${query.room", Scope{Request: true}, true, "is no topic: ${ has no }"},
		{"a/${query.room}", Scope{Body: true}, true, "is no topic: ${query.room} stands for nothing here; there is ${request.body.NAME}, ${authorizer.NAME} and ${connectionId}"},
		{"a/${request.body.room}", Scope{Request: true}, true, "is no topic: ${request.body.room} stands for nothing here; there is ${query.NAME}, ${header.NAME}, ${authorizer.NAME} and ${connectionId}"},
		{"a/${query.}", Scope{Request: true}, true, "is no topic: ${query.} stands for nothing here"},
		{"a/${request.body.}", Scope{Body: true}, true, "is no topic: ${request.body.} is not ${request.body.NAME}"},
	} {
		if _, err := ParseTopic(c.source, c.scope, c.filter); !errors.Is(err, ErrTopic) || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.source, err, c.want)
		}
	}
}
