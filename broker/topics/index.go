// Package topics says who gets a message and which messages are kept: the index of
// subscriptions and the index of retained messages. It knows filters and topics,
// and nothing of sessions, packets or stores; topics and filters given to it have
// been validated.
package topics

import (
	"hash/maphash"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/topicwire/topicwire/message"
)

// Index is the set of subscriptions, by topic filter. Matching takes no lock, does
// not wait for writers, and costs by the levels of the topic and the filters that
// match, whatever else is subscribed. Subscribing costs by the levels of the filter.
// All methods may be called at the same time.
type Index[S comparable] struct {
	seed    maphash.Seed
	root    node[S]
	edges   atomic.Pointer[edges[S]]
	version atomic.Uint64 // counts changes, so that merged results of before are not used
	cache   cache[S]
	nobody  Matches[S]

	mu      sync.Mutex // for writers
	nextID  uint64
	filters map[S]*filters
	count   atomic.Int64
	shared  atomic.Int64 // how many of them are shared
	groups  atomic.Int64
}

// Matches is who gets the messages of one topic. It is immutable and shared.
type Matches[S comparable] struct {
	// Subscribers have ordinary subscriptions: each of them gets the message.
	Subscribers List[S]
	// Groups are the shared subscriptions that match: of each, one member gets it.
	// [MQTT-4.8.2-4]
	Groups []Group[S]
}

// Group is one shared subscription: a share name together with a filter.
type Group[S comparable] struct {
	// Name is the share name and Filter the topic filter without it.
	Name, Filter string
	// Members are those that share; never empty.
	Members List[S]
}

// NewIndex makes an empty index. S identifies a subscriber, usually by pointer.
func NewIndex[S comparable]() *Index[S] {
	x := &Index[S]{seed: maphash.MakeSeed(), filters: map[S]*filters{}}
	x.edges.Store(newEdges[S](fewestBuckets))
	return x
}

// Len is the number of subscriptions.
func (x *Index[S]) Len() int { return int(x.count.Load()) }

// Shared is the number of shared subscriptions among them.
func (x *Index[S]) Shared() int { return int(x.shared.Load()) }

// Groups is the number of different shared subscriptions.
func (x *Index[S]) Groups() int { return int(x.groups.Load()) }

// Subscribe adds a subscription, or replaces the options of the one that the
// subscriber already has with that very filter [MQTT-3.8.4-3]. A filter that begins
// with $share/ is a shared subscription.
func (x *Index[S]) Subscribe(filter string, s S, opt Option) (existed bool) {
	filter = strings.Clone(filter) // it may be a piece of a packet
	share, rest, shared := message.SplitShare(filter)
	m := Match[S]{Subscriber: s, Option: opt}
	if opt.ID != 0 {
		m.IDs = []uint32{opt.ID}
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	n := x.grow(rest)
	if shared {
		g := n.group(share, rest)
		if g.members.list.n == 0 {
			x.groups.Add(1)
		}
		existed = g.members.put(m)
	} else {
		if n.subs == nil {
			n.subs = &set[S]{}
		}
		existed = n.subs.put(m)
	}
	n.publish()
	x.version.Add(1)
	if !existed {
		x.count.Add(1)
		if shared {
			x.shared.Add(1)
		}
		x.remember(s, filter)
	}
	return existed
}

// Unsubscribe takes a subscription away and reports whether there was one.
func (x *Index[S]) Unsubscribe(filter string, s S) (existed bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.remove(filter, s) {
		return false
	}
	x.forget(s, filter)
	return true
}

// UnsubscribeAll takes every subscription of a subscriber away and returns how many
// there were.
func (x *Index[S]) UnsubscribeAll(s S) int {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := 0
	for f := range x.filters[s].all() {
		if x.remove(f, s) {
			n++
		}
	}
	delete(x.filters, s)
	return n
}

// Filters are the filters a subscriber has, shared ones with their $share/ prefix.
func (x *Index[S]) Filters(s S) []string {
	x.mu.Lock()
	defer x.mu.Unlock()
	var list []string
	for f := range x.filters[s].all() {
		list = append(list, f)
	}
	return list
}

func (x *Index[S]) hash(parent *node[S], level string) uint64 {
	return maphash.String(x.seed, level) ^ parent.id
}

// child finds the node one level below n.
func (x *Index[S]) child(n *node[S], level string) *node[S] {
	return x.edges.Load().get(x.hash(n, level), n, level)
}

// grow finds or makes the node of a filter. Call it with the lock held, like
// everything below.
func (x *Index[S]) grow(filter string) *node[S] {
	n := &x.root
	for level := range strings.SplitSeq(filter, "/") {
		n = x.growChild(n, level)
	}
	return n
}

func (x *Index[S]) growChild(n *node[S], level string) *node[S] {
	c := x.existing(n, level)
	if c != nil {
		return c
	}
	x.nextID++
	// An odd multiplier spreads the ids over all bits of the hashes they salt.
	c = &node[S]{parent: n, level: level, id: x.nextID * 0x9e3779b97f4a7c15}
	n.kids++
	switch level {
	case "+":
		n.plus.Store(c)
	case "#":
		n.multi.Store(c)
	default:
		t := x.edges.Load()
		x.edges.Store(t.put(x.hash(n, level), c))
	}
	return c
}

func (x *Index[S]) existing(n *node[S], level string) *node[S] {
	switch level {
	case "+":
		return n.plus.Load()
	case "#":
		return n.multi.Load()
	default:
		return x.child(n, level)
	}
}

// remove takes a subscription out of its node, and out of the tree every node that
// nothing needs any more.
func (x *Index[S]) remove(filter string, s S) bool {
	share, rest, shared := message.SplitShare(filter)
	n := &x.root
	for level := range strings.SplitSeq(rest, "/") {
		if n = x.existing(n, level); n == nil {
			return false
		}
	}
	groups := len(n.groups)
	if shared && !n.leaveGroup(share, s) || !shared && !n.leave(s) {
		return false
	}
	x.groups.Add(int64(len(n.groups) - groups))
	n.publish()
	x.version.Add(1)
	x.count.Add(-1)
	if shared {
		x.shared.Add(-1)
	}
	for n.parent != nil && n.empty() {
		p := n.parent
		switch n.level {
		case "+":
			p.plus.Store(nil)
		case "#":
			p.multi.Store(nil)
		default:
			x.edges.Store(x.edges.Load().remove(x.hash(p, n.level), n))
		}
		p.kids--
		n = p
	}
	return true
}

func (n *node[S]) leave(s S) bool {
	if n.subs == nil || !n.subs.remove(s) {
		return false
	}
	if n.subs.list.n == 0 {
		n.subs = nil
	}
	return true
}

func (n *node[S]) leaveGroup(name string, s S) bool {
	for i, g := range n.groups {
		if g.name != name {
			continue
		}
		if !g.members.remove(s) {
			return false
		}
		if g.members.list.n == 0 {
			n.groups = append(n.groups[:i:i], n.groups[i+1:]...)
		}
		return true
	}
	return false
}

// group finds or makes a share of the node.
func (n *node[S]) group(name, filter string) *group[S] {
	for _, g := range n.groups {
		if g.name == name {
			return g
		}
	}
	g := &group[S]{name: name, filter: filter}
	n.groups = append(n.groups, g)
	return g
}
