package grip

import (
	"context"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/message"
)

// Kept is a message in a history.
type Kept struct {
	// Seq is its place: later messages have higher ones, whatever their topics.
	Seq     uint64
	Message *message.Message
	// Item is how it was published, if that was over the door for it.
	Item *wire.Item
}

// History keeps messages so that a client that comes back can have those it has missed.
type History interface {
	// Append adds a message and returns its place. It is called by one goroutine at a time.
	Append(ctx context.Context, m *message.Message, i *wire.Item) (seq uint64, err error)
	// After returns the messages of topics that match one of the filters and come after
	// seq, the oldest first, at most so many. complete is false if some of them have
	// been forgotten.
	After(ctx context.Context, filters []string, seq uint64, most int) (list []Kept, complete bool, err error)
}

func seqID(seq uint64) string { return strconv.FormatUint(seq, 10) }

// parseSeq reads an id that seqID has made.
func parseSeq(id string) (uint64, bool) {
	n, err := strconv.ParseUint(id, 10, 64)
	return n, err == nil
}

// keeper keeps the messages of some topics. From the moment a message is kept until it
// has been delivered no other one is, so that every holder gets them in the order of
// their places: only so is "everything after N" what a client has not seen.
type keeper struct {
	filters []string
	history History
	failed  func(error)

	mu      sync.Mutex
	current atomic.Pointer[Kept] // being delivered
}

// keeps reports whether messages of a topic are kept.
func (k *keeper) keeps(topic string) bool {
	if k == nil {
		return false
	}
	for _, f := range k.filters {
		if message.Match(f, topic) {
			return true
		}
	}
	return false
}

// seqOf is the place of a message that is being delivered; 0 if it has none.
func (k *keeper) seqOf(m *message.Message) uint64 {
	if k == nil {
		return 0
	}
	if c := k.current.Load(); c != nil && c.Message == m {
		return c.Seq
	}
	return 0
}

// Keep puts a message into the history, if its topic has one. It is for the broker: see
// its method Keep. It returns nil for other messages.
func (d *Door) Keep(m *message.Message) (delivered func()) {
	k := d.history
	if !k.keeps(m.Topic) {
		return nil
	}
	var item *wire.Item
	if p := d.publicationOf(m); p != nil {
		item = p.item
	}
	k.mu.Lock()
	seq, err := k.history.Append(d.life, m, item)
	if err != nil {
		k.mu.Unlock()
		k.failed(err)
		return nil // it is delivered all the same, and is in no history
	}
	k.current.Store(&Kept{Seq: seq, Message: m, Item: item})
	return func() {
		k.current.Store(nil)
		k.mu.Unlock()
	}
}

// HasHistory reports whether any topic has one.
func (d *Door) HasHistory() bool { return d.history != nil }

// Memory is a History that lives as long as the process. What is beyond its bounds is
// forgotten, the oldest first.
type Memory struct {
	most  int
	bytes int
	age   time.Duration
	now   func() time.Time

	mu   sync.Mutex
	ring []Kept // from head on, in order
	head int
	held int    // bytes
	last uint64 // the place of the newest
	gone uint64 // the place of the newest that was forgotten
}

// The bounds of a history that sets none.
const (
	historyMessages = 10_000
	historyBytes    = 64 << 20
	historyAge      = time.Hour
)

// Bounds are the bounds of the history, the defaults where none are set.
func (c HistoryConfig) Bounds() (messages, bytes int, age time.Duration) {
	age = c.MaxAge
	if age <= 0 {
		age = historyAge
	}
	return orElse(c.MaxMessages, historyMessages), orElse(c.MaxBytes, historyBytes), age
}

// NewMemory makes an empty history. Places begin at the present time in microseconds, so
// that one that a client remembers from before a restart is not taken for a new one.
func NewMemory(c HistoryConfig) *Memory {
	h := &Memory{now: time.Now}
	h.most, h.bytes, h.age = c.Bounds()
	h.last = uint64(h.now().UnixMicro())
	h.gone = h.last
	return h
}

// Restore puts messages back that were kept before, the oldest first, before anything
// is appended. Their places stay, and new ones are higher.
func (h *Memory) Restore(list []Kept) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, k := range list {
		if i == 0 && k.Seq > 0 {
			h.gone = k.Seq - 1
		}
		h.ring = append(h.ring, k)
		h.held += sizeOf(k.Message)
		h.last = max(h.last, k.Seq)
	}
	h.trim()
}

// Append adds a message.
func (h *Memory) Append(_ context.Context, m *message.Message, i *wire.Item) (uint64, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last++
	h.ring = append(h.ring, Kept{h.last, m, i})
	h.held += sizeOf(m)
	h.trim()
	return h.last, nil
}

func sizeOf(m *message.Message) int {
	const overhead = 300
	return overhead + len(m.Topic) + len(m.Payload)
}

// trim forgets what is beyond the bounds. Call it with the lock held.
func (h *Memory) trim() {
	oldest := h.now().Add(-h.age)
	for n := len(h.ring) - h.head; n > 0; n-- {
		k := &h.ring[h.head]
		if n <= h.most && h.held <= h.bytes && !k.Message.Received.Before(oldest) {
			break
		}
		h.held -= sizeOf(k.Message)
		h.gone = k.Seq
		*k = Kept{}
		h.head++
	}
	if h.head > len(h.ring)/2 {
		n := copy(h.ring, h.ring[h.head:])
		clear(h.ring[n:])
		h.ring, h.head = h.ring[:n], 0
	}
}

// After returns what comes after a place.
func (h *Memory) After(_ context.Context, filters []string, seq uint64, most int) ([]Kept, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.trim()
	var list []Kept
	now := h.now()
	kept := h.ring[h.head:]
	first := sort.Search(len(kept), func(i int) bool { return kept[i].Seq > seq })
	for i := first; i < len(kept) && len(list) < most; i++ {
		k := &kept[i]
		if k.Message.Expired(now) {
			continue
		}
		for _, f := range filters {
			if message.Match(f, k.Message.Topic) {
				list = append(list, *k)
				break
			}
		}
	}
	return list, seq >= h.gone && seq <= h.last, nil
}
