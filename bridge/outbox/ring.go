package outbox

// ring is a first-in-first-out queue of jobs that keeps its memory while it is in use.
type ring struct {
	buf  []Job
	head int
	n    int
}

func (r *ring) len() int { return r.n }

func (r *ring) push(j Job) {
	if r.n == len(r.buf) {
		grown := make([]Job, max(4, 2*len(r.buf)))
		for i := range r.n {
			grown[i] = r.buf[(r.head+i)%len(r.buf)]
		}
		r.buf, r.head = grown, 0
	}
	r.buf[(r.head+r.n)%len(r.buf)] = j
	r.n++
}

// pop takes the oldest job; the ring must not be empty.
func (r *ring) pop() Job {
	j := r.buf[r.head]
	r.buf[r.head] = Job{} // let go of the payload
	r.head = (r.head + 1) % len(r.buf)
	r.n--
	if r.n == 0 && len(r.buf) > 1024 {
		r.buf, r.head = nil, 0 // a burst is over
	}
	return j
}
