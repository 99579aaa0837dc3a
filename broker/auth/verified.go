package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"
)

// digest stands for a user, the stored hash and the password that matched it.
type digest [sha256.Size]byte

// verified remembers for a short time which passwords were right, so that a fleet that
// reconnects costs a microsecond each and not 20 ms. It keeps no password: an entry is
// HMAC-SHA-256 over user, stored hash and password, with a key that this process drew
// and never shows. A changed password has another hash and is not found. Whoever can
// read the process's memory could guess from it at a few million tries a second; whoever
// can do that also sees every password as it arrives.
type verified struct {
	key [32]byte
	ttl time.Duration
	now func() time.Time

	mu    sync.Mutex
	until map[digest]time.Time
}

// maxVerified is how many passwords are remembered; each is some 100 bytes.
const maxVerified = 50_000

func newVerified(ttl time.Duration, now func() time.Time) *verified {
	v := &verified{ttl: ttl, now: now, until: make(map[digest]time.Time)}
	_, _ = rand.Read(v.key[:]) // it never fails
	return v
}

func (v *verified) digest(user string, stamp [sha256.Size]byte, password []byte) digest {
	h := hmac.New(sha256.New, v.key[:])
	var length [8]byte
	binary.BigEndian.PutUint64(length[:], uint64(len(user)))
	h.Write(length[:])
	h.Write([]byte(user))
	h.Write(stamp[:])
	h.Write(password)
	var d digest
	h.Sum(d[:0])
	return d
}

func (v *verified) has(d digest) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	until, ok := v.until[d]
	if ok && !until.After(v.now()) {
		delete(v.until, d)
		return false
	}
	return ok
}

func (v *verified) add(d digest) {
	v.mu.Lock()
	defer v.mu.Unlock()
	now := v.now()
	if len(v.until) >= maxVerified {
		prune(v.until, now, maxVerified/2)
	}
	v.until[d] = now.Add(v.ttl)
}

// prune makes room in a table of what is kept until a time: what is over goes, and, if
// that is not enough, any.
func prune[K comparable](table map[K]time.Time, now time.Time, keep int) {
	for k, until := range table {
		if !until.After(now) {
			delete(table, k)
		}
	}
	for k := range table {
		if len(table) <= keep {
			return
		}
		delete(table, k)
	}
}

// friends remembers from which addresses users have logged in.
type friends struct {
	now func() time.Time

	mu    sync.Mutex
	until map[userKey]time.Time
}

const (
	// friendship is how long an address is remembered.
	friendship = 7 * 24 * time.Hour
	// maxFriends is how many are.
	maxFriends = 50_000
)

func newFriends(now func() time.Time) *friends {
	return &friends{now: now, until: make(map[userKey]time.Time)}
}

func (f *friends) has(k userKey) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.until[k].After(f.now())
}

func (f *friends) add(k userKey) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	if _, ok := f.until[k]; !ok && len(f.until) >= maxFriends {
		prune(f.until, now, maxFriends/2)
	}
	f.until[k] = now.Add(friendship)
}
