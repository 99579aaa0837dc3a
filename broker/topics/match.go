package topics

import (
	"hash/maphash"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/topicwire/topicwire/message"
)

// Match finds who gets a message published to topic. The result is shared and
// read-only, never nil. If one filter matches, it is that filter's own list; if
// several do, they are merged, and the merged list is kept for the next message
// until a subscription changes.
func (x *Index[S]) Match(topic string) *Matches[S] {
	version := x.version.Load() // before looking, so that a change meanwhile makes the merged list old
	hits := hits[S]{x: x}
	x.collect(&hits, topic)
	switch hits.n {
	case 0:
		return &x.nobody
	case 1:
		return hits.first[0]
	}
	hash := maphash.String(x.seed, topic)
	if m := x.cache.get(hash, topic, version); m != nil {
		return m
	}
	m := merge(hits.list())
	x.cache.put(hash, topic, version, m)
	return m
}

// Group finds the shared subscription that a filter with its $share/ prefix names;
// nil if nobody has it.
func (x *Index[S]) Group(filter string) *Group[S] {
	share, rest, shared := message.SplitShare(filter)
	if !shared {
		return nil
	}
	n := &x.root
	for level := range strings.SplitSeq(rest, "/") {
		if n = x.existing(n, level); n == nil {
			return nil
		}
	}
	m := n.found.Load()
	if m == nil {
		return nil
	}
	for i := range m.Groups {
		if m.Groups[i].Name == share {
			return &m.Groups[i]
		}
	}
	return nil
}

// hits are the nodes whose filters match.
type hits[S comparable] struct {
	x     *Index[S]
	n     int
	first [8]*Matches[S]
	more  []*Matches[S]
}

func (h *hits[S]) add(n *node[S]) {
	m := n.found.Load()
	if m == nil {
		return
	}
	if h.n < len(h.first) {
		h.first[h.n] = m
	} else {
		h.more = append(h.more, m)
	}
	h.n++
}

func (h *hits[S]) list() []*Matches[S] {
	return append(slices.Clone(h.first[:min(h.n, len(h.first))]), h.more...)
}

// collect starts at the root, where wildcards do not stand for a first level that
// begins with $. [MQTT-4.7.2-1]
func (x *Index[S]) collect(h *hits[S], topic string) {
	if topic == "" || topic[0] != '$' {
		x.walk(h, &x.root, topic, true)
		return
	}
	level, rest, more := strings.Cut(topic, "/")
	if c := x.child(&x.root, level); c != nil {
		x.walk(h, c, rest, more)
	}
}

// walk goes down from n by the levels that are left, if any.
func (x *Index[S]) walk(h *hits[S], n *node[S], rest string, more bool) {
	for {
		if m := n.multi.Load(); m != nil {
			h.add(m) // # stands for all further levels and for none: the parent itself
		}
		if !more {
			h.add(n)
			return
		}
		var level string
		level, rest, more = strings.Cut(rest, "/")
		if p := n.plus.Load(); p != nil {
			x.walk(h, p, rest, more)
		}
		if n = x.child(n, level); n == nil {
			return
		}
	}
}

// merge makes one list of several, with one entry for each subscriber.
func merge[S comparable](found []*Matches[S]) *Matches[S] {
	var lists []*List[S]
	total, groups := 0, 0
	for _, f := range found {
		groups += len(f.Groups)
		if f.Subscribers.n > 0 {
			lists = append(lists, &f.Subscribers)
			total += f.Subscribers.n
		}
	}
	m := &Matches[S]{}
	if groups > 0 {
		m.Groups = make([]Group[S], 0, groups)
		for _, f := range found {
			m.Groups = append(m.Groups, f.Groups...)
		}
	}
	switch len(lists) {
	case 0:
	case 1:
		m.Subscribers = *lists[0]
	default:
		m.Subscribers = mergeLists(lists, total)
	}
	return m
}

func mergeLists[S comparable](lists []*List[S], total int) List[S] {
	type key struct {
		s       S
		noLocal bool
	}
	merged := make([]Match[S], 0, total)
	at := make(map[key]int, total)
	for _, l := range lists {
		for e := range l.All() {
			k := key{e.Subscriber, e.NoLocal}
			i, ok := at[k]
			if !ok {
				at[k] = len(merged)
				merged = append(merged, *e)
				continue
			}
			m := &merged[i]
			m.QoS = max(m.QoS, e.QoS)                                        // [MQTT-3.3.4-2]
			m.RetainAsPublished = m.RetainAsPublished || e.RetainAsPublished // one copy can carry one flag
			m.IDs = append(slices.Clip(m.IDs), e.IDs...)                     // [MQTT-3.3.4-3]
		}
	}
	return listOf(merged)
}

// listOf cuts a slice into the chunks of a List.
func listOf[S comparable](all []Match[S]) List[S] {
	l := List[S]{n: len(all)}
	for chunk := range slices.Chunk(all, chunkLen) {
		l.chunks = append(l.chunks, chunk)
	}
	return l
}

// cache keeps merged results by topic: one place for each hash, a newcomer takes
// it. Readers and writers need no lock.
type cache[S comparable] struct {
	places  [cachePlaces]atomic.Pointer[cached[S]]
	entries atomic.Int64 // subscribers in all places, roughly
}

type cached[S comparable] struct {
	topic   string
	version uint64
	found   *Matches[S]
}

const (
	cachePlaces  = 1024
	cacheEntries = 1 << 20 // about 40 MB
)

func (c *cache[S]) get(hash uint64, topic string, version uint64) *Matches[S] {
	e := c.places[hash%cachePlaces].Load()
	if e == nil || e.version != version || e.topic != topic {
		return nil
	}
	return e.found
}

func (c *cache[S]) put(hash uint64, topic string, version uint64, found *Matches[S]) {
	if c.entries.Load() > cacheEntries {
		for i := range c.places {
			c.places[i].Store(nil)
		}
		c.entries.Store(0)
	}
	old := c.places[hash%cachePlaces].Swap(&cached[S]{strings.Clone(topic), version, found})
	added := int64(found.Subscribers.n)
	if old != nil {
		added -= int64(old.found.Subscribers.n)
	}
	c.entries.Add(added)
}
