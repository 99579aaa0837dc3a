package session

// flight is a delivery with a packet identifier: sent and not yet acknowledged.
type flight struct {
	item
	id       uint16
	order    uint64 // rises in the order of first sending
	received bool   // QoS 2: PUBREC has come, PUBCOMP is outstanding
	sent     bool   // was sent, or may have been
	onLink   bool   // sent on the present connection, so it counts against its window
	prev     *flight
	next     *flight
}

// window is what is in flight to one client, in the order of first sending.
type window struct {
	byID  map[uint16]*flight
	first *flight
	last  *flight
	free  *flight
	spare int    // how many are free
	id    uint16 // last identifier given out
	order uint64 // last one given out

	most  int // in flight at once since it was last empty
	keeps int // how many flights are kept for their next use
	grown int // what the map has room for
}

func (w *window) len() int { return len(w.byID) }

// add gives an item a packet identifier that is not in use. [MQTT-2.2.1-3]
// There must be a free one: the window never holds more than 65,535.
func (w *window) add(it item) *flight {
	for {
		w.id++
		if w.id == 0 { // [MQTT-2.2.1-4] an identifier is never 0
			continue
		}
		if _, used := w.byID[w.id]; !used {
			return w.put(it, w.id)
		}
	}
}

// put adds an item under a given identifier.
func (w *window) put(it item, id uint16) *flight {
	w.order++
	return w.insert(it, id, w.order, w.last)
}

// putBack adds one that was taken out, in its old place. Its identifier must be free.
func (w *window) putBack(it item, id uint16, order uint64) *flight {
	after := w.last
	for after != nil && after.order > order {
		after = after.prev
	}
	return w.insert(it, id, order, after)
}

// insert adds an item behind another one; behind nil is in front of all.
func (w *window) insert(it item, id uint16, order uint64, after *flight) *flight {
	f := w.free
	if f != nil {
		w.free = f.next
		w.spare--
		*f = flight{}
	} else {
		f = new(flight)
	}
	f.item, f.id, f.order = it, id, order
	if w.byID == nil {
		w.byID = map[uint16]*flight{}
	}
	w.byID[id] = f
	w.most = max(w.most, len(w.byID))
	f.prev, f.next = after, w.first
	if after != nil {
		f.next, after.next = after.next, f
	} else {
		w.first = f
	}
	if f.next != nil {
		f.next.prev = f
	} else {
		w.last = f
	}
	return f
}

// remove takes a flight out. It must not be used afterwards.
func (w *window) remove(f *flight) {
	delete(w.byID, f.id)
	if f.prev != nil {
		f.prev.next = f.next
	} else {
		w.first = f.next
	}
	if f.next != nil {
		f.next.prev = f.prev
	} else {
		w.last = f.prev
	}
	*f = flight{next: w.free}
	w.free = f
	w.spare++
	if w.first == nil {
		w.shrink()
	}
}

// fewSpare is how many flights are always kept.
const fewSpare = 64

// shrink gives memory back that a burst has taken, when nothing is in flight: little by
// little, because a busy session has the next burst at once.
func (w *window) shrink() {
	w.grown = max(w.grown, w.most)
	w.keeps = max(w.most, w.keeps-w.keeps/4, fewSpare)
	w.most = 0
	for ; w.spare > w.keeps; w.spare-- {
		w.free = w.free.next
	}
	if w.grown > 4*w.keeps {
		w.byID, w.grown = nil, 0 // a map does not shrink
	}
}

// rest gives back what an empty window keeps: its client is away.
func (w *window) rest() {
	if w.first == nil {
		*w = window{id: w.id, order: w.order}
	}
}
