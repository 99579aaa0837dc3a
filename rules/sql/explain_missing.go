package sql

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// below are the expressions that one is made of. What a nested query does to every
// element is not among them: it has no one value.
func below(e expr) []expr {
	switch e := e.(type) {
	case *spread:
		return []expr{e.x}
	case *member:
		return []expr{e.x}
	case *index:
		return []expr{e.x, e.i}
	case *call:
		return e.args
	case *casting:
		return []expr{e.x}
	case *unary:
		return []expr{e.x}
	case *binary:
		return []expr{e.l, e.r}
	case *choice:
		parts := []expr{e.x}
		for _, b := range e.when {
			parts = append(parts, b.test, b.result)
		}
		if e.otherwise != nil {
			parts = append(parts, e.otherwise)
		}
		return parts
	case *arrayLiteral:
		return e.items
	case *objectLiteral:
		return e.values
	case *query:
		return []expr{e.from}
	}
	return nil
}

// unchanging reports an expression whose value its text says, and *, whose value is the
// payload.
func unchanging(e expr) bool {
	switch e.(type) {
	case *number, *str, *constant, *star:
		return true
	case *unary, *binary, *arrayLiteral, *objectLiteral:
	default:
		return false
	}
	for _, part := range below(e) {
		if !unchanging(part) {
			return false
		}
	}
	return true
}

// missing says where a path leads nowhere.
func (t *teller) missing(way *path) string {
	v := t.payload.root(t.scratch.whole)
	switch {
	case t.payload.text == "":
		return "the payload is empty"
	case !v.defined():
		return "the payload is not JSON: " + notJSON(t.payload.text)
	}
	where := "the payload"
	for i, name := range way.names {
		if v.kind != kindObject {
			return fmt.Sprintf("%s is of type %s and has no members", where, v.kind)
		}
		next := find(v, name, t.scratch.whole)
		if !next.defined() {
			note := fmt.Sprintf("%s has no %q", where, name)
			if near, ok := nearest(name, t.keys(v)); ok {
				note += fmt.Sprintf("; did you mean %q?", near)
			}
			return note
		}
		v, where = next, strings.Join(way.names[:i+1], ".")
	}
	return ""
}

// notJSON says what is wrong with a text that is not JSON.
func notJSON(s string) string {
	if !utf8.ValidString(s) {
		return "it is not UTF-8"
	}
	var raw json.RawMessage
	if wrong, ok := errors.AsType[*json.SyntaxError](json.Unmarshal([]byte(s), &raw)); ok {
		return fmt.Sprintf("%v, at byte %d", wrong, wrong.Offset)
	}
	return fmt.Sprintf("it is nested more than %d deep", maxPayloadDepth)
}

// keys are the first keys of an object.
func (t *teller) keys(v value) []string {
	const most = 200
	var keys []string
	for w := newWalk(v, t.scratch.whole); len(keys) < most && w.next(); {
		keys = append(keys, w.key)
	}
	return keys
}
