package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/outbox"
)

// both runs a test over both implementations, in virtual time.
func both(t *testing.T, f func(t *testing.T, open func(settings) *outbox.Outbox)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f(t, func(s settings) *outbox.Outbox { return openMemory(t, s) })
		})
	})
	t.Run("stored", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			f(t, func(s settings) *outbox.Outbox { return newDiary().open(t, s) })
		})
	})
}

// calls notes the attempts, with the seconds since it was made, and answers them.
type calls struct {
	mu     sync.Mutex
	start  time.Time
	lines  []string
	answer func(id string, nth int) outbox.Result
	nth    map[string]int
}

func newCalls(answer func(id string, nth int) outbox.Result) *calls {
	return &calls{start: time.Now(), answer: answer, nth: map[string]int{}}
}

func (c *calls) worker() worker {
	return worker{
		do: func(_ context.Context, batch []*outbox.Work) {
			c.mu.Lock()
			defer c.mu.Unlock()
			ids := make([]string, len(batch))
			for i, w := range batch {
				ids[i] = w.Job.ID
				c.nth[w.Job.ID]++
				w.Result = c.answer(w.Job.ID, c.nth[w.Job.ID])
			}
			c.note(strings.Join(ids, "+"))
		},
		giveUp: func(w *outbox.Work, why outbox.Condition) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.note(w.Job.ID + " " + string(why))
		},
	}
}

func (c *calls) note(s string) {
	c.lines = append(c.lines, fmt.Sprintf("%.0fs %s", time.Since(c.start).Seconds(), s))
}

func (c *calls) want(t *testing.T, lines ...string) {
	t.Helper()
	synctest.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if diff := cmp.Diff(lines, c.lines); diff != "" {
		t.Error(diff)
	}
	c.lines = nil
}

func done(string, int) outbox.Result { return outbox.Result{} }

func again(wait time.Duration) outbox.Result {
	return outbox.Result{Verdict: outbox.Again, Wait: wait, Attempt: outbox.Attempt{Error: "no"}}
}

func dead() outbox.Result {
	return outbox.Result{Verdict: outbox.Dead, Condition: outbox.RetriesExhausted, Attempt: outbox.Attempt{Error: "never"}}
}

