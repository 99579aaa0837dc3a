package session

// flight is a delivery with a packet identifier: sent and not yet acknowledged.
type flight struct {
	item
	id       uint16
	received bool // QoS 2: PUBREC has come, PUBCOMP is outstanding
	sent     bool // was sent, or may have been
	onLink   bool // sent on the present connection, so it counts against its window
	prev     *flight
	next     *flight
}

// window is what is in flight to one client, in the order of first sending.
type window struct {
	byID  map[uint16]*flight
	first *flight
	last  *flight
	free  *flight
	id    uint16 // last identifier given out
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
	f := w.free
	if f != nil {
		w.free = f.next
		*f = flight{}
	} else {
		f = new(flight)
	}
	f.item, f.id = it, id
	if w.byID == nil {
		w.byID = map[uint16]*flight{}
	}
	w.byID[id] = f
	f.prev = w.last
	if w.last != nil {
		w.last.next = f
	} else {
		w.first = f
	}
	w.last = f
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
}
