package journal

// State is what a record says; it appends it, as it is now, to b.
type State interface{ AppendTo(b []byte) []byte }

// Record is a piece of state that the log has to keep. Owners embed it in theirs.
type Record struct {
	prev, next *Record
	id         uint64 // its number in the log
	size       int    // its bytes there
	part       Part
	state      State
}

// Init says whose record it is and what it says.
func (r *Record) Init(p Part, s State) { r.part, r.state = p, s }

// list holds records in the order in which they stand in the log.
type list struct {
	root  Record
	n     int
	bytes int64
}

func (l *list) front() *Record {
	if l.root.next == nil || l.root.next == &l.root {
		return nil
	}
	return l.root.next
}

func (l *list) back() *Record {
	if l.root.prev == nil || l.root.prev == &l.root {
		return nil
	}
	return l.root.prev
}

func (l *list) push(r *Record) {
	if l.root.next == nil {
		l.root.next, l.root.prev = &l.root, &l.root
	}
	last := l.root.prev
	last.next, r.prev, r.next, l.root.prev = r, last, &l.root, r
	l.n++
	l.bytes += int64(r.size)
}

func (l *list) remove(r *Record) {
	r.prev.next, r.next.prev = r.next, r.prev
	r.prev, r.next = nil, nil
	l.n--
	l.bytes -= int64(r.size)
}
