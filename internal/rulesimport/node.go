package rulesimport

import (
	"slices"

	"github.com/topicwire/topicwire/internal/config/yamldoc"
)

// kind says what a node is.
type kind uint8

const (
	nullKind    kind = iota
	scalarKind       // text, a number, true or false
	listKind         //
	mapKind          //
	absentKind       // AWS::NoValue: whatever holds it does without
	unknownKind      // what the file alone does not say; see wants
)

// node is a value of a file that was read, with its place. Readers make nodes of
// files; resolvers make nodes without intrinsics and variables of them, some of them
// unknown. A node is not changed once it is made.
type node struct {
	kind    kind
	doc     *document
	line    int // from 1
	column  int // from 1, in characters
	text    string
	items   []*node
	entries []entry

	// wants, of an unknown node, are what would make it known.
	wants []want
	// standIns are the pseudo parameters whose made-up value is part of the text.
	standIns []want
}

// entry is a key of a map and its value.
type entry struct{ key, value *node }

// want is something that the file does not say.
type want struct {
	// name is what --param takes for it; empty if no value could help.
	name string
	// reason says what is wrong; empty for a value that is just missing.
	reason, remedy string
	at             *node
}

// document is the text of a file.
type document struct {
	name  string
	lines []string
}

// get gives the value of a key; an absent node, never nil, if the map has none.
func (n *node) get(key string) *node {
	for _, e := range n.entries {
		if e.key.text == key {
			return e.value
		}
	}
	return n.like(absentKind)
}

// at follows keys.
func (n *node) path(keys ...string) *node {
	for _, k := range keys {
		n = n.get(k)
	}
	return n
}

// has reports whether there is a value that is not null.
func (n *node) has(key string) bool { return n.get(key).given() }

// given reports whether the node says anything.
func (n *node) given() bool { return n.kind != nullKind && n.kind != absentKind }

// like is an empty node in the place of n.
func (n *node) like(k kind) *node {
	return &node{kind: k, doc: n.doc, line: n.line, column: n.column}
}

// scalar is a text in the place of n.
func (n *node) scalar(text string) *node {
	s := n.like(scalarKind)
	s.text = text
	return s
}

// unknown is what cannot be known in the place of n.
func (n *node) unknown(wants ...want) *node {
	u := n.like(unknownKind)
	for _, w := range wants {
		if w.at == nil {
			w.at = n
		}
		if !slices.Contains(u.wants, w) {
			u.wants = append(u.wants, w)
		}
	}
	return u
}

// impossible is an unknown that no parameter could make known.
func (n *node) impossible(reason, remedy string) *node {
	return n.unknown(want{reason: reason, remedy: remedy})
}

// withStandIns adds what others stand for.
func (n *node) withStandIns(of ...*node) *node {
	var all []want
	for _, o := range of {
		all = append(all, o.standIns...)
	}
	if len(all) == 0 {
		return n
	}
	c := *n
	c.standIns = append(slices.Clone(n.standIns), all...)
	return &c
}

// lacks gathers the wants of the nodes that are not texts.
func lacks(nodes ...*node) []want {
	var wants []want
	for _, n := range nodes {
		switch n.kind {
		case unknownKind:
			wants = append(wants, n.wants...)
		case listKind, mapKind:
			wants = append(wants, want{reason: "is " + n.describe() + ", and text is wanted", remedy: "write text", at: n})
		case scalarKind, nullKind, absentKind:
		}
	}
	return wants
}

func (n *node) describe() string {
	switch n.kind {
	case listKind:
		return "a list"
	case mapKind:
		return "a map"
	case nullKind, absentKind:
		return "empty"
	case unknownKind:
		return "unknown"
	case scalarKind:
	}
	return "text"
}

// position is the node's place.
func (n *node) position() yamldoc.Position {
	return yamldoc.Position{File: n.doc.name, Line: n.line, Column: n.column}
}

// source is the line that the node stands in.
func (n *node) source() string {
	if n.line < 1 || n.line > len(n.doc.lines) {
		return ""
	}
	return n.doc.lines[n.line-1]
}

// budget bounds the work that a small file can make by aliases, variables and
// intrinsics that multiply each other.
type budget struct{ left int }

// The sizes that no file comes near.
const (
	maxDepth = 200
	maxNodes = 4_000_000 // of a file
	maxWork  = 500_000   // of resolving what rules and functions need
	maxText  = 1 << 20
)

// spend takes the cost of a text of n bytes, and reports whether there was enough.
func (b *budget) spend(n int) bool {
	b.left -= 1 + n/64
	return b.left > 0 && n <= maxText
}

var tooMuch = want{reason: "what stands here grows without end", remedy: "write the value out"}
