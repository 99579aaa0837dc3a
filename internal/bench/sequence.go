package bench

import "sort"

// maxGaps bounds what a sequence remembers of the messages it misses; beyond it
// the oldest gap counts as lost for good.
const maxGaps = 4096

// sequence follows the numbers that one subscriber gets from one publisher. In order
// it costs one comparison.
type sequence struct {
	next uint64
	gaps []gap // numbers below next that have not come, ascending

	received, reordered, duplicates, forgotten uint64
}

// gap is the numbers from, from+1, ..., to-1.
type gap struct{ from, to uint64 }

// add notes the arrival of number n.
func (s *sequence) add(n uint64) {
	s.received++
	switch {
	case n == s.next:
		s.next++
	case n > s.next:
		s.gaps = append(s.gaps, gap{s.next, n})
		if len(s.gaps) > maxGaps {
			s.forgotten += s.gaps[0].to - s.gaps[0].from
			s.gaps = s.gaps[1:]
		}
		s.next = n + 1
	case s.fill(n):
		s.reordered++
	default:
		s.duplicates++
	}
}

// fill takes n out of the gap it belongs to and reports whether there was one.
func (s *sequence) fill(n uint64) bool {
	i := sort.Search(len(s.gaps), func(i int) bool { return s.gaps[i].to > n })
	if i == len(s.gaps) || n < s.gaps[i].from {
		return false
	}
	g := s.gaps[i]
	switch {
	case g.to-g.from == 1:
		s.gaps = append(s.gaps[:i], s.gaps[i+1:]...)
	case n == g.from:
		s.gaps[i].from++
	case n == g.to-1:
		s.gaps[i].to--
	default:
		s.gaps = append(s.gaps[:i+1], s.gaps[i:]...)
		s.gaps[i].to, s.gaps[i+1].from = n, n+1
	}
	return true
}

// lost is how many of sent messages have not come.
func (s *sequence) lost(sent uint64) uint64 {
	lost := s.forgotten
	for _, g := range s.gaps {
		lost += g.to - g.from
	}
	if sent > s.next {
		lost += sent - s.next
	}
	return lost
}
