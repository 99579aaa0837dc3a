package outbox

import (
	"slices"
	"time"
)

// Letters gives the dead letters that match, in the order of their jobs. match must not
// call the outbox.
func (o *Outbox) Letters(match func(*Letter) bool) []Letter {
	o.mu.Lock()
	defer o.unlock()
	o.trim()
	var found []Letter
	o.each(func(w *Work) {
		if l := (Letter{Entry: w.kept(), Replaying: w.Replay}); match(&l) {
			found = append(found, l)
		}
	})
	slices.SortFunc(found, func(a, b Letter) int { return compare(a.Seq, b.Seq) })
	return found
}

// Replay tries the dead letters that match again, in the order of their jobs, perSecond
// of them or, with 0, without waiting. change, which may be nil, makes another job of
// each for this time: it goes to another function. One that is being tried already is
// left alone. A letter that succeeds is gone; one that fails has as many attempts as a
// new job and then is a dead letter as before, with what went wrong this time. It says
// how many it tries. Nothing of a replay outlives the process: the letters are what
// they were.
func (o *Outbox) Replay(match func(*Letter) bool, perSecond float64, change func(*Job)) int {
	o.mu.Lock()
	defer o.unlock()
	if o.phase >= ending {
		return 0
	}
	var works []*Work
	o.each(func(w *Work) {
		if w.Replay {
			return
		}
		if l := (Letter{Entry: w.kept()}); match(&l) {
			works = append(works, w)
		}
	})
	slices.SortFunc(works, func(a, b *Work) int { return compare(a.Seq, b.Seq) })
	now := time.Now()
	for i, w := range works {
		w.Replay, w.born = true, now
		if change != nil {
			j := w.Job
			w.original = &j
			change(&w.Job)
		}
		if perSecond <= 0 {
			o.replay(w)
			continue
		}
		at := now.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))
		w.born = at
		w.timer = o.clock.set(at, func() {
			w.timer = nil
			o.replay(w)
		})
	}
	return len(works)
}

// replay lets a dead letter wait for its turn like a new job.
func (o *Outbox) replay(w *Work) {
	q := o.queueOf(w.Job.Queue)
	w.queue, w.before = q, w.State.Tried-w.State.Split
	w.State.Own, w.State.Due = 0, time.Time{}
	o.enter(q, w)
}

// Drop forgets the dead letters that match and says how many.
func (o *Outbox) Drop(match func(*Letter) bool) int {
	o.mu.Lock()
	defer o.unlock()
	var works []*Work
	o.each(func(w *Work) {
		if l := (Letter{Entry: w.kept(), Replaying: w.Replay}); match(&l) {
			works = append(works, w)
		}
	})
	for _, w := range works {
		o.metrics.dropped("letters_by_hand")
		o.dropLetter(w)
	}
	return len(works)
}
