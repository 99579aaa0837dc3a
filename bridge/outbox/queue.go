package outbox

import (
	"slices"
	"time"

	"github.com/topicwire/topicwire/bridge/action"
)

// queue is what waits for one target.
type queue struct {
	name    string
	age     list              // everything, the oldest first
	plain   group             // the jobs that go alone
	batches map[string]*group // the others, by Job.Batch
	turn    []*group          // those that have something to hand out, in turn
	lanes   map[string]*lane
	running int // invocations
	jobs    int
	bytes   int64
	wake    *alarm // at the end of a time in which none may run
}

// group is the jobs of a queue that may share an invocation or, in the plain one, the
// jobs that go alone.
type group struct {
	key    string
	spec   *action.BatchSpec // nil in the plain group
	back   list              // those that were tried before; they go first
	ready  list
	bytes  int64
	queued bool   // it has its turn
	window *alarm // runs since the first job came
	passed bool   // the window has passed
}

// lane is the jobs of a queue that are done one after the other. It exists as long as
// it has any, so there are never more lanes than jobs.
type lane struct {
	name  string
	waits list
	out   int    // handed out, or next to be
	pause *alarm // until its first job may be tried again
}

func newQueue(name string) *queue {
	return &queue{name: name, age: list{which: byAge}}
}

// queueOf finds or makes a queue.
func (o *Outbox) queueOf(name string) *queue {
	q := o.queues[name]
	if q == nil {
		q = newQueue(name)
		o.queues[name] = q
	}
	return q
}

// reserve makes a place for a work: from now on it counts.
func (o *Outbox) reserve(w *Work) *queue {
	q := o.queueOf(w.Job.Queue)
	w.queue = q
	q.age.push(w)
	q.jobs++
	q.bytes += w.size
	o.jobs++
	o.bytes += w.size
	return q
}

// release gives the place back.
func (o *Outbox) release(q *queue, w *Work) {
	q.age.remove(w)
	q.jobs--
	q.bytes -= w.size
	o.jobs--
	o.bytes -= w.size
	if o.jobs == 0 && o.empty != nil {
		close(o.empty)
		o.empty = nil
	}
	o.tidy(q)
}

// reweigh counts what a work takes by now: what it has failed of is kept with it.
func (o *Outbox) reweigh(q *queue, w *Work) {
	if w.letter {
		return
	}
	more := w.weight() - w.size
	w.size += more
	q.bytes += more
	o.bytes += more
}

// tidy gives back a queue that has nothing, if there are many.
func (o *Outbox) tidy(q *queue) {
	if q.jobs == 0 && q.running == 0 && len(q.turn) == 0 && len(q.lanes) == 0 && q.wake == nil && len(o.queues) > idleQueues && o.queues[q.name] == q {
		delete(o.queues, q.name)
	}
}

// enter lets a work wait for its turn, which may come at once.
func (o *Outbox) enter(q *queue, w *Work) {
	o.place(q, w)
	o.spawn(q)
}

// place lets a work wait: in its lane, for its time, or for its turn.
func (o *Outbox) place(q *queue, w *Work) {
	if w.Job.Lane != "" {
		o.laneOf(q, w).waits.push(w)
		o.promote(q, w.lane)
		return
	}
	o.await(q, w)
}

func (o *Outbox) laneOf(q *queue, w *Work) *lane {
	if w.lane != nil {
		return w.lane
	}
	l := q.lanes[w.Job.Lane]
	if l == nil {
		if q.lanes == nil {
			q.lanes = make(map[string]*lane)
		}
		l = &lane{name: w.Job.Lane}
		q.lanes[w.Job.Lane] = l
	}
	w.lane = l
	return l
}

// await lets a work without a lane wait for its time.
func (o *Outbox) await(q *queue, w *Work) {
	if at := o.due(w); !at.IsZero() {
		w.timer = o.clock.set(at, func() {
			w.timer = nil
			o.ready(q, w)
			o.spawn(q)
		})
		return
	}
	o.ready(q, w)
}

// promote makes a lane's first job ready if none of the lane is under way.
func (o *Outbox) promote(q *queue, l *lane) {
	if l.out > 0 || l.pause != nil {
		return
	}
	w := l.waits.head
	if w == nil {
		if q.lanes[l.name] == l {
			delete(q.lanes, l.name)
		}
		return
	}
	if at := o.due(w); !at.IsZero() {
		l.pause = o.clock.set(at, func() {
			l.pause = nil
			o.promote(q, l)
			o.spawn(q)
		})
		return
	}
	l.waits.remove(w)
	l.out++
	o.ready(q, w)
}

// due is when a work may be tried; zero for now. When memory ends nothing waits.
func (o *Outbox) due(w *Work) time.Time {
	if at := w.State.Due; o.phase == open && !at.IsZero() && at.After(time.Now()) {
		return at
	}
	return time.Time{}
}

// ready lets a work wait for its turn alone.
func (o *Outbox) ready(q *queue, w *Work) {
	g := q.groupOf(w)
	w.group = g
	if w.Tries() > 0 || w.most > 0 || !w.Replay && w.State.Split > 0 {
		g.back.push(w)
	} else {
		g.ready.push(w)
	}
	g.bytes += int64(len(w.Job.Payload))
	o.giveTurn(q, g)
}

