package session

import "github.com/topicwire/topicwire/broker/store"

// item is one delivery that waits, or is under way.
type item struct {
	store.Delivery
	seq  uint64 // its number in the session; 0 while it has none
	kept bool   // whether the store has it
	dup  bool   // may have been sent before a restart
	// confirm is told the reason code of the client's PUBACK; nil if nobody waits for it.
	confirm func(reason byte)
}

// overhead is what a queued message costs besides its topic and payload, roughly.
const overhead = 128

func (it *item) size() int64 {
	return int64(len(it.Message.Payload)+len(it.Message.Topic)) + overhead
}

// queue is a ring of items in order, with the bytes they hold.
type queue struct {
	ring  []item
	head  int
	n     int
	bytes int64
}

func (q *queue) at(i int) *item { return &q.ring[(q.head+i)&(len(q.ring)-1)] }

func (q *queue) push(it item) {
	q.grow()
	*q.at(q.n) = it
	q.n++
	q.bytes += it.size()
}

// unshift puts an item in front of all others.
func (q *queue) unshift(it item) {
	q.grow()
	q.head = (q.head - 1) & (len(q.ring) - 1)
	q.ring[q.head] = it
	q.n++
	q.bytes += it.size()
}

func (q *queue) pop() item {
	it := q.ring[q.head]
	q.ring[q.head] = item{}
	q.head = (q.head + 1) & (len(q.ring) - 1)
	q.n--
	q.bytes -= it.size()
	if q.n == 0 && len(q.ring) > 64 {
		*q = queue{} // a long queue gives its memory back
	}
	return it
}

// popLast takes the last item out again.
func (q *queue) popLast() item {
	q.n--
	it := *q.at(q.n)
	*q.at(q.n) = item{}
	q.bytes -= it.size()
	return it
}

func (q *queue) grow() {
	if q.n < len(q.ring) {
		return
	}
	ring := make([]item, max(8, 2*len(q.ring)))
	for i := range q.n {
		ring[i] = *q.at(i)
	}
	q.ring, q.head = ring, 0
}

// removeIf takes out every item that which names, in order.
func (q *queue) removeIf(which func(*item) bool) []item {
	var out []item
	for n := q.n; n > 0; n-- {
		it := q.pop()
		if which(&it) {
			out = append(out, it)
		} else {
			q.push(it)
		}
	}
	return out
}
