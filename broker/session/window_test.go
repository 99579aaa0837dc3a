package session

import "testing"

// A burst's memory is given back little by little, and at once when the client goes.
func TestWindowShrinks(t *testing.T) {
	var w window
	cycle := func(n int) {
		var all []*flight
		for range n {
			all = append(all, w.add(item{}))
		}
		for _, f := range all {
			w.remove(f)
		}
	}
	cycle(1000)
	if w.spare != 1000 {
		t.Errorf("%d flights are kept for the next burst, of 1000", w.spare)
	}
	for range 20 {
		cycle(1)
	}
	if w.spare > fewSpare || w.grown > 4*fewSpare {
		t.Errorf("%d flights are kept, and a map of %d", w.spare, w.grown)
	}
	f := w.add(item{})
	if w.rest(); w.len() != 1 {
		t.Fatal("what is in flight is forgotten")
	}
	w.remove(f)
	if w.rest(); w.spare != 0 || w.byID != nil || w.id != 1021 {
		t.Errorf("a window at rest keeps %d flights, and gave out %d last", w.spare, w.id)
	}
}