func (q *queue) groupOf(w *Work) *group {
	spec := w.Job.batch()
	if spec == nil {
		return &q.plain
	}
	g := q.batches[w.Job.Batch]
	if g == nil {
		if q.batches == nil {
			q.batches = make(map[string]*group)
		}
		g = &group{key: w.Job.Batch, spec: spec}
		q.batches[w.Job.Batch] = g
	}
	return g
}

func (g *group) len() int { return g.back.n + g.ready.n }

// giveTurn lets a group take part in the turns, now or when its window has passed.
func (o *Outbox) giveTurn(q *queue, g *group) {
	if g.queued || g.len() == 0 {
		return
	}
	if s := g.spec; s != nil && s.Window > 0 && g.back.n == 0 && !g.passed && o.phase == open &&
		g.len() < s.MaxSize && g.bytes < s.MaxBytes {
		if g.window == nil {
			g.window = o.clock.set(time.Now().Add(s.Window), func() {
				g.window, g.passed = nil, true
				o.giveTurn(q, g)
				o.spawn(q)
			})
		}
		return
	}
	g.queued = true
	q.turn = append(q.turn, g)
}

// available is how many invocations the waiting jobs would fill.
func (q *queue) available() (n int) {
	for _, g := range q.turn {
		if g.spec == nil {
			n += g.len()
		} else {
			n += (g.len() + g.spec.MaxSize - 1) / g.spec.MaxSize
		}
	}
	return n
}

// take takes the jobs of the next invocation into batch. The first may be too old,
// and is then alone.
func (o *Outbox) take(q *queue, batch []*Work) []*Work {
	g := q.turn[0]
	q.turn = slices.Delete(q.turn, 0, 1)
	g.queued = false
	w := g.first()
	g.out(w)
	batch = append(batch, w)
	if g.spec != nil {
		if now := time.Now(); !o.tooOld(w, now) {
			batch = o.gather(g, now, batch)
		}
		g.passed = false
		o.clock.cancel(g.window)
		g.window = nil
		if g.len() == 0 {
			delete(q.batches, g.key)
		}
	}
	o.giveTurn(q, g)
	return batch
}

func (g *group) first() *Work {
	if g.back.head != nil {
		return g.back.head
	}
	return g.ready.head
}

// out takes a work out of the group.
func (g *group) out(w *Work) {
	w.in.remove(w)
	g.bytes -= int64(len(w.Job.Payload))
}

// gather fills a batch that has its first job: with what comes next in the lane of
// the last one, else with the group's next. In the end it is in the order of Seq.
func (o *Outbox) gather(g *group, now time.Time, batch []*Work) []*Work {
	bounded := batch[0].most > 0
	most, left := g.spec.MaxSize, g.spec.MaxBytes-int64(len(batch[0].Job.Payload))
	if bounded {
		most = min(most, batch[0].most)
	}
	fits := func(w *Work) bool {
		return w != nil && w.Job.Batch == g.key && (w.most > 0) == bounded && (!bounded || len(batch) < w.most) &&
			int64(len(w.Job.Payload)) <= left && !o.tooOld(w, now)
	}
	for len(batch) < most {
		var w *Work
		l := batch[len(batch)-1].lane
		if l != nil && fits(l.waits.head) {
			w = l.waits.head
			l.waits.remove(w)
			l.out++
		} else if w = g.first(); fits(w) {
			g.out(w)
		} else {
			break
		}
		left -= int64(len(w.Job.Payload))
		if bounded {
			most = min(most, w.most)
		}
		batch = append(batch, w)
	}
	slices.SortFunc(batch, func(a, b *Work) int { return compare(a.Seq, b.Seq) })
	return batch
}

func compare(a, b uint64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	default:
		return 0
	}
}

// tooOld reports whether a work's time is over.
func (o *Outbox) tooOld(w *Work, now time.Time) bool {
	age := o.limits.Age
	if most := w.Job.Delivery.Age(); most > 0 && (age == 0 || most < age) {
		age = most
	}
	return age > 0 && now.Sub(w.born) > age
}

// waiting reports whether a work waits, for its turn or its time.
func (o *Outbox) waiting(w *Work) bool { return w.in != nil || w.timer != nil }

// remove takes a waiting work out.
func (o *Outbox) remove(w *Work) {
	q := w.queue
	first := w.lane != nil && w.lane.waits.head == w
	o.clock.cancel(w.timer)
	w.timer = nil
	if g := w.group; w.in != nil && g != nil && (w.in == &g.ready || w.in == &g.back) {
		g.out(w)
		if w.lane != nil {
			w.lane.out--
		}
		o.skipTurn(q, g)
	} else if w.in != nil {
		w.in.remove(w)
	}
	if l := w.lane; l != nil {
		w.lane = nil
		if first {
			o.clock.cancel(l.pause) // it was for this one
			l.pause = nil
		}
		o.promote(q, l)
		o.spawn(q)
	}
	if !w.letter {
		o.release(q, w)
	}
}

// skipTurn takes the turn from a group that has nothing left.
func (o *Outbox) skipTurn(q *queue, g *group) {
	if g.len() > 0 {
		return
	}
	if g.queued {
		g.queued = false
		q.turn = slices.DeleteFunc(q.turn, func(other *group) bool { return other == g })
	}
	o.clock.cancel(g.window)
	g.window = nil
	if g.spec != nil {
		delete(q.batches, g.key)
	}
}
