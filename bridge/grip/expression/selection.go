// Package expression holds the two small languages in the configuration of an API of mode
// apigateway: route selection expressions, which are AWS's, and topics with places to fill
// in, which are ours. It is pure.
package expression

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// DefaultSelection is the route selection expression of an API that has none of its own.
const DefaultSelection = "$request.body.action"

// Selection is a compiled route selection expression: what of a message says which
// route it takes.
// (https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-develop-routes.html)
type Selection struct {
	source string
	pieces []piece
}

// piece is a text that stands for itself or, with variable, a place in the message.
type piece struct {
	text     string
	variable bool
	path     []step // of the variable; empty is the whole message
}

// step goes down one level of a JSON document: to a property or an element.
type step struct {
	name  string
	index int
	array bool
}

// errSelection is what a wrong expression is.
var errSelection = errors.New("is no route selection expression")

// bodyVariable is the only variable that AWS allows here.
const bodyVariable = "request.body"

// ParseSelection compiles an expression such as $request.body.action, ${request.body.action},
// or several variables with text between them. \$ is a dollar sign.
func ParseSelection(source string) (*Selection, error) {
	s := &Selection{source: source}
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			s.pieces = append(s.pieces, piece{text: text.String()})
			text.Reset()
		}
	}
	for rest := source; rest != ""; {
		switch {
		case strings.HasPrefix(rest, `\$`):
			text.WriteByte('$')
			rest = rest[2:]
		case rest[0] != '$':
			text.WriteByte(rest[0])
			rest = rest[1:]
		default:
			name, after, err := variable(rest)
			if err != nil {
				return nil, err
			}
			path, err := steps(name)
			if err != nil {
				return nil, err
			}
			flush()
			s.pieces = append(s.pieces, piece{variable: true, path: path})
			rest = after
		}
	}
	flush()
	if len(s.pieces) == 0 {
		return nil, fmt.Errorf("%w: it is empty", errSelection)
	}
	return s, nil
}

// variable splits off the variable that s begins with.
func variable(s string) (name, rest string, err error) {
	if strings.HasPrefix(s, "${") {
		end := strings.IndexByte(s, '}')
		if end < 0 {
			return "", "", fmt.Errorf("%w: ${ has no }", errSelection)
		}
		return s[2:end], s[end+1:], nil
	}
	end := 1
	for end < len(s) {
		if s[end] == '[' {
			inside := strings.IndexByte(s[end:], ']')
			if inside < 0 {
				return s[1:], "", nil // which steps refuses
			}
			end += inside + 1
		} else if isWord(s[end]) || s[end] == '.' {
			end++
		} else {
			break
		}
	}
	return s[1:end], s[end:], nil
}

func isWord(c byte) bool {
	return c == '_' || c == '-' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
}

// steps takes request.body.a.b[0]['c d'] apart.
func steps(name string) ([]step, error) {
	rest, ok := strings.CutPrefix(name, bodyVariable)
	if !ok || rest != "" && rest[0] != '.' && rest[0] != '[' {
		return nil, fmt.Errorf("%w: $%s is not $request.body.NAME, the only variable there is", errSelection, name)
	}
	wrong := fmt.Errorf("%w: $%s is not $request.body.NAME", errSelection, name)
	var path []step
	for rest != "" {
		if rest[0] == '.' {
			end := strings.IndexAny(rest[1:], ".[")
			if end < 0 {
				end = len(rest) - 1
			}
			if end == 0 {
				return nil, wrong
			}
			path = append(path, step{name: rest[1 : end+1]})
			rest = rest[end+1:]
			continue
		}
		inside, after, ok := strings.Cut(rest[1:], "]")
		if !ok || rest[0] != '[' {
			return nil, wrong
		}
		rest = after
		if n := len(inside); n >= 2 && (inside[0] == '\'' || inside[0] == '"') && inside[n-1] == inside[0] {
			path = append(path, step{name: inside[1 : n-1]})
			continue
		}
		i, err := strconv.Atoi(inside)
		if err != nil || i < 0 {
			return nil, wrong
		}
		path = append(path, step{index: i, array: true})
	}
	return path, nil
}

// String is the expression as it was written.
func (s *Selection) String() string { return s.source }

// Key evaluates the expression over a message. ok is false for a message that is no
// JSON. What the message does not have counts as empty.
func (s *Selection) Key(message []byte) (key string, ok bool) {
	if !json.Valid(message) {
		return "", false
	}
	if len(s.pieces) == 1 { // as good as always
		return s.pieces[0].value(message), true
	}
	var b strings.Builder
	for _, p := range s.pieces {
		b.WriteString(p.value(message))
	}
	return b.String(), true
}

// value is what stands for the piece, given a valid JSON document.
func (p *piece) value(doc json.RawMessage) string {
	if !p.variable {
		return p.text
	}
	return at(doc, p.path)
}

// at is what a valid JSON document has at a path, as text; nothing if it does not.
func at(doc json.RawMessage, path []step) string {
	for _, s := range path {
		var ok bool
		if doc, ok = s.down(doc); !ok {
			return ""
		}
	}
	return stringified(doc)
}

// down is the part of doc that the step leads to.
func (s step) down(doc json.RawMessage) (json.RawMessage, bool) {
	if s.array {
		var list []json.RawMessage
		if json.Unmarshal(doc, &list) != nil || s.index >= len(list) {
			return nil, false
		}
		return list[s.index], true
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(doc, &object) != nil {
		return nil, false
	}
	v, ok := object[s.name]
	return v, ok
}

// stringified is a value as text: a string without its quotes, a list as AWS writes
// it, null as nothing, anything else as it stands.
func stringified(doc json.RawMessage) string {
	var v any
	if json.Unmarshal(doc, &v) != nil || v == nil {
		return ""
	}
	switch v := v.(type) {
	case string:
		return v
	case []any:
		var list []json.RawMessage
		_ = json.Unmarshal(doc, &list) // it has been one before
		parts := make([]string, len(list))
		for i, e := range list {
			parts[i] = stringified(e)
		}
		return "[" + strings.Join(parts, ", ") + "]"
	default:
		return strings.TrimSpace(string(doc))
	}
}
