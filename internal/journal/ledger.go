package journal

import "sort"

// chunk is one message of the stream.
type chunk struct {
	seq   uint64 // in the stream
	first uint64 // number of its first record
	size  int    // bytes of records
}

// ledger knows what is in the stream. The journal's lock guards it.
type ledger struct {
	chunks []chunk // in order; the first dead ones are needed by nobody
	dead   int
	bytes  int64  // of all
	gone   int64  // of the dead ones
	safe   uint64 // records below are needed by nobody
	// rewrite: every record below has to be written anew before anything may be thrown
	// away; 0 = none has to.
	rewrite uint64
}

func (l *ledger) init() { *l = ledger{} }

func (l *ledger) add(c chunk) {
	l.chunks = append(l.chunks, c)
	l.bytes += int64(c.size)
}

// release notes that records below safe are needed by nobody, and reports whether it is
// worth while to tidy up.
func (l *ledger) release(safe uint64, least, live int64, oldest *Record) bool {
	l.safe = safe
	for l.dead+1 < len(l.chunks) && l.chunks[l.dead+1].first <= safe { // the last one stays, so that the stream keeps its place
		l.gone += int64(l.chunks[l.dead].size)
		l.dead++
	}
	return l.worthPurging(least, live) || l.worthRewriting(least, live, oldest)
}

func (l *ledger) worthPurging(least, live int64) bool {
	return l.gone >= max(least, live/4) || l.mustPurge()
}

// mustPurge reports whether everything that had to be written anew has been: what is
// older must go, because changes to it were dropped.
func (l *ledger) mustPurge() bool { return l.rewrite > 0 && l.dead > 0 && l.safe >= l.rewrite }

// worthRewriting reports whether most of what is not dead is not needed either: one
// record that is keeps all that came after it.
func (l *ledger) worthRewriting(least, live int64, oldest *Record) bool {
	return oldest != nil && (oldest.id < l.rewrite || l.bytes-l.gone > 2*live+least)
}

// purged takes the dead ones out, up to the message before seq.
func (l *ledger) purged(seq uint64) {
	if l.mustPurge() {
		l.rewrite = 0
	}
	n := 0
	for n < l.dead && l.chunks[n].seq < seq {
		l.bytes -= int64(l.chunks[n].size)
		l.gone -= int64(l.chunks[n].size)
		n++
	}
	l.chunks = append(l.chunks[:0], l.chunks[n:]...)
	l.dead -= n
}

// cutOff takes out what stands after the message last, and returns the first record
// that has gone; 0 if none has.
func (l *ledger) cutOff(last uint64) uint64 {
	i := sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].seq > last })
	if i == len(l.chunks) {
		return 0
	}
	first := l.chunks[i].first
	for _, c := range l.chunks[i:] {
		l.bytes -= int64(c.size)
	}
	l.chunks = l.chunks[:i]
	if l.dead > i {
		l.dead, l.gone = i, l.bytes
	}
	return first
}

// end is the number of the first record after the chunk that holds record n.
func (l *ledger) end(n uint64) uint64 {
	i := sort.Search(len(l.chunks), func(i int) bool { return l.chunks[i].first > n })
	if i == len(l.chunks) {
		return 0
	}
	return l.chunks[i].first
}
