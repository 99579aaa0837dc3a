package grip

import (
	"container/list"
	"sync"
	"sync/atomic"
	"time"

	"github.com/topicwire/topicwire/bridge/grip/wire"
)

// The bounds of the sequencer.
const (
	waitPrevious = 5 * time.Second // how long an item waits for the one before it
	mostWaiting  = 100             // items of one channel that wait
	mostChannels = 100_000         // channels whose last id is remembered
)

// sequencer puts the items of a channel in the order of their ids: one whose prev-id is
// not the channel's last id waits for the missing one, one whose id has been seen is
// dropped. Items without an id pass. What it remembers is bounded: the channel that has
// been quiet longest is forgotten first.
type sequencer struct {
	deliver func(i *sequenced)

	mu       sync.Mutex
	channels map[string]*list.Element // of *channelOrder
	recent   list.List                // the last used in front
	seen     seenIDs
	closed   bool
	// For the metrics.
	duplicates, waited, late int64
}

// sequenced is an item with what its delivery needs.
type sequenced struct {
	*wire.Item
	from  publisher
	since time.Time // from then on it waits for the one before it
	err   error     // of its delivery
	pub   publication
	// delivered is set last: from then on the rest may be read.
	delivered atomic.Bool
}

// channelOrder is what is known of one channel.
type channelOrder struct {
	name    string
	last    string // id of the last item; "" = none yet
	out     string // id of the last one that has been delivered
	waiting []*sequenced
	timer   *time.Timer // for the first that waits

	turn sync.Mutex // held while items of the channel are delivered, so that they keep their order
}

func newSequencer(deliver func(i *sequenced)) *sequencer {
	return &sequencer{deliver: deliver, channels: make(map[string]*list.Element)}
}

// last is the id of the last item of a channel that has been delivered: a holder that
// was bound before either has it or gets it.
func (s *sequencer) last(channel string) (id string, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.channels[channel]
	if !ok {
		return "", false
	}
	c, _ := e.Value.(*channelOrder)
	return c.out, c.out != ""
}

// channel finds or makes a channel's entry. Call it with the lock held.
func (s *sequencer) channel(name string) *channelOrder {
	if e, ok := s.channels[name]; ok {
		s.recent.MoveToFront(e)
		c, _ := e.Value.(*channelOrder)
		return c
	}
	for s.recent.Len() >= mostChannels {
		e := s.recent.Back()
		c, _ := e.Value.(*channelOrder)
		if len(c.waiting) > 0 {
			break
		}
		s.recent.Remove(e)
		delete(s.channels, c.name)
	}
	c := &channelOrder{name: name}
	s.channels[name] = s.recent.PushFront(c)
	return c
}

// put delivers an item, now or when its turn comes.
func (s *sequencer) put(i *sequenced, now time.Time) {
	if i.ID == "" || i.NoSeq {
		s.finish(i)
		return
	}
	s.mu.Lock()
	if !s.seen.add(i.Channel, i.ID, now) {
		s.duplicates++
		s.mu.Unlock()
		i.delivered.Store(true)
		return
	}
	c := s.channel(i.Channel)
	if i.HasPrevID && c.last != "" && i.PrevID != c.last && len(c.waiting) < mostWaiting && !s.closed {
		s.waited++
		i.since = now
		c.waiting = append(c.waiting, i)
		if c.timer == nil {
			c.timer = time.AfterFunc(waitPrevious, func() { s.giveUp(c) })
		} else if len(c.waiting) == 1 {
			c.timer.Reset(waitPrevious)
		}
		s.mu.Unlock()
		return
	}
	ready := c.ready(i)
	s.mu.Unlock()
	s.run(c, ready)
}

// ready is an item and those that have waited for it, in order.
func (c *channelOrder) ready(i *sequenced) []*sequenced {
	list := []*sequenced{i}
	c.last = i.ID
	for n := 0; n < len(c.waiting); n++ {
		if w := c.waiting[n]; w.PrevID == c.last {
			c.last = w.ID
			list = append(list, w)
			c.waiting = append(c.waiting[:n], c.waiting[n+1:]...)
			n = -1
		}
	}
	return list
}

// giveUp delivers what has waited long enough for something that did not come.
func (s *sequencer) giveUp(c *channelOrder) {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return
	}
	var ready []*sequenced
	now := time.Now()
	for len(c.waiting) > 0 {
		i := c.waiting[0]
		if left := waitPrevious - now.Sub(i.since); left > 0 {
			c.timer.Reset(left)
			break
		}
		c.waiting = c.waiting[1:]
		s.late++
		ready = append(ready, c.ready(i)...)
	}
	s.mu.Unlock()
	s.run(c, ready)
}

func (s *sequencer) run(c *channelOrder, ready []*sequenced) {
	c.turn.Lock()
	defer c.turn.Unlock()
	for _, i := range ready {
		s.finish(i)
		s.mu.Lock()
		if i.err == nil {
			c.out = i.ID
		} else {
			s.failed(c, i)
		}
		s.mu.Unlock()
	}
}

// failed forgets an item that was not published: its publisher is told, and tries again.
// Call it with the lock held.
func (s *sequencer) failed(c *channelOrder, i *sequenced) {
	s.seen.forget(i.Channel, i.ID)
	if c.last == i.ID {
		c.last = c.out
	}
}

func (s *sequencer) finish(i *sequenced) {
	s.deliver(i)
	i.delivered.Store(true)
}

// close drops what waits: there is nobody left to deliver to.
func (s *sequencer) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for e := s.recent.Front(); e != nil; e = e.Next() {
		c, _ := e.Value.(*channelOrder)
		if c.timer != nil {
			c.timer.Stop()
		}
		c.waiting = nil
	}
}
