package grip

import (
	"sync"

	"github.com/topicwire/topicwire/message"
)

// window remembers what is published while a handler is asked about a request that it
// may want to be held: the handler has looked and found nothing new, and what comes
// before the hold is in force would be lost. It watches only while it is needed.
type window struct {
	watch func(f func(m *message.Message))
	find  func(m *message.Message) *publication
	lost  func()

	mu    sync.Mutex
	users int
	first uint64 // the number of seen[0]
	seen  []glimpse
	bytes int
}

// glimpse is a message that was published, and how.
type glimpse struct {
	m   *message.Message
	pub *publication
}

// The bounds of the window.
const (
	mostGlimpses     = 4096
	mostGlimpseBytes = 16 << 20
)

// open begins to watch and returns from where; see since.
func (w *window) open() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.users++; w.users == 1 {
		w.watch(w.add)
	}
	return w.first + uint64(len(w.seen))
}

// close ends what open has begun.
func (w *window) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.users--; w.users == 0 {
		w.watch(nil)
		w.first += uint64(len(w.seen))
		w.seen, w.bytes = nil, 0
	}
}

func (w *window) add(m *message.Message) {
	g := glimpse{m: m}
	if pub := w.find(m); pub != nil {
		g.pub = &publication{item: pub.item} // the publisher's own counts are its own
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.users == 0 {
		return
	}
	w.seen = append(w.seen, g)
	w.bytes += sizeOf(m)
	if len(w.seen) <= mostGlimpses && w.bytes <= mostGlimpseBytes {
		return
	}
	n := len(w.seen)/2 + 1
	for i := range n {
		w.bytes -= sizeOf(w.seen[i].m)
	}
	w.seen = append([]glimpse(nil), w.seen[n:]...)
	w.first += uint64(n)
}

// since returns what was published from that point on.
func (w *window) since(from uint64) []glimpse {
	w.mu.Lock()
	defer w.mu.Unlock()
	if from < w.first {
		w.lost()
		from = w.first
	}
	return append([]glimpse(nil), w.seen[from-w.first:]...)
}
