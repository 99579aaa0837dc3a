package auth

import (
	"container/heap"
	"net/netip"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// usedSignatures are the signatures that have let somebody in. They are the Authenticator's
// and not the method's, so that a changed configuration forgets none.
type usedSignatures struct {
	handshakes *signatures // presigned URLs, and WebSocket handshakes however they are signed
	requests   *signatures // HTTP requests that are signed in their headers: many more
}

func newUsedSignatures(m *metrics) *usedSignatures {
	return &usedSignatures{newSignatures(m, "handshake"), newSignatures(m, "request")}
}

// signatures remembers which signatures have been used, and from which address first, as
// long as they are good. It is what keeps whoever has read a presigned URL from using it.
//
// It is bounded: while maxSignatures are remembered, the access key that has most of them
// forgets those that expire first, and a counter says so. So a key that signs
// a thousand requests a second shortens its own protection and nobody else's. A signature
// gets here only when it is right: without a key nobody can fill the table.
type signatures struct {
	most      int // how many are remembered
	gauge     prometheus.Gauge
	forgotten prometheus.Counter

	mu   sync.Mutex
	keys map[string]*keySignatures // by access key ID
	n    int                       // of all keys
}

// keySignatures are the signatures of one access key.
type keySignatures struct {
	first map[signatureID]netip.Addr
	due   dueSignatures
}

// signatureID stands for a signature: half of it is as hard to find again as all of it.
// It is made of what was signed, so that other spellings of a URL have the same one.
type signatureID [16]byte

const (
	// maxSignatures is how many are remembered of a kind; each is some 150 bytes.
	maxSignatures = 100_000
	// makesRoom is how many go at once when there is no room.
	makesRoom = 64
)

func newSignatures(m *metrics, kind string) *signatures {
	return &signatures{
		most: maxSignatures, gauge: m.signatures.WithLabelValues(kind), forgotten: m.forgotten.WithLabelValues(kind),
		keys: make(map[string]*keySignatures),
	}
}

// use takes note that a signature of a key, good until a time, was used from an address.
// If it was used before, first is from where. full says that there was no room, and that
// strict forbids to forget another one: the signature is not remembered.
func (s *signatures) use(key string, mac []byte, from netip.Addr, until, now time.Time, strict bool) (first netip.Addr, again, full bool) {
	id := signatureID(mac)
	s.mu.Lock()
	defer s.mu.Unlock()
	defer func() { s.gauge.Set(float64(s.n)) }()
	if k := s.keys[key]; k != nil {
		s.n -= k.expire(now)
		if first, again = k.first[id]; again {
			return first, true, false
		}
	}
	if s.n >= s.most && !s.makeRoom(now, strict) {
		return netip.Addr{}, false, true
	}
	k := s.keys[key]
	if k == nil {
		k = &keySignatures{first: make(map[signatureID]netip.Addr)}
		s.keys[key] = k
	}
	k.first[id] = from
	heap.Push(&k.due, dueSignature{id, until})
	s.n++
	return netip.Addr{}, false, false
}

// makeRoom forgets what has expired and, unless strict forbids it, what expires first of
// the key that has most.
func (s *signatures) makeRoom(now time.Time, strict bool) bool {
	var most *keySignatures
	for id, k := range s.keys {
		s.n -= k.expire(now)
		switch {
		case len(k.due) == 0:
			delete(s.keys, id)
		case most == nil || len(k.due) > len(most.due):
			most = k
		}
	}
	if s.n < s.most {
		return true
	}
	if strict || most == nil {
		return false
	}
	for range min(makesRoom, len(most.due)) {
		most.forget()
		s.n--
		s.forgotten.Inc()
	}
	return true
}

// expire forgets what is not good any more, and reports how many that were.
func (k *keySignatures) expire(now time.Time) (n int) {
	for ; len(k.due) > 0 && now.After(k.due[0].until); n++ {
		k.forget()
	}
	return n
}

// forget forgets the signature that expires first.
func (k *keySignatures) forget() {
	if due, ok := heap.Pop(&k.due).(dueSignature); ok {
		delete(k.first, due.id)
	}
}

// dueSignatures is a heap, the signature that expires first on top.
type dueSignatures []dueSignature

type dueSignature struct {
	id    signatureID
	until time.Time
}

func (d dueSignatures) Len() int           { return len(d) }
func (d dueSignatures) Less(i, j int) bool { return d[i].until.Before(d[j].until) }
func (d dueSignatures) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }

// Push is the heap's.
func (d *dueSignatures) Push(x any) {
	if s, ok := x.(dueSignature); ok {
		*d = append(*d, s)
	}
}

// Pop is the heap's.
func (d *dueSignatures) Pop() any {
	last := len(*d) - 1
	s := (*d)[last]
	*d = (*d)[:last]
	return s
}
