package bench

import (
	"testing"

	"pgregory.net/rapid"
)

func TestSequence(t *testing.T) {
	tests := map[string]struct {
		numbers                     []uint64
		sent                        uint64
		lost, reordered, duplicates uint64
	}{
		"in order":             {[]uint64{0, 1, 2}, 3, 0, 0, 0},
		"none":                 {nil, 3, 3, 0, 0},
		"last lost":            {[]uint64{0, 1}, 3, 1, 0, 0},
		"first lost":           {[]uint64{2}, 3, 2, 0, 0},
		"one late":             {[]uint64{0, 2, 1, 3}, 4, 0, 1, 0},
		"backwards":            {[]uint64{3, 2, 1, 0}, 4, 0, 3, 0},
		"twice":                {[]uint64{0, 0, 1, 1}, 2, 0, 0, 2},
		"late, and then again": {[]uint64{0, 2, 1, 1}, 3, 0, 1, 1},
		"middle of a gap":      {[]uint64{0, 6, 3, 3, 2, 4}, 7, 2, 3, 1},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var s sequence
			for _, n := range tt.numbers {
				s.add(n)
			}
			if s.lost(tt.sent) != tt.lost || s.reordered != tt.reordered || s.duplicates != tt.duplicates {
				t.Errorf("%d lost, %d reordered, %d doubled; want %d, %d, %d",
					s.lost(tt.sent), s.reordered, s.duplicates, tt.lost, tt.reordered, tt.duplicates)
			}
		})
	}
}

func TestSequenceAgainstSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		numbers := rapid.SliceOf(rapid.Uint64Range(0, 60)).Draw(t, "numbers")
		var s sequence
		seen := map[uint64]bool{}
		var top, reordered, duplicates uint64
		for _, n := range numbers {
			s.add(n)
			switch {
			case seen[n]:
				duplicates++
			case n < top:
				reordered++
			}
			seen[n] = true
			top = max(top, n+1)
		}
		if lost := 61 - uint64(len(seen)); s.lost(61) != lost || s.reordered != reordered || s.duplicates != duplicates {
			t.Fatalf("%d lost, %d reordered, %d doubled; want %d, %d, %d", s.lost(61), s.reordered, s.duplicates, lost, reordered, duplicates)
		}
	})
}

func TestSequenceForgetsOldGaps(t *testing.T) {
	var s sequence
	const n = 3 * maxGaps
	for i := range uint64(n) {
		s.add(2 * i) // every other number is missing
	}
	if len(s.gaps) > maxGaps || s.lost(2*n-1) != n-1 {
		t.Errorf("%d gaps kept, %d lost; want %d lost", len(s.gaps), s.lost(2*n-1), n-1)
	}
}

func BenchmarkSequence(b *testing.B) {
	var s sequence
	b.ReportAllocs()
	for n := uint64(0); b.Loop(); n++ {
		s.add(n)
	}
}
