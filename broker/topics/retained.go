package topics

import (
	"container/heap"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/topicwire/topicwire/message"
)

// Retained keeps the retained message of each topic, as a tree by topic level, so
// that looking up a filter visits only what can match. All methods may be called at
// the same time. It does not look at the clock: expired messages stay until Sweep,
// but neither Get nor a Cursor returns them.
type Retained struct {
	mu     sync.RWMutex
	root   level
	stamp  uint64 // counts changes
	n      int
	bytes  int64
	expiry expiries
}

// level is one topic level. It exists while it or something below it has a message.
type level struct {
	parent *level
	name   string
	seq    uint64 // among its siblings: later ones have a higher one
	msg    *message.Message
	stamp  uint64 // when msg was set

	// kids are in the order of seq, removed ones leave a gap until gaps prevail. So a
	// cursor that remembers a seq finds its place again whatever happened meanwhile.
	kids []kid
	gaps int
	by   map[string]*level // by name; nil while there are few
}

type kid struct {
	seq uint64
	l   *level // nil = gap
}

// NewRetained makes an empty store.
func NewRetained() *Retained { return &Retained{} }

// Len is the number of messages kept, expired ones included until Sweep.
func (r *Retained) Len() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.n
}

// Bytes is roughly what the messages take: payloads, topics and properties.
func (r *Retained) Bytes() int64 {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.bytes
}

// Set keeps m, which is read-only from now on, as its topic's retained message and
// returns the one it replaces, if any. An empty payload removes it instead.
// [MQTT-3.3.1-5] [MQTT-3.3.1-6]
func (r *Retained) Set(m *message.Message) (replaced *message.Message) {
	if len(m.Payload) == 0 {
		return r.Delete(m.Topic)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	l := &r.root
	for name := range strings.SplitSeq(m.Topic, "/") {
		l = l.grow(name, &r.stamp)
	}
	replaced = l.msg
	r.stamp++
	l.msg, l.stamp = m, r.stamp
	r.count(m, 1)
	if replaced != nil {
		r.count(replaced, -1)
	}
	if at, ok := m.ExpiresAt(); ok {
		heap.Push(&r.expiry, expiring{at, l, r.stamp})
	}
	return replaced
}

// Delete forgets a topic's message and returns it, nil if there was none.
func (r *Retained) Delete(topic string) *message.Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.find(topic)
	if l == nil || l.msg == nil {
		return nil
	}
	return r.drop(l)
}

// Get is a topic's message, nil if there is none or it has expired at now.
func (r *Retained) Get(topic string, now time.Time) *message.Message {
	r.mu.RLock()
	defer r.mu.RUnlock()
	if l := r.find(topic); l != nil && l.msg != nil && !l.msg.Expired(now) {
		return l.msg
	}
	return nil
}

// Sweep forgets what has expired at now, at most limit messages (0 = all), and
// calls gone for each, without a lock, so that a store can forget it too.
func (r *Retained) Sweep(now time.Time, limit int, gone func(*message.Message)) int {
	var list []*message.Message
	r.mu.Lock()
	for len(r.expiry) > 0 && !now.Before(r.expiry[0].at) && (limit <= 0 || len(list) < limit) {
		e, _ := heap.Pop(&r.expiry).(expiring)
		if e.l.msg != nil && e.l.stamp == e.stamp {
			list = append(list, r.drop(e.l))
		}
	}
	r.mu.Unlock()
	for _, m := range list {
		gone(m)
	}
	return len(list)
}

func (r *Retained) find(topic string) *level {
	l := &r.root
	for name := range strings.SplitSeq(topic, "/") {
		if l = l.child(name); l == nil {
			return nil
		}
	}
	return l
}

// drop takes a level's message away, and from the tree what has become empty.
func (r *Retained) drop(l *level) *message.Message {
	m := l.msg
	l.msg = nil
	r.count(m, -1)
	for l.parent != nil && l.msg == nil && len(l.kids) == l.gaps {
		p := l.parent
		p.remove(l)
		l = p
	}
	if len(r.expiry) > 64 && len(r.expiry) > 4*r.n {
		r.expiry.tidy()
	}
	return m
}

func (r *Retained) count(m *message.Message, sign int) {
	size := len(m.Topic) + len(m.Payload) + len(m.Props.ContentType) + len(m.Props.ResponseTopic) + len(m.Props.Correlation)
	for _, u := range m.Props.User {
		size += len(u.Key) + len(u.Value)
	}
	r.n += sign
	r.bytes += int64(sign * size)
}

func (l *level) child(name string) *level {
	if l.by != nil {
		return l.by[name]
	}
	for _, k := range l.kids {
		if k.l != nil && k.l.name == name {
			return k.l
		}
	}
	return nil
}

func (l *level) grow(name string, stamp *uint64) *level {
	if c := l.child(name); c != nil {
		return c
	}
	*stamp++
	c := &level{parent: l, name: name, seq: *stamp}
	l.kids = append(l.kids, kid{c.seq, c})
	switch {
	case l.by != nil:
		l.by[name] = c
	case len(l.kids) > short:
		l.by = make(map[string]*level, 2*short)
		for _, k := range l.kids {
			if k.l != nil {
				l.by[k.l.name] = k.l
			}
		}
	}
	return c
}

func (l *level) remove(c *level) {
	i := l.after(c.seq - 1)
	l.kids[i].l = nil
	l.gaps++
	delete(l.by, c.name)
	if l.gaps > len(l.kids)/2 {
		l.kids = slices.DeleteFunc(l.kids, func(k kid) bool { return k.l == nil })
		l.gaps = 0
	}
}

// after is the place in kids of the first one with a seq above seq.
func (l *level) after(seq uint64) int {
	i, _ := slices.BinarySearchFunc(l.kids, seq+1, func(k kid, want uint64) int {
		switch {
		case k.seq < want:
			return -1
		case k.seq > want:
			return 1
		}
		return 0
	})
	return i
}

// expiries is a heap of what expires, soonest first; entries whose message has been
// replaced or deleted stay until they are due or prevail.
type expiries []expiring

type expiring struct {
	at    time.Time
	l     *level
	stamp uint64
}

func (e expiries) Len() int           { return len(e) }
func (e expiries) Less(i, j int) bool { return e[i].at.Before(e[j].at) }
func (e expiries) Swap(i, j int)      { e[i], e[j] = e[j], e[i] }

// Push is for container/heap.
func (e *expiries) Push(v any) {
	if x, ok := v.(expiring); ok {
		*e = append(*e, x)
	}
}

// Pop is for container/heap.
func (e *expiries) Pop() any {
	last := len(*e) - 1
	x := (*e)[last]
	(*e)[last] = expiring{}
	*e = (*e)[:last]
	return x
}

// tidy drops the entries that no longer mean anything.
func (e *expiries) tidy() {
	*e = slices.DeleteFunc(*e, func(x expiring) bool { return x.l.msg == nil || x.l.stamp != x.stamp })
	heap.Init(e)
}
