package topics

import (
	"strings"
	"time"

	"github.com/topicwire/topicwire/message"
)

// Cursor goes through the retained messages that match a filter, a few at a time
// and as slowly as its reader likes: it holds no lock and copies nothing between
// two calls of Next. It returns what was kept when it was made: a message that was
// set later has been delivered to the new subscription already, as any publish.
// A Cursor is for one goroutine.
type Cursor struct {
	r      *Retained
	levels []string
	before uint64 // stamps above are newer than the cursor
	stack  []frame
}

// frame is one level on the way down: where among its children the cursor is.
type frame struct {
	l     *level
	depth int    // the filter level that its children have to match
	last  uint64 // seq of the child visited last
}

// Match makes a cursor for a filter, of which a $share/ prefix is ignored.
func (r *Retained) Match(filter string) *Cursor {
	_, filter, _ = message.SplitShare(filter)
	c := &Cursor{r: r, levels: strings.Split(filter, "/")}
	r.mu.RLock()
	defer r.mu.RUnlock()
	c.before = r.stamp
	c.stack = append(c.stack, frame{l: &r.root})
	return c
}

// stepsAtOnce bounds how long Next keeps others from changing the messages: a filter may
// match few of very many.
const stepsAtOnce = 1000

// Next fills dst with the next messages that have not expired at now and returns
// how many it found; fewer than len(dst) means that there are no more.
func (c *Cursor) Next(now time.Time, dst []*message.Message) int {
	n := 0
	for n < len(dst) && len(c.stack) > 0 {
		n += c.some(now, dst[n:])
	}
	return n
}

// some is Next as far as one hold of the lock goes.
func (c *Cursor) some(now time.Time, dst []*message.Message) int {
	c.r.mu.RLock()
	defer c.r.mu.RUnlock()
	n := 0
	for range stepsAtOnce {
		if n == len(dst) || len(c.stack) == 0 {
			break
		}
		l := c.step()
		if l == nil || l.msg == nil || l.stamp > c.before || l.msg.Expired(now) {
			continue
		}
		dst[n] = l.msg
		n++
	}
	return n
}

// step moves on by one level of the tree and returns it if its topic matches.
func (c *Cursor) step() *level {
	f := &c.stack[len(c.stack)-1]
	if f.depth == len(c.levels) {
		c.pop()
		return nil
	}
	want := c.levels[f.depth]
	if want != "+" && want != "#" {
		l := f.l.child(want)
		if f.depth++; l == nil {
			c.pop()
			return nil
		}
		// There is one such child, so it takes its parent's place.
		c.stack[len(c.stack)-1] = frame{l: l, depth: f.depth}
		return c.matching(l, f.depth)
	}
	i := f.l.after(f.last)
	for i < len(f.l.kids) && (f.l.kids[i].l == nil || f.l == &c.r.root && strings.HasPrefix(f.l.kids[i].l.name, "$")) {
		i++ // [MQTT-4.7.2-1]
	}
	if i == len(f.l.kids) || f.l.kids[i].seq > c.before {
		c.pop()
		return nil
	}
	k := f.l.kids[i]
	f.last = k.seq
	depth := f.depth
	if want == "+" {
		depth++
	}
	c.stack = append(c.stack, frame{l: k.l, depth: depth})
	return c.matching(k.l, depth)
}

// matching returns l if the filter is satisfied with the levels before depth: none
// are left, or only #, which stands for the parent as well.
func (c *Cursor) matching(l *level, depth int) *level {
	if depth == len(c.levels) || c.levels[depth] == "#" {
		return l
	}
	return nil
}

func (c *Cursor) pop() {
	c.stack[len(c.stack)-1] = frame{}
	c.stack = c.stack[:len(c.stack)-1]
}
