package expression

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/topicwire/topicwire/message"
)

// Topic is a topic or a filter with places that are filled in for each connection or
// message: rooms/${request.body.room}.
type Topic struct {
	source string
	pieces []place
}

// place is a text that stands for itself, or what a name stands for.
type place struct {
	text string
	name string // query.NAME, header.NAME, authorizer.NAME, connectionId
	body bool   // path is a place in the message
	path []step
}

// Scope is what a topic may refer to. The connection's id and what its authorizer has
// said of it may be referred to everywhere.
type Scope struct {
	Request bool // the handshake: query and header
	Body    bool // the message
}

// Errors of topics.
var (
	// ErrTopic: the text is no topic with places.
	ErrTopic = errors.New("is no topic")
	// ErrValue: what a client has sent cannot be part of a topic.
	ErrValue = errors.New("cannot be part of a topic")
)

// The names, besides request.body.
const (
	// ConnectionID is the name of the connection's id.
	ConnectionID  = "connectionId"
	queryName     = "query."
	headerName    = "header."
	authorizeName = "authorizer."
)

// ParseTopic compiles a topic. With filter, it may have wildcards of its own.
func ParseTopic(source string, scope Scope, filter bool) (*Topic, error) {
	t := &Topic{source: source}
	var sample strings.Builder // the topic with something in every place
	for rest := source; rest != ""; {
		text, after, found := strings.Cut(rest, "${")
		if text != "" {
			t.pieces = append(t.pieces, place{text: text})
			sample.WriteString(text)
		}
		if !found {
			break
		}
		name, next, closed := strings.Cut(after, "}")
		if !closed {
			return nil, fmt.Errorf("%w: ${ has no }", ErrTopic)
		}
		p, err := namedPlace(name, scope)
		if err != nil {
			return nil, err
		}
		t.pieces = append(t.pieces, p)
		sample.WriteString("x")
		rest = next
	}
	check := message.ValidateTopic
	if filter {
		check = message.ValidateFilter
	}
	if err := check(sample.String()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTopic, err)
	}
	if _, _, shared := message.SplitShare(sample.String()); shared && filter {
		return nil, fmt.Errorf("%w: it is a shared subscription", ErrTopic)
	}
	return t, nil
}

func namedPlace(name string, scope Scope) (place, error) {
	known := func(prefix string) bool { return strings.HasPrefix(name, prefix) && len(name) > len(prefix) }
	switch {
	case name == ConnectionID, known(authorizeName), scope.Request && (known(queryName) || known(headerName)):
		return place{name: name}, nil
	case scope.Body && strings.HasPrefix(name, bodyVariable):
		path, err := steps(name)
		if err != nil {
			return place{}, fmt.Errorf("%w: ${%s} is not ${request.body.NAME}", ErrTopic, name)
		}
		return place{body: true, path: path}, nil
	default:
		return place{}, fmt.Errorf("%w: ${%s} stands for nothing here; there is %s", ErrTopic, name, scope.names())
	}
}

// names lists what may be referred to.
func (s Scope) names() string {
	list := ""
	if s.Body {
		list += "${request.body.NAME}, "
	}
	if s.Request {
		list += "${query.NAME}, ${header.NAME}, "
	}
	return list + "${authorizer.NAME} and ${connectionId}"
}

// Example is a name that may be referred to.
func (s Scope) Example() string {
	switch {
	case s.Body:
		return bodyVariable + ".room"
	case s.Request:
		return queryName + "room"
	default:
		return ConnectionID
	}
}

// String is the topic as it was written.
func (t *Topic) String() string { return t.source }

// Render fills the places in: those in the message from body, the others from get. A
// value that is empty, or has a character that means something in a topic (a slash, a wildcard,
// a dollar sign at its beginning) is refused with ErrValue, so that no client can reach a topic that was not meant.
func (t *Topic) Render(get func(name string) string, body []byte) (string, error) {
	if len(t.pieces) == 1 && t.pieces[0].text != "" {
		return t.pieces[0].text, nil
	}
	var b strings.Builder
	valid := false
	for _, p := range t.pieces {
		value := p.text
		switch {
		case value != "":
			b.WriteString(value)
			continue
		case p.body:
			if !valid && !json.Valid(body) {
				return "", fmt.Errorf("%w: the message is no JSON", ErrValue)
			}
			valid = true
			value = at(body, p.path)
		default:
			value = get(p.name)
		}
		reserved := b.Len() == 0 && strings.HasPrefix(value, "$")
		if value == "" || reserved || strings.ContainsAny(value, "/+#\x00") || !utf8.ValidString(value) {
			return "", fmt.Errorf("%w: %.100q", ErrValue, value)
		}
		b.WriteString(value)
	}
	topic := b.String()
	if len(topic) > message.MaxTopicBytes {
		return "", fmt.Errorf("%w: the topic is too long", ErrValue)
	}
	return topic, nil
}
