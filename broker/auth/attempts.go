package auth

import (
	"net/netip"
	"sync"
	"time"
)

// attempts counts wrong attempts by key and says who has to wait. Each key is a leaky
// bucket: an attempt fills it by one, time empties it by one every leak. A key whose
// bucket is over the brim waits, twice as long with every attempt beyond.
// What is remembered is bounded: see forget.
type attempts[K comparable] struct {
	most    int // -1 = no limit
	wait    time.Duration
	maxWait time.Duration
	now     func() time.Time

	mu    sync.Mutex
	table map[K]*attempt
}

type attempt struct {
	level float64   // of the bucket, at the time at
	at    time.Time // of the last wrong attempt
	until time.Time // nothing is tried before
}

const (
	// leak is how long it takes until one wrong attempt is forgotten.
	leak = 10 * time.Second
	// maxAttempts is how many keys are remembered; each is some 200 bytes.
	maxAttempts = 10_000
)

func newAttempts[K comparable](most int, c BruteForceConfig, now func() time.Time) *attempts[K] {
	return &attempts[K]{most: most, wait: c.Wait, maxWait: c.MaxWait, now: now, table: make(map[K]*attempt)}
}

// blocked is how long k still has to wait; 0 = not at all.
func (t *attempts[K]) blocked(k K) time.Duration {
	if t.most < 0 {
		return 0
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	a := t.table[k]
	if a == nil {
		return 0
	}
	return max(0, a.until.Sub(t.now()))
}

// failed counts a wrong attempt of k's.
func (t *attempts[K]) failed(k K) {
	if t.most < 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.now()
	a := t.table[k]
	if a == nil {
		if len(t.table) >= maxAttempts {
			t.forget(now)
		}
		a = &attempt{}
		t.table[k] = a
	}
	a.level, a.at = a.leaked(now)+1, now
	if over := int(a.level) - t.most; over >= 0 {
		wait := t.maxWait
		if over < 32 {
			wait = min(t.maxWait, t.wait<<over)
		}
		a.until = now.Add(wait)
	}
}

// succeeded forgets the wrong attempts of k's.
func (t *attempts[K]) succeeded(k K) {
	if t.most < 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.table, k)
}

// leaked is what is left in the bucket. While its key has to wait, nothing leaks: the
// wait would shorten the next one.
func (a *attempt) leaked(now time.Time) float64 {
	since := a.at
	if a.until.After(since) {
		since = a.until
	}
	return max(0, a.level-max(0, now.Sub(since).Seconds())/leak.Seconds())
}

// forget makes room: keys whose bucket is empty go, then those that need not wait,
// then any. Somebody who has so many addresses is not held up by limits for each, and
// memory has to be bounded.
func (t *attempts[K]) forget(now time.Time) {
	for _, due := range []func(*attempt) bool{
		func(a *attempt) bool { return a.leaked(now) == 0 && !a.until.After(now) },
		func(a *attempt) bool { return !a.until.After(now) },
		func(*attempt) bool { return true },
	} {
		for k, a := range t.table {
			if due(a) {
				delete(t.table, k)
			}
			if len(t.table) <= maxAttempts/2 {
				return
			}
		}
	}
}

// network is what counts as one address: an IPv4 address or an IPv6 /64. ok is false
// for loopback, where a proxy may stand for everybody, and for what is no IP address.
func network(addr netip.Addr) (_ netip.Addr, ok bool) {
	addr = addr.Unmap().WithZone("")
	switch {
	case !addr.IsValid() || addr.IsLoopback():
		return addr, false
	case addr.Is4():
		return addr, true
	}
	p, err := addr.Prefix(64)
	return p.Addr(), err == nil
}
