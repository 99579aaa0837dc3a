package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Run hands jobs to worker, several at once, until ctx ends; then it lets those that
// run come to their end within a limit, after which the context that the worker has
// is cancelled. In memory it also lets those that wait come to their end, without
// waiting any more; with a Log they stay there. It returns when no worker runs any
// more and the Log is closed. It is called once.
func (o *Outbox) Run(ctx context.Context, worker Worker) error {
	o.mu.Lock()
	restored := o.restored
	o.restored = nil
	o.mu.Unlock()
	worker.Restore(restored)

	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	o.mu.Lock()
	o.worker, o.ctx = worker, life
	o.resume()
	o.tellLater()
	o.spawnAll()
	o.mu.Unlock()
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() { defer close(stopped); o.keepTime(stop) }()

	<-ctx.Done()
	limit := time.NewTimer(o.drain)
	defer limit.Stop()
	if o.log == nil {
		o.finishWaiting(limit.C)
	}
	lost := o.finishRunning(limit.C, cancel)
	close(stop)
	<-stopped
	return errors.Join(lost, o.Close())
}

// finishWaiting lets what waits come to its end. Nothing is in the store: it is now or
// never.
func (o *Outbox) finishWaiting(limit <-chan time.Time) {
	o.mu.Lock()
	o.phase = ending
	o.clock.ringAll()
	o.spawnAll()
	empty := make(chan struct{})
	if o.jobs == 0 {
		close(empty)
	} else {
		o.empty = empty
	}
	o.mu.Unlock()
	select {
	case <-empty:
	case <-limit:
	}
}

// finishRunning hands nothing out any more and lets what runs come to its end.
func (o *Outbox) finishRunning(limit <-chan time.Time, cancel func()) error {
	o.mu.Lock()
	o.phase = max(o.phase, halted)
	waiting := 0
	for _, q := range o.queues {
		for w := q.age.head; w != nil; w = w.link[byAge].next {
			if o.waiting(w) {
				waiting++
			}
		}
	}
	o.mu.Unlock()
	idle := make(chan struct{})
	go func() { o.workers.Wait(); close(idle) }()
	if o.log == nil {
		cancel() // the limit has passed, or nothing is left
	}
	select {
	case <-idle:
	case <-limit:
		cancel()
		<-idle
	}
	if o.log != nil || waiting == 0 {
		return nil
	}
	o.metrics.lost.Add(float64(waiting))
	o.mu.Lock()
	o.jobs, o.bytes = 0, 0
	o.gauge()
	o.mu.Unlock()
	return fmt.Errorf("%d jobs were still waiting after %s and are lost", waiting, o.drain)
}

// Close gives up an Outbox that has not been run; it waits until everything is
// durable.
func (o *Outbox) Close() error {
	o.mu.Lock()
	closed := o.phase == blanked
	o.phase = max(o.phase, ended)
	o.mu.Unlock()
	if closed {
		return nil
	}
	o.writers.Wait()
	o.tell()
	o.mu.Lock()
	o.phase = blanked
	o.mu.Unlock()
	if o.log == nil {
		return nil
	}
	return o.log.Close()
}

// keepTime rings the clock.
func (o *Outbox) keepTime(stop <-chan struct{}) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		o.mu.Lock()
		o.clock.ringUntil(time.Now())
		next := time.Hour
		if len(o.clock.alarms) > 0 {
			next = time.Until(o.clock.alarms[0].at)
		}
		o.unlock()
		timer.Reset(next)
		select {
		case <-timer.C:
		case <-o.clock.kick:
		case <-stop:
			return
		}
	}
}

func (o *Outbox) spawnAll() {
	for _, q := range o.queues {
		o.spawn(q)
	}
}

// spawn starts workers for what waits in q, as far as its gate lets them. A worker
// takes jobs until none is left.
func (o *Outbox) spawn(q *queue) {
	if o.worker == nil || len(q.turn) == 0 || o.phase >= halted {
		return
	}
	limit := o.allowed(q)
	if limit <= q.running {
		return
	}
	for n := q.available(); n > 0 && q.running < limit; n-- {
		q.running++
		o.workers.Go(func() { o.work(q) })
	}
}

// allowed is how many invocations of q may run now.
func (o *Outbox) allowed(q *queue) int {
	limit, until := o.gate(q.name)
	if limit > 0 {
		return limit
	}
	if o.phase == ending {
		return 1 // there is no later
	}
	if q.wake == nil {
		if until.IsZero() {
			until = time.Now().Add(time.Second)
		}
		q.wake = o.clock.set(until, func() {
			q.wake = nil
			o.spawn(q)
			o.tidy(q)
		})
	}
	return 0
}

