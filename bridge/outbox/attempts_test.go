package outbox

import (
	"strings"
	"testing"
)

// Of many failed attempts the first and the last ones are kept whole, of those between
// an overview, and of very many the oldest of them go.
func TestFailedAttemptsAreKept(t *testing.T) {
	var s State
	long := strings.Repeat("é", shortError)
	fail := func(n int) {
		for range n {
			s.failed(&Result{Attempt: Attempt{Error: long, Payload: []byte("{}")}})
		}
	}
	fail(50)
	if len(s.Attempts) != 50 || s.Tried != 50 {
		t.Fatalf("%d attempts kept, %d counted", len(s.Attempts), s.Tried)
	}
	for i, a := range s.Attempts {
		whole := i == 0 || i > 50-wholeAttempts
		if got := a.Error == long && a.Payload != nil; got != whole {
			t.Errorf("attempt %d: whole %t, want %t", i, got, whole)
		}
		if !whole && !strings.HasSuffix(a.Error, "é...") {
			t.Errorf("attempt %d: %q", i, a.Error)
		}
	}
	fail(2 * keptAttempts)
	if len(s.Attempts) != keptAttempts || s.Attempts[0].Error != long || s.Tried != 50+2*keptAttempts {
		t.Errorf("%d attempts kept, %d counted", len(s.Attempts), s.Tried)
	}
}
