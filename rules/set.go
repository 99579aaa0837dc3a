package rules

import (
	"fmt"
	"slices"
	"strings"
)

// basicIngest is the topic prefix that sends a message to one rule and no
// subscriber. (https://docs.aws.amazon.com/iot/latest/developerguide/iot-basic-ingest.html)
const basicIngest = "$aws/rules/"

// Set holds rules indexed by their topic filters, so that the cost of a message
// depends on the rules it matches and not on how many there are. It is immutable and
// safe for concurrent use.
type Set struct {
	rules  []*Rule
	byName map[string]*Rule
	exact  map[string][]*Rule // filters without wildcards, by topic
	root   *node              // filters with wildcards, level by level
}

// node is one level of the filters that have a wildcard.
type node struct {
	children map[string]*node
	plus     *node   // +
	rest     []*Rule // filters that end here in #
	here     []*Rule // filters that end here
}

// NewSet indexes rules and sets each one's Index. Disabled rules and rules without a
// FROM clause are part of the set; they match no topic. Two rules of one name are an
// error.
func NewSet(rules []*Rule) (*Set, error) {
	s := &Set{
		rules:  slices.Clone(rules),
		byName: make(map[string]*Rule, len(rules)),
		exact:  make(map[string][]*Rule),
		root:   &node{},
	}
	for i, r := range s.rules {
		if s.byName[r.Name] != nil {
			return nil, fmt.Errorf("two rules are named %s", r.Name)
		}
		r.Index = i
		s.byName[r.Name] = r
		switch {
		case r.Disabled || r.filter == "":
		case strings.ContainsAny(r.filter, "+#"):
			s.root.add(r)
		default:
			s.exact[r.filter] = append(s.exact[r.filter], r)
		}
	}
	return s, nil
}

func (n *node) add(r *Rule) {
	for level := range strings.SplitSeq(r.filter, "/") {
		switch level {
		case "#":
			n.rest = append(n.rest, r)
			return
		case "+":
			if n.plus == nil {
				n.plus = &node{}
			}
			n = n.plus
		default:
			next := n.children[level]
			if next == nil {
				if n.children == nil {
					n.children = make(map[string]*node)
				}
				next = &node{}
				n.children[level] = next
			}
			n = next
		}
	}
	n.here = append(n.here, r)
}

// Rules are all rules of the set in their order. The caller must not change them.
func (s *Set) Rules() []*Rule { return s.rules }

// Lookup finds a rule by its name, disabled or not.
func (s *Set) Lookup(name string) (*Rule, bool) {
	r, ok := s.byName[name]
	return r, ok
}

// Match appends to dst the enabled rules that take a message published to topic, and
// returns the result in the order of the set. It follows AWS where that differs from
// MQTT: a/# does not match a. A Basic Ingest topic, $aws/rules/NAME/..., is taken by
// the rule of that name alone, whatever its FROM clause says, and by none if there is
// no such rule. It allocates nothing if dst has room.
func (s *Set) Match(dst []*Rule, topic string) []*Rule {
	if name, ok := Ingested(topic); ok {
		if r := s.byName[name]; r != nil && !r.Disabled {
			dst = append(dst, r)
		}
		return dst
	}
	start := len(dst)
	dst = append(dst, s.exact[topic]...)
	dst = s.root.match(dst, topic, topic != "" && topic[0] == '$')
	if found := dst[start:]; len(found) > 1 {
		slices.SortFunc(found, func(a, b *Rule) int { return a.Index - b.Index })
	}
	return dst
}

// match walks one level of the topic. A wildcard does not stand for a first level
// that begins with $: reserved says that this is one. [MQTT-4.7.2-1]
func (n *node) match(dst []*Rule, topic string, reserved bool) []*Rule {
	level, rest, more := strings.Cut(topic, "/")
	if !reserved {
		dst = append(dst, n.rest...)
		if n.plus != nil {
			dst = n.plus.end(dst, rest, more)
		}
	}
	if next := n.children[level]; next != nil {
		dst = next.end(dst, rest, more)
	}
	return dst
}

func (n *node) end(dst []*Rule, rest string, more bool) []*Rule {
	if more {
		return n.match(dst, rest, false)
	}
	return append(dst, n.here...)
}

// Ingested takes a Basic Ingest topic apart and returns the rule's name.
func Ingested(topic string) (rule string, ok bool) {
	rest, ok := strings.CutPrefix(topic, basicIngest)
	if !ok {
		return "", false
	}
	rule, _, _ = strings.Cut(rest, "/")
	return rule, rule != ""
}
