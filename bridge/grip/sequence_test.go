package grip

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/topicwire/topicwire/bridge/grip/wire"
)

// sequenceOf is a sequencer and what it has delivered.
func sequenceOf() (s *sequencer, put func(channel, id, prev string), got func() []string) {
	var mu sync.Mutex
	var list []string
	s = newSequencer(func(i *sequenced) {
		mu.Lock()
		defer mu.Unlock()
		list = append(list, i.ID)
	})
	put = func(channel, id, prev string) {
		s.put(&sequenced{Item: &wire.Item{Channel: channel, ID: id, PrevID: prev, HasPrevID: prev != ""}}, time.Now())
	}
	return s, put, func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(list)
	}
}

func TestSequence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, put, got := sequenceOf()
		defer s.close()
		want := func(ids ...string) {
			t.Helper()
			synctest.Wait()
			if !slices.Equal(got(), ids) {
				t.Fatalf("delivered %v, want %v", got(), ids)
			}
		}
		put("c", "1", "")
		put("c", "3", "2")
		put("c", "1", "")
		want("1")
		put("c", "2", "1")
		want("1", "2", "3")
		put("c", "5", "4") // what it waits for does not come
		<-time.After(3 * time.Second)
		put("c", "8", "7") // nor does this one's, which waits its own five seconds
		<-time.After(2 * time.Second)
		want("1", "2", "3", "5")
		<-time.After(2 * time.Second)
		put("c", "7", "6") // nobody knows the 6, and the 8 goes on from it
		want("1", "2", "3", "5")
		<-time.After(time.Second)
		want("1", "2", "3", "5", "8")
		<-time.After(4 * time.Second)
		want("1", "2", "3", "5", "8", "7")
		<-time.After(rememberID)
		put("c", "1", "")
		want("1", "2", "3", "5", "8", "7", "1")
	})
}

// Ids are remembered for a minute and no longer, however many channels had them.
func TestSeenIDsAreForgotten(t *testing.T) {
	var s seenIDs
	now := time.Now()
	for i := range 100_000 {
		if !s.add(fmt.Sprint("channel ", i%1000), fmt.Sprint(i), now.Add(time.Duration(i)*10*time.Millisecond)) {
			t.Fatalf("%d was seen before", i)
		}
	}
	if n := len(s.all); n > 6001 || len(s.order) > 3*n {
		t.Errorf("%d ids are remembered, in a list of %d", n, len(s.order))
	}
	for i := range mostSeen + 10 {
		s.add("one", fmt.Sprint(i), now.Add(2000*time.Second))
	}
	if n := len(s.all); n > mostSeen {
		t.Errorf("%d ids are remembered", n)
	}
	if s.add("one", fmt.Sprint(mostSeen), now.Add(2000*time.Second)) || !s.add("one", "0", now.Add(2000*time.Second)) {
		t.Error("it is not the oldest that are forgotten")
	}
}

// An item that could not be published may be published again: its publisher was told.
func TestSequenceForgetsWhatFailed(t *testing.T) {
	failing := true
	var got []string
	s := newSequencer(func(i *sequenced) {
		if failing {
			i.err = errors.New("the store is away")
			return
		}
		got = append(got, i.ID)
	})
	defer s.close()
	put := func(id, prev string) *sequenced {
		i := &sequenced{Item: &wire.Item{Channel: "c", ID: id, PrevID: prev, HasPrevID: true}}
		s.put(i, time.Now())
		return i
	}
	if i := put("1", "0"); i.err == nil {
		t.Fatal("it was delivered")
	}
	failing = false
	put("1", "0")
	failing = true
	put("2", "1")
	failing = false
	put("2", "1")
	put("3", "2")
	if !slices.Equal(got, []string{"1", "2", "3"}) || s.duplicates != 0 || s.waited != 0 {
		t.Errorf("delivered %v, %d duplicates, %d waited", got, s.duplicates, s.waited)
	}
}

// An id that was forgotten and seen anew counts from then on.
func TestIDSeenAnew(t *testing.T) {
	var s seenIDs
	start := time.Unix(1_700_000_000, 0)
	s.add("a", "1", start)
	s.forget("a", "1")
	if !s.add("a", "1", start.Add(50*time.Second)) {
		t.Fatal("it is remembered although it was forgotten")
	}
	if s.add("a", "1", start.Add(70*time.Second)) {
		t.Error("it is forgotten with the first time it was seen")
	}
	if !s.add("a", "1", start.Add(50*time.Second+rememberID)) {
		t.Error("it is remembered for more than its time")
	}
}
