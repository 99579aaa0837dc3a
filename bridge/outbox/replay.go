package outbox

import (
	"cmp"
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
// how many it tries. With a Log a replay goes on after a restart, at its pace and with
// all its attempts; of what change does then the Spec and the Queue count.
func (o *Outbox) Replay(match func(*Letter) bool, perSecond float64, change func(*Job)) int {
	o.mu.Lock()
	defer o.unlock()
	if o.phase >= ending {
		return 0
	}
	var works []*Work
	o.each(func(w *Work) {
		if l := (Letter{Entry: w.kept()}); !w.Replay && match(&l) {
			works = append(works, w)
		}
	})
	slices.SortFunc(works, func(a, b *Work) int { return compare(a.Seq, b.Seq) })
	now := time.Now()
	for i, w := range works {
		r := &Replay{At: now}
		if perSecond > 0 {
			r.At = now.Add(time.Duration(float64(i) / perSecond * float64(time.Second)))
		}
		if change != nil {
			j := w.Job
			w.original = &j
			change(&w.Job)
			spec := w.Job.Spec
			r.Spec, r.Queue = &spec, w.Job.Queue
		}
		w.Replay, w.State.Replay = true, r
	}
	o.writeReplays(works)
	var stopped []*Work
	for _, w := range works {
		if w.stop { // while it was written down
			o.rest(w)
			stopped = append(stopped, w)
			continue
		}
		o.begin(w, now)
	}
	o.writeReplays(stopped)
	return len(works)
}

// Stop ends the replays of the dead letters that match, which are then what they were, and
// says of how many. An attempt that is under way is the last one.
func (o *Outbox) Stop(match func(*Letter) bool) int {
	o.mu.Lock()
	defer o.unlock()
	var works, waiting []*Work
	o.each(func(w *Work) {
		if l := (Letter{Entry: w.kept(), Replaying: true}); w.Replay && match(&l) {
			works = append(works, w)
		}
	})
	for _, w := range works {
		if !o.waiting(w) {
			w.stop = true
			continue
		}
		o.remove(w)
		o.rest(w)
		waiting = append(waiting, w)
	}
	o.writeReplays(waiting)
	return len(works)
}

// rest makes a letter that is not tried again any more what it was.
func (o *Outbox) rest(w *Work) {
	if w.original != nil {
		w.Job, w.original = *w.original, nil
	}
	w.Replay, w.State.Replay, w.stop, w.queue, w.group, w.most = false, nil, false, nil, nil, 0
}

// writeReplays writes down which letters are to be tried again, before any of them is, or
// not any more. o.mu is held, and free meanwhile.
func (o *Outbox) writeReplays(works []*Work) {
	if o.log == nil || len(works) == 0 || o.phase >= ended {
		return
	}
	entries := make([]Entry, len(works))
	for i, w := range works {
		entries[i] = w.kept()
	}
	o.writers.Add(1)
	defer o.writers.Done()
	o.mu.Unlock()
	for i := range entries {
		o.log.Set(entries[i])
	}
	o.mu.Lock()
}

// begin lets a letter wait for its replay.
func (o *Outbox) begin(w *Work, now time.Time) {
	if w.drop { // by hand, while it was written down
		w.letter = false
		o.gone = append(o.gone, w.Seq)
		return
	}
	w.born = w.State.Replay.At
	if !w.born.After(now) {
		o.replay(w)
		return
	}
	w.timer = o.clock.set(w.born, func() {
		w.timer = nil
		o.replay(w)
	})
}

// resume goes on with the replays that the end of a process before has cut off: with the
// first of them at once, and with the others as far from it as they were.
func (o *Outbox) resume() {
	var works []*Work
	o.each(func(w *Work) {
		if w.State.Replay != nil {
			works = append(works, w)
		}
	})
	slices.SortFunc(works, func(a, b *Work) int {
		return cmp.Or(a.State.Replay.At.Compare(b.State.Replay.At), compare(a.Seq, b.Seq))
	})
	now, first := time.Now(), time.Time{}
	for i, w := range works {
		r := *w.State.Replay
		if i > 0 {
			r.At = now.Add(r.At.Sub(first))
		} else {
			first, r.At = r.At, now
		}
		if r.Spec != nil {
			j := w.Job
			w.original = &j
			w.Job.Spec, w.Job.Queue = *r.Spec, r.Queue
		}
		w.Replay, w.State.Replay = true, &r
		o.begin(w, now)
	}
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
