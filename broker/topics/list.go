package topics

import "iter"

// Option are the subscription options of MQTT 5, section 3.8.3.1. A 3.1.1 client
// has only QoS.
type Option struct {
	// QoS is the maximum QoS the subscriber was granted.
	QoS byte
	// NoLocal: messages of the subscriber itself are not for it. [MQTT-3.8.3-3]
	NoLocal bool
	// RetainAsPublished keeps the RETAIN flag as the publisher had it.
	RetainAsPublished bool
	// RetainHandling: 0 = retained messages at each subscribe, 1 = only at a new
	// one, 2 = never.
	RetainHandling byte
	// ID is the Subscription Identifier; 0 = none.
	ID uint32
}

// Match is one subscriber of a topic. If several of its filters match, they are one
// Match with the highest QoS and every Subscription Identifier [MQTT-3.3.4-2]
// [MQTT-3.3.4-3]; only filters that differ in No Local stay apart, because for the
// subscriber's own messages one of them counts and the other does not.
type Match[S comparable] struct {
	Subscriber S
	Option
	// IDs are the Subscription Identifiers; nil = none. Read-only.
	IDs []uint32
}

// chunkLen is how many subscribers lie side by side: what a change in the middle
// of a long list has to copy.
const (
	chunkBits = 8
	chunkLen  = 1 << chunkBits
)

// List is an immutable list of subscribers, shared by everybody who matches: read
// it, do not write to it. Its order means nothing.
type List[S comparable] struct {
	chunks [][]Match[S] // all of chunkLen but the last
	n      int
}

// Len is the number of entries.
func (l *List[S]) Len() int { return l.n }

// At is entry i, from 0.
func (l *List[S]) At(i int) *Match[S] { return &l.chunks[i>>chunkBits][i&(chunkLen-1)] }

// Chunks are the entries in a few slices: the fastest way through a long list.
func (l *List[S]) Chunks() [][]Match[S] { return l.chunks }

// All goes through the entries.
func (l *List[S]) All() iter.Seq[*Match[S]] {
	return func(yield func(*Match[S]) bool) {
		for _, chunk := range l.chunks {
			for i := range chunk {
				if !yield(&chunk[i]) {
					return
				}
			}
		}
	}
}

// set is the writers' side of a List: it changes by making a new List that shares
// all but the touched chunk with the one before. Readers keep what they have.
type set[S comparable] struct {
	list List[S]
	at   map[S]int // where each subscriber is; nil while the list is short
}

// short is the length up to which looking through a list beats keeping a map.
const short = 16

func (s *set[S]) find(sub S) int {
	if s.at != nil {
		if i, ok := s.at[sub]; ok {
			return i
		}
		return -1
	}
	for i := range s.list.n {
		if s.list.At(i).Subscriber == sub {
			return i
		}
	}
	return -1
}

// put adds or replaces a subscriber's entry.
func (s *set[S]) put(m Match[S]) (existed bool) {
	if i := s.find(m.Subscriber); i >= 0 {
		s.replace(i, m)
		return true
	}
	i := s.list.n
	chunks := append(make([][]Match[S], 0, i>>chunkBits+1), s.list.chunks...)
	if i&(chunkLen-1) == 0 {
		chunks = append(chunks, []Match[S]{m})
	} else {
		// Appending in place is safe: readers of the list before see one entry less.
		last := len(chunks) - 1
		chunks[last] = append(chunks[last], m)
	}
	s.list = List[S]{chunks, i + 1}
	s.note(m.Subscriber, i)
	return false
}

func (s *set[S]) note(sub S, i int) {
	switch {
	case s.at != nil:
		s.at[sub] = i
	case s.list.n > short:
		s.at = make(map[S]int, 2*short)
		for i := range s.list.n {
			s.at[s.list.At(i).Subscriber] = i
		}
	}
}

func (s *set[S]) replace(i int, m Match[S]) {
	chunks := append([][]Match[S](nil), s.list.chunks...)
	c := i >> chunkBits
	chunks[c] = append(make([]Match[S], 0, cap(chunks[c])), chunks[c]...)
	chunks[c][i&(chunkLen-1)] = m
	s.list = List[S]{chunks, s.list.n}
}

// remove takes a subscriber out; the last entry moves into its place.
func (s *set[S]) remove(sub S) (existed bool) {
	i := s.find(sub)
	if i < 0 {
		return false
	}
	last := s.list.n - 1
	moved := *s.list.At(last)
	if i != last {
		s.replace(i, moved)
	}
	if s.at != nil {
		s.at[moved.Subscriber] = i
		delete(s.at, sub)
	}
	chunks := append([][]Match[S](nil), s.list.chunks...)
	if c := last >> chunkBits; last&(chunkLen-1) == 0 {
		chunks = chunks[:c]
	} else {
		// Without spare capacity, so that the next append does not write over the
		// entry that readers of the list before still see.
		n := last & (chunkLen - 1)
		chunks[c] = chunks[c][:n:n]
	}
	s.list = List[S]{chunks, last}
	if last <= short/2 {
		s.at = nil
	}
	return true
}
