package emulator

import (
	"sync"
	"time"
)

// call is one invocation on its way. It belongs to the goroutine in Invoke; the
// fields from start on are guarded by Function.mu while an environment has it.
type call struct {
	inv  Invocation
	done chan outcome // of capacity 1: whoever takes the call from its place sends once
	// stream carries the chunks of a streamed response; nil if nobody wants them.
	stream *chunkPipe
	timer  *time.Timer // bounds the wait in the queue

	start    time.Time
	deadline time.Time
	cold     bool

	queued     bool
	queuedAt   time.Time
	prev, next *call
}

// outcome is how a call ended: err, or a payload.
type outcome struct {
	payload   []byte
	errorType string // not empty: payload is an error document
	tail      []byte
	start     time.Time
	duration  time.Duration
	cold      bool
	err       error
}

// take prepares a call from the pool.
func (f *Function) take(inv *Invocation) *call {
	c, ok := f.calls.Get().(*call)
	if !ok { // the pool makes nothing else
		c = &call{done: make(chan outcome, 1)}
	}
	c.inv = *inv
	c.cold = false
	if inv.Stream != nil {
		c.stream = &chunkPipe{chunks: make(chan []byte), gone: make(chan struct{})}
	}
	return c
}

// put gives a call back whose outcome has been received, or which never left the
// queue: nobody else holds it. One that streams may still be held by a connection.
func (f *Function) put(c *call) {
	if c.stream != nil {
		return
	}
	c.inv = Invocation{}
	f.calls.Put(c)
}

// chunkPipe hands the chunks of a response from a connection to Invoke.
type chunkPipe struct {
	chunks chan []byte
	gone   chan struct{} // closed when Invoke has returned
	once   sync.Once
}

// send offers a chunk; false if nobody listens any more.
func (p *chunkPipe) send(chunk []byte) bool {
	select {
	case p.chunks <- chunk:
		return true
	case <-p.gone:
		return false
	}
}

func (p *chunkPipe) close() { p.once.Do(func() { close(p.gone) }) }

// callQueue is a first-in first-out list from whose middle calls can leave.
type callQueue struct {
	first, last *call
	length      int
}

func (q *callQueue) push(c *call) {
	c.queued, c.prev, c.next = true, q.last, nil
	if q.last == nil {
		q.first = c
	} else {
		q.last.next = c
	}
	q.last = c
	q.length++
}

func (q *callQueue) pop() *call {
	c := q.first
	if c != nil {
		q.remove(c)
	}
	return c
}

func (q *callQueue) remove(c *call) {
	if c.prev == nil {
		q.first = c.next
	} else {
		c.prev.next = c.next
	}
	if c.next == nil {
		q.last = c.prev
	} else {
		c.next.prev = c.prev
	}
	c.queued, c.prev, c.next = false, nil, nil
	q.length--
}
