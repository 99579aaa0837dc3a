package grip

import "time"

// The bounds of what is remembered of ids.
const (
	rememberID = time.Minute // how long an id counts as seen
	mostSeen   = 250_000     // ids, of all channels together
)

// seenID is an item's id within its channel.
type seenID struct{ channel, id string }

// seenIDs remembers the ids of the last minute. Beyond its bound the oldest are forgotten.
type seenIDs struct {
	all   map[seenID]time.Time // when it was seen
	order []seenAt             // from head on, the oldest first
	head  int
}

type seenAt struct {
	seenID
	at time.Time
}

// add remembers an id; false if it is remembered already.
func (s *seenIDs) add(channel, id string, now time.Time) bool {
	for s.head < len(s.order) && (now.Sub(s.order[s.head].at) >= rememberID || len(s.order)-s.head >= mostSeen) {
		if old := s.order[s.head]; s.all[old.seenID].Equal(old.at) { // else forgotten, and seen anew
			delete(s.all, old.seenID)
		}
		s.order[s.head] = seenAt{}
		s.head++
	}
	if s.head > len(s.order)/2 {
		n := copy(s.order, s.order[s.head:])
		clear(s.order[n:])
		s.order, s.head = s.order[:n], 0
	}
	k := seenID{channel, id}
	if _, known := s.all[k]; known {
		return false
	}
	if s.all == nil {
		s.all = make(map[seenID]time.Time)
	}
	s.all[k] = now
	s.order = append(s.order, seenAt{k, now})
	return true
}

// forget lets an id be seen anew.
func (s *seenIDs) forget(channel, id string) { delete(s.all, seenID{channel, id}) }
