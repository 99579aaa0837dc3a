package broker

import (
	"sync"
	"time"
)

// bucket lets so many things a second through, a second's worth of them at once. A
// nil bucket lets everything through.
type bucket struct {
	per float64 // tokens a second

	mu     sync.Mutex
	tokens float64
	at     time.Time // when tokens was true
}

// newBucket makes a full bucket; nil for 0, which is no limit.
func newBucket(perSecond float64) *bucket {
	if perSecond <= 0 {
		return nil
	}
	return &bucket{per: perSecond, tokens: max(1, perSecond)}
}

// fill adds what has come in since the last look. Call it with the lock held.
func (b *bucket) fill(now time.Time) {
	if passed := now.Sub(b.at).Seconds(); passed > 0 {
		if !b.at.IsZero() {
			b.tokens = min(b.most(), b.tokens+passed*b.per)
		}
		b.at = now
	}
}

func (b *bucket) most() float64 { return max(1, b.per) }

// take takes one token and reports whether there was one.
func (b *bucket) take(now time.Time) bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	if b.tokens < 1 {
		return false
	}
	b.tokens--
	return true
}

// spend takes n tokens that there may not be: wait says how long that lasts.
func (b *bucket) spend(n int, now time.Time) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	b.tokens -= float64(n)
}

// wait is how long it takes until there are least tokens.
func (b *bucket) wait(least float64, now time.Time) time.Duration {
	if b == nil {
		return 0
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	return time.Duration((least - b.tokens) / b.per * float64(time.Second))
}

// full reports whether nothing was taken lately.
func (b *bucket) full(now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.fill(now)
	return b.tokens >= b.most()
}

// buckets is a bucket for each of many keys, forgotten when it is full again.
type buckets struct {
	per   float64
	mu    sync.Mutex
	all   map[string]*bucket
	sweep int // keys at which the full ones are forgotten
}

// sweepBuckets is the least number of keys that are looked through.
const sweepBuckets = 1000

func newBuckets(perSecond float64) *buckets {
	if perSecond <= 0 {
		return nil
	}
	return &buckets{per: perSecond, all: map[string]*bucket{}, sweep: sweepBuckets}
}

// take takes one token of a key's and reports whether there was one.
func (s *buckets) take(key string, now time.Time) bool {
	if s == nil {
		return true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.all[key]
	if b == nil {
		if len(s.all) >= s.sweep {
			for k, old := range s.all {
				if old.full(now) {
					delete(s.all, k)
				}
			}
			s.sweep = max(sweepBuckets, 2*len(s.all))
		}
		b = newBucket(s.per)
		s.all[key] = b
	}
	return b.take(now)
}

// rates are the limits that all clients share.
type rates struct {
	connects, publishes, retained *bucket
	queued                        *bucket  // messages kept for clients that are away
	clients                       *buckets // connects by client identifier
}

func newRates(l *RateLimits) rates {
	return rates{
		connects: newBucket(l.ConnectRate), publishes: newBucket(l.PublishRate), retained: newBucket(l.RetainedRate),
		queued: newBucket(l.QueuedRate), clients: newBuckets(l.ConnectRatePerClient),
	}
}
