package topics

import "sync/atomic"

// node is one level of a filter. Its children by name are in the index's one table
// of edges, those for the wildcards are its own.
type node[S comparable] struct {
	parent *node[S]
	level  string
	id     uint64 // salt of its edges' hashes

	plus  atomic.Pointer[node[S]]
	multi atomic.Pointer[node[S]]    // #
	found atomic.Pointer[Matches[S]] // what a topic that ends here gets; nil = nobody

	// Writers only.
	subs   *set[S] // nil = none
	groups []*group[S]
	kids   int // children of all kinds
}

// group is the writers' side of a Group.
type group[S comparable] struct {
	name    string
	filter  string
	members set[S]
}

// publish makes what the writers have changed visible to readers.
func (n *node[S]) publish() {
	if n.subs == nil && len(n.groups) == 0 {
		n.found.Store(nil)
		return
	}
	m := &Matches[S]{}
	if n.subs != nil {
		m.Subscribers = n.subs.list
	}
	if len(n.groups) > 0 {
		m.Groups = make([]Group[S], len(n.groups))
		for i, g := range n.groups {
			m.Groups[i] = Group[S]{Name: g.name, Filter: g.filter, Members: g.members.list}
		}
	}
	n.found.Store(m)
}

// empty reports whether nothing needs the node any more.
func (n *node[S]) empty() bool { return n.kids == 0 && n.subs == nil && len(n.groups) == 0 }

// edges is a hash table from (parent, level) to child. Readers need no lock: a
// bucket is an immutable chain behind an atomic pointer, and a growing table is
// built aside and swapped in.
type edges[S comparable] struct {
	buckets []atomic.Pointer[edge[S]] // a power of two
	n       int                       // writers only
}

type edge[S comparable] struct {
	hash  uint64
	child *node[S]
	next  *edge[S]
}

const fewestBuckets = 64

func newEdges[S comparable](buckets int) *edges[S] {
	return &edges[S]{buckets: make([]atomic.Pointer[edge[S]], buckets)}
}

func (t *edges[S]) get(hash uint64, parent *node[S], level string) *node[S] {
	for e := t.buckets[hash&uint64(len(t.buckets)-1)].Load(); e != nil; e = e.next {
		if e.hash == hash && e.child.parent == parent && e.child.level == level {
			return e.child
		}
	}
	return nil
}

// put adds an edge and returns the table to use from now on: t, or a larger one.
func (t *edges[S]) put(hash uint64, child *node[S]) *edges[S] {
	if t.n >= len(t.buckets) {
		t = t.resized(2 * len(t.buckets))
	}
	t.add(hash, child)
	return t
}

func (t *edges[S]) add(hash uint64, child *node[S]) {
	b := &t.buckets[hash&uint64(len(t.buckets)-1)]
	b.Store(&edge[S]{hash, child, b.Load()})
	t.n++
}

// remove takes an edge out and returns the table to use from now on.
func (t *edges[S]) remove(hash uint64, child *node[S]) *edges[S] {
	b := &t.buckets[hash&uint64(len(t.buckets)-1)]
	var kept *edge[S]
	for e := b.Load(); e != nil; e = e.next {
		if e.child != child {
			kept = &edge[S]{e.hash, e.child, kept}
		}
	}
	b.Store(kept)
	t.n--
	if t.n < len(t.buckets)/8 && len(t.buckets) > fewestBuckets {
		return t.resized(len(t.buckets) / 4)
	}
	return t
}

func (t *edges[S]) resized(buckets int) *edges[S] {
	r := newEdges[S](max(buckets, fewestBuckets))
	for i := range t.buckets {
		for e := t.buckets[i].Load(); e != nil; e = e.next {
			r.add(e.hash, e.child)
		}
	}
	return r
}