func (o *Outbox) work(q *queue) {
	var one [1]*Work
	batch := one[:0]
	o.mu.Lock()
	for o.phase < halted && len(q.turn) > 0 && q.running <= o.allowed(q) {
		batch = o.take(q, batch[:0])
		worker, ctx := o.worker, o.ctx
		o.unlock()
		o.attempt(ctx, worker, batch)
		o.mu.Lock()
		o.settle(q, batch)
		if len(q.turn) > 1 || q.available() > 1 {
			o.spawn(q) // the gate may let more through than before
		}
	}
	q.running--
	o.tidy(q)
	o.unlock()
}

// attempt makes one attempt of a batch and writes down what came of it.
func (o *Outbox) attempt(ctx context.Context, worker Worker, batch []*Work) {
	if w := batch[0]; len(batch) == 1 && o.tooOld(w, time.Now()) {
		worker.GiveUp(ctx, w, EventAgeExceeded)
		w.Result = Result{Verdict: Dead, Condition: EventAgeExceeded, Nothing: true}
	} else {
		for _, w := range batch {
			w.Result = Result{}
		}
		worker.Do(ctx, batch)
	}
	for _, w := range batch {
		if w.Result.Verdict == Again && o.log == nil && o.givesUp(w) {
			worker.GiveUp(ctx, w, ShutDown)
			w.Result.Verdict, w.Result.Condition = Dead, ShutDown
		}
		o.record(w)
	}
}

// givesUp reports whether a failed job in memory has had its last attempt because the
// server stops.
func (o *Outbox) givesUp(w *Work) bool {
	const last = 2
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.phase < ending {
		return false
	}
	w.tries++
	return w.tries > last
}

// record brings a work's State up to date and writes it down.
func (o *Outbox) record(w *Work) {
	switch w.Result.Verdict {
	case Done:
		if o.log != nil {
			o.log.Delete(w.Seq)
		}
		return
	case Undone:
		return
	case Again, Dead:
	}
	if !w.letter {
		w.note(time.Now())
	} else { // it can be seen meanwhile
		o.mu.Lock()
		if w.stop && w.Result.Verdict == Again {
			w.Result.Verdict, w.Result.Condition = Dead, w.State.Condition
		}
		w.note(time.Now())
		o.mu.Unlock()
	}
	switch {
	case o.log == nil:
	case w.Result.Verdict == Dead:
		o.writeDeath(w.kept(), o.letters != nil)
	case !w.letter:
		o.log.Set(w.Entry)
	}
}

// note brings a failed work's State up to date.
func (w *Work) note(now time.Time) {
	r := &w.Result
	if !r.Nothing {
		w.State.failed(r)
	}
	w.most = r.Smaller
	w.State.Due = now.Add(r.Wait)
	if r.Verdict == Dead {
		w.State.Due, w.State.Dead, w.State.Condition, w.State.Replay = time.Time{}, now, r.Condition, nil
	}
}

// writeDeath writes down that a job was given up, and whether it is kept as a letter.
func (o *Outbox) writeDeath(e Entry, kept bool) {
	switch {
	case o.log == nil:
	case kept:
		o.log.Set(e)
	default:
		o.log.Delete(e.Seq)
	}
}

// settle does with a batch what its Results say. It goes from the last to the first,
// because what goes back into a lane goes to its front.
func (o *Outbox) settle(q *queue, batch []*Work) {
	for _, w := range slices.Backward(batch) {
		if w.lane != nil {
			w.lane.out--
		}
		if w.drop && (w.Result.Verdict == Again || w.Result.Verdict == Dead && !w.letter) {
			w.Result.Verdict = Undone // there is nothing to keep it for
		}
		switch w.Result.Verdict {
		case Again:
			o.metrics.retries.Inc()
			o.reweigh(q, w)
			if w.lane != nil {
				w.lane.waits.pushFront(w)
			}
			continue
		case Done:
			o.metrics.done.Inc()
			o.leave(q, w)
		case Dead:
			o.metrics.deaths.WithLabelValues(o.metrics.name, string(w.Result.Condition)).Inc()
			o.leave(q, w)
			o.bury(w)
		case Undone:
			if o.log == nil && !w.letter {
				o.metrics.lost.Inc()
			}
			o.leave(q, w)
		}
	}
	for _, w := range batch {
		switch l := w.lane; {
		case l != nil:
			if w.Result.Verdict != Again {
				w.lane = nil
			}
			o.promote(q, l)
		case w.Result.Verdict == Again:
			o.await(q, w)
		}
	}
	o.gauge()
}

// leave takes a work that has ended out of the outbox.
func (o *Outbox) leave(q *queue, w *Work) {
	if !w.letter {
		o.release(q, w)
		return
	}
	o.rest(w)
	replayed := "failed"
	if w.Result.Verdict == Done || w.drop {
		replayed = "done"
		if w.drop && w.Result.Verdict != Done {
			replayed = "dropped"
		}
		o.letters.remove(w)
		o.gone = append(o.gone, w.Seq)
	}
	o.metrics.replayed.WithLabelValues(o.metrics.name, replayed).Inc()
}
