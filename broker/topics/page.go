package topics

import (
	"slices"
	"strings"
	"time"

	"github.com/topicwire/topicwire/message"
)

// pageStep is how many messages are looked at in one go.
const pageStep = 256

// Page is the first n messages whose topics come behind after, in the order of their
// bytes, without those that have expired at now and those below the first level hidden. It looks at every message and holds
// no lock for long: what is set or deleted meanwhile may be missing or not.
func (r *Retained) Page(after string, n int, now time.Time, hidden string) []*message.Message {
	if n <= 0 {
		return nil
	}
	p := page{after: after, n: n}
	for _, filter := range r.roots(hidden) {
		c := r.Match(filter)
		var step [pageStep]*message.Message
		for k := pageStep; k == pageStep; {
			k = c.Next(now, step[:])
			for _, m := range step[:k] {
				p.add(m)
			}
		}
	}
	return p.cut()
}

// roots are the filters that match everything together: a wildcard in front stands for
// no level that begins with $.
func (r *Retained) roots(hidden string) []string {
	r.mu.RLock()
	defer r.mu.RUnlock()
	filters := []string{"#"}
	for _, k := range r.root.kids {
		if k.l != nil && strings.HasPrefix(k.l.name, "$") && k.l.name != hidden {
			filters = append(filters, k.l.name+"/#")
		}
	}
	return filters
}

// page gathers at most twice as many messages as are wanted.
type page struct {
	after string
	n     int
	kept  []*message.Message
	bound string // topics from here on come too late; empty while there is room
}

func (p *page) add(m *message.Message) {
	if m.Topic <= p.after || p.bound != "" && m.Topic >= p.bound {
		return
	}
	p.kept = append(p.kept, m)
	if len(p.kept) >= 2*p.n {
		p.cut()
		p.bound = p.kept[p.n-1].Topic
	}
}

func (p *page) cut() []*message.Message {
	slices.SortFunc(p.kept, func(a, b *message.Message) int { return strings.Compare(a.Topic, b.Topic) })
	if len(p.kept) > p.n {
		clear(p.kept[p.n:])
		p.kept = p.kept[:p.n]
	}
	return p.kept
}
