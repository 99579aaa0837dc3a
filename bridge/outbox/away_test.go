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

	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/internal/journal"
	"github.com/topicwire/topicwire/internal/natsd"
)

var errTrouble = errors.New("the disk makes trouble")

// trouble is a server that lets so many writes through; all if left is negative.
type trouble struct {
	*natsd.Server
	mu   sync.Mutex
	left int
	mend chan struct{}
}

func (f *trouble) allow(n int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.left = n
}

func (f *trouble) Room(n int, _ bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case n == 0 || f.left < 0:
		return nil
	case f.left == 0:
		return errTrouble
	}
	f.left--
	return nil
}

func (f *trouble) Mend(context.Context) {
	select {
	case f.mend <- struct{}{}:
	default:
	}
}

// openTrouble opens a JournalLog over a server that makes trouble.
func openTrouble(t *testing.T, o journal.Options) (*outbox.JournalLog, *journal.Journal, *trouble) {
	t.Helper()
	s, err := natsd.Open(t.Context(), natsd.Config{Dir: t.TempDir()}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	f := &trouble{Server: s, left: -1, mend: make(chan struct{})}
	o.Patience = 50 * time.Millisecond
	l, j := reopenTrouble(t, f, o)
	t.Cleanup(func() {
		_ = j.Close()
		s.Close()
	})
	return l, j, f
}

func reopenTrouble(t *testing.T, s journal.Server, o journal.Options) (*outbox.JournalLog, *journal.Journal) {
	t.Helper()
	j := journal.New(s, o)
	l := outbox.NewJournalLog(j)
	if err := j.Replay(t.Context()); err != nil {
		t.Fatal(err)
	}
	return l, j
}

// The end of the outbox does not wait for a store that is away: that is the journal's
// business, which has a limit.
func TestEndWhileTheStoreIsAway(t *testing.T) {
	l, _, f := openTrouble(t, journal.Options{})
	store(t, l, outbox.Entry{Seq: 1})
	f.allow(0)
	l.Delete(1)
	receive(t, f.mend, "failure")
	closed := make(chan error, 1)
	go func() { closed <- l.Close() }()
	if err := receive(t, closed, "end of Close"); err != nil {
		t.Error(err)
	}
}

// What jobs share, and was put while too much waited for a store that was away, is there
// when what refers to it is.
func TestWhatWasDroppedIsReferredTo(t *testing.T) {
	l, j, f := openTrouble(t, journal.Options{MaxPending: 4 << 10, Tidy: 1 << 30})
	for i := range uint64(40) { // more than is written anew in one go
		store(t, l, outbox.Entry{Seq: 1 + i, Job: outbox.Job{Task: action.Task{Payload: make([]byte, 64<<10)}}})
	}
	f.allow(0)
	l.Delete(1)
	receive(t, f.mend, "failure")
	spec := action.Spec{Lambda: &action.LambdaSpec{Function: "f"}}
	put := func(seq uint64) {
		t.Helper()
		if _, err := l.Put([]outbox.Entry{{Seq: seq, Job: outbox.Job{Task: action.Task{Spec: spec}}}}, true); err != nil {
			t.Fatal(err)
		}
	}
	put(100)
	for range 100 { // until it is dropped
		l.Set(outbox.Entry{Seq: 2, State: outbox.State{Attempts: []outbox.Attempt{{Error: strings.Repeat("x", 1000)}}}})
	}
	put(101)
	f.allow(2) // what is in flight, and what waits
	for range 2 {
		receive(t, f.mend, "failure")
	}
	next, other := reopenTrouble(t, f.Server, journal.Options{}) // as after a crash now
	found := map[uint64]bool{}
	for _, e := range load(t, next) {
		found[e.Seq] = true
	}
	if !found[100] || !found[101] {
		t.Errorf("what was put is lost: %v", found)
	}
	_, _ = j, other.Close()
}

// What failed attempts take in memory counts.
func TestAttemptsCount(t *testing.T) {
	both(t, func(t *testing.T, open func(settings) *outbox.Outbox) {
		t.Helper()
		o := open(settings{limits: outbox.Limits{Bytes: 40 << 10}})
		n := 0
		c := newCalls(func(id string, nth int) outbox.Result {
			if id == "q-1" && nth <= 50 {
				n++
				return outbox.Result{Verdict: outbox.Again, Wait: time.Second, Attempt: outbox.Attempt{Error: fmt.Sprint(n, strings.Repeat("x", 4000))}}
			}
			return outbox.Result{}
		})
		stop := runWorker(t, o, c.worker())
		put(t, o, job("q", 1))
		after(30 * time.Second)
		if err := tryPut(t.Context(), o, job("q", 2)); !errors.Is(err, outbox.ErrFull) {
			t.Errorf("10 errors of 4,000 bytes take nothing: %v", err)
		}
		after(30 * time.Second)
		put(t, o, job("q", 3))
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// Letters go in the order of their deaths, also after a restart and after a replay that
// has failed.
func TestLettersGoInTheOrderOfTheirDeaths(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		s := settings{letters: &outbox.LetterLimits{Letters: 2, Age: time.Hour}, concurrency: func(string) int { return 8 }}
		c := newCalls(func(id string, nth int) outbox.Result {
			if id == "q-1" && nth == 1 {
				return again(30 * time.Minute)
			}
			return dead()
		})
		o := d.open(t, s)
		stop := runWorker(t, o, c.worker())
		put(t, o, job("q", 1), job("q", 2))
		after(50 * time.Minute) // q-2 has died at 0, q-1 at 30 minutes
		if err := stop(); err != nil {
			t.Error(err)
		}
		o = d.open(t, s)
		stop = runWorker(t, o, c.worker())
		after(15 * time.Minute)
		if got := letters(o); got != "q-1 RetriesExhausted 2" {
			t.Errorf("letters after 65 minutes: %s", got)
		}
		put(t, o, job("q", 3))
		synctest.Wait()
		o.Replay(func(l *outbox.Letter) bool { return l.Job.ID == "q-1" }, 0, nil) // dies after q-3
		synctest.Wait()
		put(t, o, job("q", 4))
		synctest.Wait()
		if got := letters(o); got != "q-1 RetriesExhausted 3, q-4 RetriesExhausted 1" {
			t.Errorf("letters in the end: %s", got)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A clock that was a year ahead and has been put right makes nobody wait for a year.
func TestClockThatWasAhead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		ahead := time.Now().Add(365 * 24 * time.Hour)
		j := job("q", 1)
		j.Accepted = ahead
		j.Delivery = &action.Delivery{Retry: &action.RetrySpec{MaxAge: time.Hour}}
		lane := job("q", 2)
		lane.Accepted, lane.Lane = ahead, "lane"
		state := outbox.State{Attempts: []outbox.Attempt{{At: ahead, Error: "no"}}, Tried: 1, Due: ahead.Add(10 * time.Second)}
		for seq, j := range []outbox.Job{j, lane} {
			_, _ = d.Put([]outbox.Entry{{Seq: uint64(seq + 1), Job: j, State: state}}, false)
		}
		o := d.open(t, settings{})
		c := newCalls(func(id string, _ int) outbox.Result {
			if id == "q-1" {
				return again(10 * time.Minute)
			}
			return outbox.Result{}
		})
		stop := runWorker(t, o, c.worker())
		after(2 * time.Hour)
		c.want(t, "10s q-1", "10s q-2", "610s q-1", "1210s q-1", "1810s q-1", "2410s q-1", "3010s q-1", "3610s q-1 EventAgeExceeded")
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A replay of dead letters goes on after a restart: at its pace, and to where it was sent.
func TestReplayGoesOnAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		s := settings{letters: &outbox.LetterLimits{}}
		broken := true
		c := newCalls(func(string, int) outbox.Result {
			if broken {
				return dead()
			}
			return outbox.Result{}
		})
		w := c.worker()
		do := w.do
		var queues []string
		w.do = func(ctx context.Context, batch []*outbox.Work) {
			queues = append(queues, batch[0].Job.Queue+" "+batch[0].Job.Spec.Lambda.Function)
			do(ctx, batch)
		}
		o := d.open(t, s)
		stop := runWorker(t, o, w)
		for i := 1; i <= 4; i++ {
			put(t, o, job("q", i))
		}
		c.want(t, "0s q-1", "0s q-2", "0s q-3", "0s q-4")
		broken, queues = false, nil
		notThird := func(l *outbox.Letter) bool { return l.Job.ID != "q-3" }
		if n := o.Replay(notThird, 0.1, func(j *outbox.Job) {
			j.Queue, j.Spec = "other", action.Spec{Lambda: &action.LambdaSpec{Function: "fixed"}}
		}); n != 3 {
			t.Errorf("%d are replayed", n)
		}
		after(5 * time.Second)
		d.sync()
		next := d.crash()
		if err := stop(); err != nil {
			t.Error(err)
		}
		after(time.Hour)
		c.want(t, "0s q-1")
		o = next.open(t, s)
		stop = runWorker(t, o, w)
		after(time.Hour)
		c.want(t, "3605s q-2", "3615s q-4")
		if got := letters(o); got != "q-3 RetriesExhausted 1" {
			t.Errorf("letters: %s", got)
		}
		if got := strings.Join(queues, ", "); got != "other fixed, other fixed, other fixed" {
			t.Errorf("went to %s", got)
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A letter whose replay has failed is not tried again by the next start.
func TestReplayThatHasFailedIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		s := settings{letters: &outbox.LetterLimits{}}
		c := newCalls(func(string, int) outbox.Result { return dead() })
		for life := range 2 {
			o := d.open(t, s)
			stop := runWorker(t, o, c.worker())
			if life == 0 {
				put(t, o, job("q", 1))
				synctest.Wait()
				o.Replay(every, 0, nil)
			}
			synctest.Wait()
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
		c.want(t, "0s q-1", "0s q-1")
	})
}

// A dead letter that is dropped while it is tried again is not tried once more.
func TestDropWhileItIsTriedAgain(t *testing.T) {
	both(t, func(t *testing.T, open func(settings) *outbox.Outbox) {
		t.Helper()
		o := open(settings{letters: &outbox.LetterLimits{}})
		hold := make(chan struct{}, 1)
		c := newCalls(func(_ string, nth int) outbox.Result {
			if nth == 1 {
				return dead()
			}
			return again(time.Minute)
		})
		w := c.worker()
		do := w.do
		w.do = func(ctx context.Context, batch []*outbox.Work) {
			do(ctx, batch)
			if batch[0].Replay {
				<-hold
			}
		}
		stop := runWorker(t, o, w)
		put(t, o, job("q", 1))
		synctest.Wait()
		o.Replay(every, 0, nil)
		synctest.Wait()
		if n := o.Drop(every); n != 1 || letters(o) != "" {
			t.Errorf("%d dropped, letters: %s", n, letters(o))
		}
		close(hold)
		after(time.Hour)
		c.want(t, "0s q-1", "0s q-1")
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A message that does not fit into the outbox at all pushes nothing out.
func TestWhatNeverFitsPushesNothingOut(t *testing.T) {
	both(t, func(t *testing.T, open func(settings) *outbox.Outbox) {
		t.Helper()
		small := job("q", 0)
		o := open(settings{limits: outbox.Limits{Bytes: 3 * small.Size(), QueueBytes: 3 * small.Size(), DropOldest: true}, letters: &outbox.LetterLimits{}})
		put(t, o, job("q", 1), job("q", 2))
		large := job("q", 3)
		large.Payload = make([]byte, 3*small.Size())
		if err := tryPut(t.Context(), o, job("q", 4), large); !errors.Is(err, outbox.ErrFull) {
			t.Errorf("got %v", err)
		}
		c := newCalls(done)
		stop := runWorker(t, o, c.worker())
		c.want(t, "0s q-1", "0s q-2")
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// The next job of a lane does not wait for the retry of one that was pushed out.
func TestLaneGoesOnAfterPushOut(t *testing.T) {
	both(t, func(t *testing.T, open func(settings) *outbox.Outbox) {
		t.Helper()
		o := open(settings{limits: outbox.Limits{Jobs: 2, DropOldest: true}, letters: &outbox.LetterLimits{}})
		c := newCalls(func(id string, _ int) outbox.Result {
			if id == "q-1" {
				return again(time.Hour)
			}
			return outbox.Result{}
		})
		stop := runWorker(t, o, c.worker())
		for i := 1; i <= 3; i++ {
			j := job("q", i)
			j.Lane = "lane"
			put(t, o, j)
			synctest.Wait()
		}
		slices.Sort(c.lines) // who was pushed out is told beside the others
		c.want(t, "0s q-1", "0s q-1 PushedOut", "0s q-2", "0s q-3")
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}

// A job that could not be stored after all is not tried again when the attempt that is
// under way has failed: its publisher was told to send it again.
func TestWhatCouldNotBeStoredIsNotTriedAgain(t *testing.T) {
	for name, outcome := range map[string]outbox.Result{"again": again(time.Second), "dead": dead()} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDiary()
				o := d.open(t, settings{letters: &outbox.LetterLimits{}})
				c := newCalls(func(string, int) outbox.Result { return outcome })
				w, hold := c.worker(), make(chan struct{})
				do := w.do
				w.do = func(ctx context.Context, batch []*outbox.Work) { do(ctx, batch); <-hold }
				stop := runWorker(t, o, w)
				d.failed = errDisk
				pending, err := o.Put(t.Context(), job("q", 1))
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait() // it is under way
				told := make(chan error, 1)
				pending.Then(func(err error) { told <- err })
				if err := <-told; !errors.Is(err, errDisk) {
					t.Errorf("its publisher is told %v", err)
				}
				close(hold)
				after(time.Hour)
				c.want(t, "0s q-1")
				if got := letters(o); got != "" {
					t.Errorf("letters: %s", got)
				}
				if err := stop(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// A replay can be ended: the letters that wait for theirs stay what they were, an attempt
// that is under way is the last, and no restart goes on with it.
func TestStopReplay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDiary()
		s := settings{letters: &outbox.LetterLimits{}}
		c := newCalls(func(_ string, nth int) outbox.Result {
			if nth == 1 {
				return dead()
			}
			return again(time.Second)
		})
		w, hold := c.worker(), make(chan struct{})
		do := w.do
		w.do = func(ctx context.Context, batch []*outbox.Work) {
			do(ctx, batch)
			if batch[0].Replay {
				<-hold
			}
		}
		o := d.open(t, s)
		stop := runWorker(t, o, w)
		for i := 1; i <= 3; i++ {
			put(t, o, job("q", i))
		}
		synctest.Wait()
		o.Replay(every, 0.01, func(j *outbox.Job) { j.Queue = "other" })
		synctest.Wait()
		if n := o.Stop(func(l *outbox.Letter) bool { return l.Job.ID != "q-3" }); n != 2 {
			t.Errorf("%d are stopped", n)
		}
		close(hold)
		synctest.Wait()
		if got := letters(o); got != "q-1 RetriesExhausted 2, q-2 RetriesExhausted 1, q-3 RetriesExhausted 1 replaying" {
			t.Errorf("letters: %s", got)
		}
		if n := o.Stop(every); n != 1 {
			t.Errorf("%d are stopped", n)
		}
		for _, l := range o.Letters(every) {
			if l.Job.Queue != "q" {
				t.Errorf("%s is in queue %s", l.Job.ID, l.Job.Queue)
			}
		}
		if err := stop(); err != nil {
			t.Error(err)
		}
		stop = runWorker(t, d.open(t, s), w)
		after(time.Hour)
		c.want(t, "0s q-1", "0s q-2", "0s q-3", "0s q-1")
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
}
