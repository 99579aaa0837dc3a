package session_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/topicwire/topicwire/broker/session"
)

// What waits for a shared subscription is counted over all its members, whichever way it
// comes and goes; the newest are dropped.
func TestTheQueueOfAShareIsBounded(t *testing.T) {
	env, now := newEnv(session.Config{MaxShareQueued: 3})
	one, two := session.New("one", env, true), session.New("two", env, true)
	d := session.Delivery{QoS: 1, Share: share}
	for i, c := range []struct {
		s    *session.Session
		via  string
		want session.Outcome
	}{
		{one, share, session.Queued},
		{two, share, session.Queued},
		{one, share, session.Queued},
		{two, share, session.Dropped},
		{two, "", session.Queued},
		{two, "$share/other/a", session.Queued},
	} {
		if got := deliver(c.s, *now, fmt.Sprint(i), session.Delivery{QoS: 1, Share: c.via}); got != c.want {
			t.Errorf("message %d: outcome %v, want %v", i, got, c.want)
		}
	}
	if !env.ShareIsFull(share) || env.ShareIsFull("$share/other/a") || env.Counters.DroppedQueue.Load() != 1 {
		t.Errorf("full: %v, %d dropped", env.ShareIsFull(share), env.Counters.DroppedQueue.Load())
	}
	l := &link{}
	one.Attach(l, session.Params{Version: 4, ReceiveMaximum: 1}) // one of its two is sent
	if env.ShareIsFull(share) || deliver(two, *now, "", d) != session.Queued {
		t.Error("no place was free when one was sent")
	}
	loose := two.TakeShared(func(s string) bool { return s == share })
	if len(loose) != 2 || env.ShareIsFull(share) {
		t.Error("no place was free when some were taken")
	}
	two.PutBack(loose)
	if !env.ShareIsFull(share) {
		t.Error("what was put back does not count")
	}
	two.End()
	two.End()
	one.Withhold(func(string) bool { return false })
	three := session.New("three", env, true)
	for range 3 {
		if deliver(three, *now, "", d) != session.Queued {
			t.Error("not every place was free")
		}
	}
}

// Beyond the rate, what comes for clients that are away is dropped; for those that are
// there, but behind, it waits.
func TestTheRateForClientsThatAreAway(t *testing.T) {
	env, now := newEnv(session.Config{})
	left := 2
	env.Keeps = func(time.Time) bool { left--; return left >= 0 }
	s := session.New("c", env, true)
	d := session.Delivery{QoS: 1}
	for i, want := range []session.Outcome{session.Queued, session.Queued, session.Dropped} {
		if got := deliver(s, *now, "", d); got != want {
			t.Errorf("message %d: outcome %v, want %v", i, got, want)
		}
	}
	l := &link{congested: true}
	s.Attach(l, session.Params{Version: 4, ReceiveMaximum: 10})
	if got := deliver(s, *now, "", d); got != session.Queued {
		t.Errorf("to a client that is there: %v", got)
	}
	if env.Counters.DroppedRate.Load() != 1 || s.Stats().Queued != 3 {
		t.Errorf("%d dropped, %d queued", env.Counters.DroppedRate.Load(), s.Stats().Queued)
	}
}
