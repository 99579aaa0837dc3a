package broker

import (
	"strconv"
	"testing"
	"time"
)

func TestBucket(t *testing.T) {
	now := time.Unix(100, 0)
	b := newBucket(10)
	taken := 0
	for range 30 {
		if b.take(now) {
			taken++
		}
	}
	if taken != 10 {
		t.Errorf("%d at once, want a second's worth, 10", taken)
	}
	if w := b.wait(1, now); w != 100*time.Millisecond {
		t.Errorf("the next one comes in %v, want 100ms", w)
	}
	now = now.Add(250 * time.Millisecond)
	for i, want := range []bool{true, true, false} {
		if b.take(now) != want {
			t.Errorf("a quarter of a second is not worth 2: take %d", i)
		}
	}
	b.spend(20, now)
	if w := b.wait(0, now); w < 1900*time.Millisecond || w > 2*time.Second {
		t.Errorf("a debt of 20 lasts %v, want 2 s", w)
	}
	if now = now.Add(time.Hour); b.wait(10, now) > 0 || !b.full(now) {
		t.Error("it does not fill up")
	}
	if slow := newBucket(0.5); !slow.take(now) || slow.take(now.Add(time.Second)) || !slow.take(now.Add(2*time.Second)) {
		t.Error("one in two seconds")
	}
	if none := newBucket(0); !none.take(now) || none.wait(1, now) != 0 {
		t.Error("no limit is none")
	}
}

// A key whose bucket is full again is forgotten: millions of client identifiers do
// not stay in memory.
func TestBucketsForget(t *testing.T) {
	now := time.Unix(100, 0)
	s := newBuckets(1)
	for i := range 10 * sweepBuckets {
		if now = now.Add(2 * time.Millisecond); !s.take(strconv.Itoa(i), now) {
			t.Fatal("a key took from another's bucket")
		}
		if s.take(strconv.Itoa(i), now) {
			t.Fatal("a second one within a second")
		}
	}
	if len(s.all) > 2*sweepBuckets {
		t.Errorf("%d keys are remembered", len(s.all))
	}
}