// after advances virtual time.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// A job that failed waits in the outbox and holds up nobody.
func TestRetryWaitsInTheOutbox(t *testing.T) {
	both(t, func(t *testing.T, open func(settings) *outbox.Outbox) {
		t.Helper()
		o := open(settings{})
		c := newCalls(func(id string, nth int) outbox.Result {
			if id == "q-1" && nth < 3 {
				return again(10 * time.Second)
			}
			return outbox.Result{}
		})
		stop := runWorker(t, o, c.worker())
		put(t, o, job("q", 1), job("q", 2))
		c.want(t, "0s q-1", "0s q-2")
		after(30 * time.Second)
		c.want(t, "10s q-1", "20s q-1")
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// Jobs of a lane are done one after the other, in their order, across retries and the
// death of one; other lanes go on.
func TestLaneKeepsItsOrder(t *testing.T) {
	both(t, func(t *testing.T, open func(settings) *outbox.Outbox) {
		t.Helper()
		o := open(settings{concurrency: func(string) int { return 8 }})
		c := newCalls(func(id string, nth int) outbox.Result {
			switch {
			case id == "q-1" && nth == 1:
				return again(5 * time.Second)
			case id == "q-2":
				return dead()
			}
			return outbox.Result{}
		})
		stop := runWorker(t, o, c.worker())
		for i := 1; i <= 4; i++ {
			a, b := job("q", i), job("q", i+10)
			a.Lane, b.Lane = "a", "b"
			put(t, o, a)
			synctest.Wait() // lanes do not wait for each other
			put(t, o, b)
			synctest.Wait()
		}
		c.want(t, "0s q-1", "0s q-11", "0s q-12", "0s q-13", "0s q-14")
		after(5 * time.Second)
		c.want(t, "5s q-1", "5s q-2", "5s q-3", "5s q-4")
		if _, lanes := outbox.Queues(o); lanes != 0 {
			t.Errorf("%d lanes are kept of nothing", lanes)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func batched(n int, spec action.BatchSpec) outbox.Job {
	j := job("q", n)
	j.Batch, j.Delivery = "b", &action.Delivery{Batch: &spec}
	return j
}

// A batch goes at once while there is room, and grows while there is none.
func TestBatchesGrowWhileAllIsBusy(t *testing.T) {
	both(t, func(t *testing.T, open func(settings) *outbox.Outbox) {
		t.Helper()
		o := open(settings{})
		c := newCalls(done)
		w, hold := c.worker(), make(chan struct{})
		do := w.do
		w.do = func(ctx context.Context, batch []*outbox.Work) { do(ctx, batch); <-hold }
		stop := runWorker(t, o, w)
		spec := action.BatchSpec{MaxSize: 3, MaxBytes: 1 << 20}
		put(t, o, batched(1, spec))
		synctest.Wait()
		for i := 2; i <= 6; i++ {
			put(t, o, batched(i, spec))
		}
		c.want(t, "0s q-1")
		hold <- struct{}{}
		c.want(t, "0s q-2+q-3+q-4")
		hold <- struct{}{}
		c.want(t, "0s q-5+q-6")
		close(hold)
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// With a window the first message waits for others, up to the size and the bytes.
func TestBatchWindow(t *testing.T) {
	both(t, func(t *testing.T, open func(settings) *outbox.Outbox) {
		t.Helper()
		o := open(settings{concurrency: func(string) int { return 8 }})
		c := newCalls(done)
		stop := runWorker(t, o, c.worker())
		spec := action.BatchSpec{MaxSize: 3, MaxBytes: 25, Window: 2 * time.Second} // each has 7 bytes
		put(t, o, batched(1, spec), batched(2, spec))
		after(time.Second)
		c.want(t)
		after(time.Second)
		c.want(t, "2s q-1+q-2")
		put(t, o, batched(3, spec), batched(4, spec), batched(5, spec), batched(6, spec))
		c.want(t, "2s q-3+q-4+q-5")
		after(3 * time.Second)
		c.want(t, "4s q-6")
		big := batched(7, spec)
		big.Payload = make([]byte, 20)
		put(t, o, big, batched(8, spec))
		c.want(t, "5s q-7")
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A batch that is to be smaller next time is, and nothing new joins its rest.
func TestSmallerBatches(t *testing.T) {
	both(t, func(t *testing.T, open func(settings) *outbox.Outbox) {
		t.Helper()
		o := open(settings{})
		var size int
		c := newCalls(func(id string, nth int) outbox.Result {
			if id == "q-3" && nth <= 3 || nth < 3 && size > 1 {
				return outbox.Result{Verdict: outbox.Again, Smaller: max(1, size/2), Attempt: outbox.Attempt{Error: "poison"}}
			}
			return outbox.Result{}
		})
		w := c.worker()
		do := w.do
		w.do = func(ctx context.Context, batch []*outbox.Work) { size = len(batch); do(ctx, batch) }
		spec := action.BatchSpec{MaxSize: 10, MaxBytes: 1 << 20}
		put(t, o, batched(1, spec), batched(2, spec), batched(3, spec), batched(4, spec))
		stop := runWorker(t, o, w)
		c.want(t, "0s q-1+q-2+q-3+q-4", "0s q-1+q-2", "0s q-3+q-4", "0s q-1", "0s q-2", "0s q-3", "0s q-4", "0s q-3")
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A queue whose gate is closed is left alone until the gate says so, and what becomes
// too old meanwhile is given up.
func TestClosedGate(t *testing.T) {
	both(t, func(t *testing.T, open func(settings) *outbox.Outbox) {
		t.Helper()
		opens := time.Now().Add(time.Minute)
		asked := 0
		o := open(settings{gate: func(string) (int, time.Time) {
			asked++
			if time.Now().Before(opens) {
				return 0, opens
			}
			return 1, time.Time{}
		}})
		c := newCalls(done)
		stop := runWorker(t, o, c.worker())
		old := job("q", 1)
		old.Delivery = &action.Delivery{Retry: &action.RetrySpec{MaxAge: 30 * time.Second}}
		put(t, o, old)
		put(t, o, job("q", 2))
		after(time.Hour)
		c.want(t, "60s q-1 EventAgeExceeded", "60s q-2")
		if asked > 10 {
			t.Errorf("the gate was asked %d times", asked)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// Instead of refusing new jobs, the outbox can push out the oldest that wait.
func TestPushOut(t *testing.T) {
	both(t, func(t *testing.T, open func(settings) *outbox.Outbox) {
		t.Helper()
		o := open(settings{limits: outbox.Limits{Jobs: 2, DropOldest: true}, letters: &outbox.LetterLimits{}})
		for i := range 4 {
			put(t, o, job(fmt.Sprintf("q%d", i), 0))
		}
		c := newCalls(done)
		stop := runWorker(t, o, c.worker())
		synctest.Wait()
		slices.Sort(c.lines)
		c.want(t, "0s q0-0 PushedOut", "0s q1-0 PushedOut", "0s q2-0", "0s q3-0")
		if got := letters(o); got != "q0-0 PushedOut 0, q1-0 PushedOut 0" {
			t.Errorf("letters: %s", got)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// letters lists the dead letters: id, condition, attempts.
func letters(o *outbox.Outbox) string {
	var lines []string
	for _, l := range o.Letters(every) {
		line := fmt.Sprintf("%s %s %d", l.Job.ID, l.State.Condition, l.State.Tried)
		if l.Replaying {
			line += " replaying"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, ", ")
}

func every(*outbox.Letter) bool { return true }

// A dead letter is tried again on demand, once at a time, elsewhere if asked; it is
// listed until it has succeeded, and stays when it fails.
func TestReplay(t *testing.T) {
	both(t, func(t *testing.T, open func(settings) *outbox.Outbox) {
		t.Helper()
		o := open(settings{letters: &outbox.LetterLimits{}})
		works := map[string]bool{}
		c := newCalls(func(id string, _ int) outbox.Result {
			if works[id] {
				return outbox.Result{}
			}
			return dead()
		})
		stop := runWorker(t, o, c.worker())
		for i := 1; i <= 3; i++ {
			j := job("q", i)
			j.Lane = "lane"
			put(t, o, j)
		}
		c.want(t, "0s q-1", "0s q-2", "0s q-3")
		if got := letters(o); got != "q-1 RetriesExhausted 1, q-2 RetriesExhausted 1, q-3 RetriesExhausted 1" {
			t.Errorf("letters: %s", got)
		}
		works["q-1"], works["q-3"] = true, true
		if n := o.Replay(every, 0.5, nil); n != 3 {
			t.Errorf("%d are replayed", n)
		}
		if n := o.Replay(every, 0, nil); n != 0 {
			t.Errorf("%d are replayed twice", n)
		}
		if got := letters(o); !strings.Contains(got, "q-2 RetriesExhausted 1 replaying") {
			t.Errorf("letters: %s", got)
		}
		after(time.Minute)
		c.want(t, "0s q-1", "2s q-2", "4s q-3")
		if got := letters(o); got != "q-2 RetriesExhausted 2" {
			t.Errorf("letters: %s", got)
		}
		n := o.Replay(every, 0, func(j *outbox.Job) { j.Queue = "other"; j.ID += "-elsewhere" })
		c.want(t, "60s q-2-elsewhere")
		if got := letters(o); n != 1 || got != "q-2 RetriesExhausted 3" {
			t.Errorf("%d, letters: %s", n, got)
		}
		if n := o.Drop(every); n != 1 || letters(o) != "" {
			t.Errorf("%d dropped, letters: %s", n, letters(o))
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

func TestLettersAreBounded(t *testing.T) {
	both(t, func(t *testing.T, open func(settings) *outbox.Outbox) {
		t.Helper()
		o := open(settings{letters: &outbox.LetterLimits{Letters: 3, Age: time.Hour}})
		stop := runWorker(t, o, newCalls(func(string, int) outbox.Result { return dead() }).worker())
		for i := range 300 {
			put(t, o, job("q", i))
		}
		synctest.Wait()
		if got := letters(o); got != "q-297 RetriesExhausted 1, q-298 RetriesExhausted 1, q-299 RetriesExhausted 1" {
			t.Errorf("letters: %s", got)
		}
		after(time.Hour + time.Minute)
		if got := letters(o); got != "" {
			t.Errorf("letters: %s", got)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// What is in the Log comes back after a crash: jobs in their order, those that wait for
// their time, dead letters.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		o := d.open(t, settings{letters: &outbox.LetterLimits{}, concurrency: func(string) int { return 8 }})
		hold := make(chan struct{})
		c := newCalls(func(id string, _ int) outbox.Result {
			switch id {
			case "q-1":
				return again(time.Hour)
			case "q-2":
				return dead()
			}
			return outbox.Result{}
		})
		w := c.worker()
		do := w.do
		w.do = func(ctx context.Context, batch []*outbox.Work) {
			do(ctx, batch)
			if batch[0].Job.ID == "q-3" {
				<-hold
			}
		}
		stop := runWorker(t, o, w)
		for i := 1; i <= 6; i++ {
			j := job("q", i)
			if i >= 3 {
				j.Lane = "lane"
			}
			put(t, o, j)
			synctest.Wait()
		}
		c.want(t, "0s q-1", "0s q-2", "0s q-3")
		d.sync()
		after(time.Minute)
		next := d.crash()
		close(hold)
		if err := stop(); err != nil {
			t.Error(err)
		}

		o = next.open(t, settings{letters: &outbox.LetterLimits{}, concurrency: func(string) int { return 8 }})
		put(t, o, job("q", 7))
		if got := letters(o); got != "q-2 RetriesExhausted 1" {
			t.Errorf("letters: %s", got)
		}
		c = newCalls(done)
		var restored []string
		w = c.worker()
		w.restore = func(all []*outbox.Work) {
			for _, one := range all {
				restored = append(restored, one.Job.ID)
			}
		}
		stop = runWorker(t, o, w)
		synctest.Wait()
		if diff := cmp.Diff([]string{"q-1", "q-2", "q-3", "q-4", "q-5", "q-6"}, restored); diff != "" {
			t.Error(diff)
		}
		slices.SortFunc(c.lines, func(a, b string) int { // the one without a lane may come in between
			return strings.Compare(strings.TrimSuffix(a, "q-7"), strings.TrimSuffix(b, "q-7"))
		})
		c.want(t, "0s q-7", "0s q-3", "0s q-4", "0s q-5", "0s q-6")
		after(time.Hour)
		c.want(t, "3540s q-1")
		if err := stop(); err != nil {
			t.Error(err)
		}
		if len(next.kept) != 1 {
			t.Errorf("%d entries are kept, want the dead letter", len(next.kept))
		}
	})
}

// At random moments of random work the process is killed: nothing is lost, and a lane's
// jobs come in their order, whatever of the lazy writes is lost.
func TestCrashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const lanes, rounds, each = 5, 20, 30
		d := newDiary()
		var mu sync.Mutex
		reached := map[string]int{} // by lane: the highest number done
		seen := map[string]bool{}
		accepted := map[string]bool{}
		n := 0
		for range rounds {
			o := d.open(t, settings{concurrency: func(string) int { return 3 }})
			w := worker{do: func(_ context.Context, batch []*outbox.Work) {
				<-time.After(time.Duration(len(batch[0].Job.ID)%3) * time.Millisecond)
				mu.Lock()
				defer mu.Unlock()
				for _, one := range batch {
					var num int
					_, _ = fmt.Sscanf(one.Job.ID, "q-%d", &num)
					if !seen[one.Job.ID] && num < reached[one.Job.Lane] {
						t.Errorf("%s of lane %s came for the first time after %d", one.Job.ID, one.Job.Lane, reached[one.Job.Lane])
					}
					if num%7 == 0 && one.State.Tried < 2 {
						one.Result = again(3 * time.Millisecond)
						return
					}
					seen[one.Job.ID] = true
					reached[one.Job.Lane] = max(reached[one.Job.Lane], num)
				}
			}}
			stop := runWorker(t, o, w)
			for range each {
				n++
				j := job("q", n)
				j.Lane = fmt.Sprint(n % lanes)
				put(t, o, j)
				accepted[j.ID] = true
				if n%10 == 0 {
					<-time.After(time.Millisecond)
				}
				if n%17 == 0 {
					d.sync()
				}
			}
			next := d.crash()
			_ = stop()
			d = next
		}
		o := d.open(t, settings{})
		stop := runWorker(t, o, worker{do: func(_ context.Context, batch []*outbox.Work) { seen[batch[0].Job.ID] = true }})
		after(time.Hour)
		if err := stop(); err != nil {
			t.Error(err)
		}
		for id := range accepted {
			if !seen[id] {
				t.Errorf("%s is lost", id)
			}
		}
	})
}

var errDisk = errors.New("no space left on device")

// What cannot be stored is refused, at once or later, and not done.
func TestStoreThatCannotBeWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		o := d.open(t, settings{})
		d.fail = errDisk
		if err := tryPut(t.Context(), o, job("q", 1)); !errors.Is(err, errDisk) {
			t.Errorf("got %v", err)
		}
		d.fail, d.failed = nil, errDisk
		if err := tryPut(t.Context(), o, job("q", 2)); !errors.Is(err, errDisk) {
			t.Errorf("got %v", err)
		}
		d.failed = nil
		put(t, o, job("q", 3))
		c := newCalls(done)
		stop := runWorker(t, o, c.worker())
		c.want(t, "0s q-3")
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
