package journal_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/journal"
)

// history is what has been done to a register: the states that it went through, of which
// a crash may leave any from the last one on that somebody was told is durable.
type history struct {
	states []map[uint64]string
	told   int // states[told] is durable
	loose  bool
}

func (h *history) last() map[uint64]string { return h.states[len(h.states)-1] }

// allows reports whether a crash may leave a state.
func (h *history) allows(got map[uint64]string) bool {
	for i := len(h.states) - 1; i >= h.told; i-- {
		if maps.Equal(h.states[i], got) {
			return true
		}
	}
	return h.loose && h.mayBeMixed(got)
}

// mayBeMixed reports whether each value of a state has been one since what is durable:
// with too much that waits changes are dropped, and until all is made good a crash leaves
// some of them.
func (h *history) mayBeMixed(got map[uint64]string) bool {
	for key := range uint64(keys) {
		found := false
		for _, s := range h.states[h.told:] {
			a, was := s[key]
			b, is := got[key]
			found = found || was == is && a == b
		}
		if !found {
			return false
		}
	}
	return true
}

const keys = 12

// At random moments writing fails, the server loses everything or the process ends, in
// good order or not: what somebody was told is durable is there, what is not there is the
// end, and the journal always opens.
func TestRandomFaults(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	s := server(t, t.TempDir())
	h := &history{states: []map[uint64]string{{}}}
	lives := 10
	if n, err := strconv.Atoi(os.Getenv("TOPICWIRE_LIVES")); err == nil {
		lives = n
	}
	for life := range lives {
		f := &counted{faulty: faulty{Server: s, mend: make(chan struct{})}}
		inOrder := rng.IntN(2) == 0
		o := journal.Options{Tidy: 2 << 10, MaxPending: 4 << 10}
		if !inOrder {
			o.Patience = time.Nanosecond
		}
		r := mustOpen(t, f, o)
		if got := r.texts(); !h.allows(got) {
			t.Fatalf("life %d began with %v; durable is %v and the last was %v", life, short(got), short(h.states[h.told]), short(h.last()))
		}
		*h = history{states: []map[uint64]string{r.texts()}}
		live(t, rng, r, f, h, inOrder)
		if err := r.j.Close(); err != nil && inOrder {
			t.Fatal(err)
		}
	}
}

// live is one life of a register. inOrder says how it ends.
func live(t *testing.T, rng *rand.Rand, r *register, f *counted, h *history, inOrder bool) {
	t.Helper()
	type answer struct {
		state int
		err   error
	}
	answers := make(chan answer, 10_000)
	waiting := 0
	hear := func(a answer) {
		waiting--
		if a.err == nil {
			h.told = max(h.told, a.state)
		}
	}
	failing := false
	js, st := stream(t, f.Server)
	for range 20 + rng.IntN(200) {
		switch n := rng.IntN(100); {
		case n < 70:
			key := rng.Uint64N(keys)
			if rng.IntN(4) == 0 {
				r.remove(key)
			} else {
				r.set(key, fmt.Sprint(rng.Uint32(), strings.Repeat("x", rng.IntN(2000))))
			}
			h.states = append(h.states, r.texts())
			h.loose = h.loose || failing
		case n < 90:
			waiting++
			state := len(h.states) - 1
			r.j.Sync(func(err error) { answers <- answer{state, err} })
		case n < 91 && inOrder: // the server loses all that it has acknowledged
			standStill(t, r, f, h)
			_ = js.DeleteStream(t.Context(), st.CachedInfo().Config.Name) // which may be gone already
			failing, h.loose = true, true
		case n < 95:
			failing = true
			f.allow(rng.IntN(3))
		default:
			failing = false
			f.allow(-1)
		}
		for len(answers) > 0 {
			hear(<-answers)
		}
	}
	if inOrder {
		f.allow(-1)
		for waiting > 0 {
			hear(receive(t, answers, "answer"))
		}
		r.set(0, "the end") // the next write finds out what the server has lost
		h.states = append(h.states, r.texts())
		if err := r.sync(t); err != nil {
			t.Fatal(err)
		}
		h.told = len(h.states) - 1
		return
	}
	standStill(t, r, f, h) // what was under way at the end of a process comes before the next one
	_ = r.j.Close()
	for waiting > 0 { // everybody is told something
		hear(receive(t, answers, "answer"))
	}
}

// standStill lets writing fail and waits until nothing is under way.
func standStill(t *testing.T, r *register, f *counted, h *history) {
	t.Helper()
	f.allow(0)
	r.set(0, "stands still")
	h.states = append(h.states, r.texts())
	for range 2 { // the first may be of an attempt before
		receive(t, f.mend, "failure")
	}
}

func short(state map[uint64]string) map[uint64]string {
	out := maps.Clone(state)
	for k, v := range out {
		out[k] = v[:min(len(v), 12)]
	}
	return out
}
