package outbox_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/message"
)

// settings are what the suite asks of an outbox.
type settings struct {
	limits      outbox.Limits
	concurrency func(queue string) int
	drain       time.Duration
	letters     *outbox.LetterLimits
	gate        func(queue string) (int, time.Time)
	metrics     prometheus.Registerer
}

func (s settings) options() outbox.Options {
	o := outbox.Options{Limits: s.limits, Drain: s.drain, Letters: s.letters, Gate: s.gate, Metrics: s.metrics}
	if s.concurrency != nil {
		o.Gate = func(queue string) (int, time.Time) { return s.concurrency(queue), time.Time{} }
	}
	return o
}

// worker is a Worker as small as can be.
type worker struct {
	restore func([]*outbox.Work)
	do      func(ctx context.Context, batch []*outbox.Work)
	giveUp  func(w *outbox.Work, why outbox.Condition)
}

func (w worker) Restore(all []*outbox.Work) {
	if w.restore != nil {
		w.restore(all)
	}
}

func (w worker) Do(ctx context.Context, batch []*outbox.Work) { w.do(ctx, batch) }

func (w worker) GiveUp(_ context.Context, one *outbox.Work, why outbox.Condition) {
	if w.giveUp != nil {
		w.giveUp(one, why)
	}
}

// each makes a worker of a func that does one job; an error means that it is undone.
func each(do func(context.Context, outbox.Job) error) worker {
	return worker{do: func(ctx context.Context, batch []*outbox.Work) {
		for _, w := range batch {
			if err := do(ctx, w.Job); err != nil {
				w.Result.Verdict = outbox.Undone
			}
		}
	}}
}

// suite is the behaviour of every outbox. open makes an empty one.
func suite(t *testing.T, open func(testing.TB, settings) *outbox.Outbox) {
	t.Helper()
	for name, f := range map[string]func(*testing.T, func(testing.TB, settings) *outbox.Outbox){
		"hands out what was put, whole and once": testWhole,
		"order within a queue":                   testOrder,
		"concurrency of a queue":                 testConcurrency,
		"a stuck queue holds up no other":        testStuckQueue,
		"all or nothing at the limits":           testLimits,
		"limits of one queue":                    testQueueLimits,
		"jobs put by jobs":                       testPutWithin,
		"the end finishes what there is":         testDrain,
		"the end has a limit":                    testDrainLimit,
	} {
		t.Run(name, func(t *testing.T) { f(t, open) })
	}
}

// patience ends a test whose outbox never does what it waits for.
const patience = 10 * time.Second

func job(queue string, n int) outbox.Job {
	return outbox.Job{
		Task: action.Task{
			ID: fmt.Sprintf("%s-%d", queue, n), Rule: "r",
			Spec:    action.Spec{Lambda: &action.LambdaSpec{Function: queue, Reply: &action.ReplySpec{Topic: "t", QoS: 1}}},
			Message: &message.Message{ID: "m", Topic: "a/b", Payload: []byte{0, 255}, QoS: 1, Props: message.Properties{User: []message.UserProperty{{Key: "k", Value: "v"}}}},
			Payload: fmt.Appendf(nil, `{"n":%d}`, n),
		},
		Stage: outbox.Act, Queue: queue, Accepted: time.Now().UTC().Round(0),
	}
}

// put puts jobs and waits until they are safe.
func put(tb testing.TB, o *outbox.Outbox, jobs ...outbox.Job) {
	tb.Helper()
	if err := tryPut(context.Background(), o, jobs...); err != nil {
		tb.Fatal(err)
	}
}

func tryPut(ctx context.Context, o *outbox.Outbox, jobs ...outbox.Job) error {
	pending, err := o.Put(ctx, jobs...)
	if err != nil || pending == nil {
		return err
	}
	stored := make(chan error, 2)
	pending.Then(func(err error) { stored <- err })
	return <-stored
}

// run starts o and returns what stops it and gives the error of Run.
func run(tb testing.TB, o *outbox.Outbox, do func(context.Context, outbox.Job) error) (stop func() error) {
	tb.Helper()
	return runWorker(tb, o, each(do))
}

func runWorker(tb testing.TB, o *outbox.Outbox, w outbox.Worker) (stop func() error) {
	tb.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- o.Run(ctx, w) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-ended })
		return err
	}
	tb.Cleanup(func() { _ = stop() })
	return stop
}

// receive waits for one value.
func receive[T any](tb testing.TB, c <-chan T, what string) (v T) {
	tb.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		tb.Fatalf("still no %s after %s", what, patience)
	}
	return v
}

func testWhole(t *testing.T, open func(testing.TB, settings) *outbox.Outbox) {
	t.Helper()
	o := open(t, settings{concurrency: func(string) int { return 4 }})
	want := map[string]outbox.Job{}
	for i := range 20 {
		j := job(fmt.Sprintf("q%d", i%3), i)
		want[j.ID] = j
		put(t, o, j) // before Run as well as after
	}
	done := make(chan outbox.Job, 100)
	stop := run(t, o, func(_ context.Context, j outbox.Job) error { done <- j; return nil })
	for i := range 20 {
		j := job("later", i)
		want[j.ID] = j
		put(t, o, j)
	}
	got := map[string]outbox.Job{}
	for range want {
		j := receive(t, done, "job")
		if _, twice := got[j.ID]; twice {
			t.Errorf("%s was handed out twice", j.ID)
		}
		got[j.ID] = j
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if len(done) > 0 {
		t.Errorf("%d jobs too many", len(done))
	}
	if diff := cmp.Diff(want, got, cmpopts.EquateComparable(message.Origin{}), cmpopts.IgnoreFields(outbox.Job{}, "Local")); diff != "" {
		t.Error(diff)
	}
}

func testOrder(t *testing.T, open func(testing.TB, settings) *outbox.Outbox) {
	t.Helper()
	o := open(t, settings{})
	done := make(chan string, 300)
	run(t, o, func(_ context.Context, j outbox.Job) error { done <- j.ID; return nil })
	for i := range 150 {
		put(t, o, job("a", i), job("b", i))
	}
	next := map[byte]int{}
	for range 300 {
		id := receive(t, done, "job")
		if want := fmt.Sprintf("%c-%d", id[0], next[id[0]]); id != want {
			t.Fatalf("got %s, want %s", id, want)
		}
		next[id[0]]++
	}
}

func testConcurrency(t *testing.T, open func(testing.TB, settings) *outbox.Outbox) {
	t.Helper()
	o := open(t, settings{concurrency: func(string) int { return 3 }})
	started, release := make(chan string, 10), make(chan struct{})
	stop := run(t, o, func(context.Context, outbox.Job) error { started <- ""; <-release; return nil })
	for i := range 10 {
		put(t, o, job("q", i))
	}
	for range 3 {
		receive(t, started, "start of a job")
	}
	put(t, o, job("other", 0)) // has slots of its own
	receive(t, started, "start of another queue's job")
	if n := len(started); n != 0 {
		t.Errorf("%d jobs of one queue ran at once, want 3", n+3)
	}
	close(release)
	for range 7 {
		receive(t, started, "start of a job")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func testStuckQueue(t *testing.T, open func(testing.TB, settings) *outbox.Outbox) {
	t.Helper()
	o := open(t, settings{concurrency: func(string) int { return 2 }})
	stuck := make(chan struct{})
	done := make(chan string, 100)
	stop := run(t, o, func(_ context.Context, j outbox.Job) error {
		if j.Queue == "stuck" {
			<-stuck
		}
		done <- j.Queue
		return nil
	})
	for i := range 50 {
		put(t, o, job("stuck", i), job("well", i))
	}
	for range 50 {
		if q := receive(t, done, "job of the queue that is well"); q != "well" {
			t.Fatalf("a job of queue %s came", q)
		}
	}
	close(stuck)
	for range 50 {
		receive(t, done, "job of the queue that was stuck")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func testLimits(t *testing.T, open func(testing.TB, settings) *outbox.Outbox) {
	t.Helper()
	refused := func(o *outbox.Outbox, jobs ...outbox.Job) {
		t.Helper()
		err := tryPut(context.Background(), o, jobs...)
		var coded interface{ ReasonCode() byte }
		if !errors.Is(err, outbox.ErrFull) || !errors.As(err, &coded) || coded.ReasonCode() != 0x97 {
			t.Errorf("got %v, want %v with reason code 0x97", err, outbox.ErrFull)
		}
	}
	byCount := open(t, settings{limits: outbox.Limits{Jobs: 3}})
	put(t, byCount, job("a", 0), job("a", 1))
	refused(byCount, job("a", 2), job("b", 0)) // one of the two would fit
	put(t, byCount, job("b", 1))
	refused(byCount, job("c", 0))

	j := job("a", 0)
	byBytes := open(t, settings{limits: outbox.Limits{Bytes: 2 * j.Size()}})
	put(t, byBytes, job("a", 0), job("a", 1))
	refused(byBytes, job("a", 2))

	// There is room again when jobs are done, and only what was taken is handed out.
	done := make(chan string, 10)
	stop := run(t, byCount, func(_ context.Context, j outbox.Job) error { done <- j.ID; return nil })
	got := map[string]bool{}
	for range 3 {
		got[receive(t, done, "job")] = true
	}
	if diff := cmp.Diff(map[string]bool{"a-0": true, "a-1": true, "b-1": true}, got); diff != "" {
		t.Error(diff)
	}
	deadline := time.Now().Add(patience)
	for tryPut(t.Context(), byCount, job("d", 0), job("d", 1), job("d", 2)) != nil {
		if time.Now().After(deadline) {
			t.Fatal("the jobs are done, and there is still no room")
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

func testQueueLimits(t *testing.T, open func(testing.TB, settings) *outbox.Outbox) {
	t.Helper()
	o := open(t, settings{limits: outbox.Limits{QueueJobs: 2}})
	put(t, o, job("a", 0), job("a", 1))
	if err := tryPut(t.Context(), o, job("a", 2)); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("a third job of a queue of two: got %v", err)
	}
	put(t, o, job("b", 0))
	if err := tryPut(t.Context(), o, job("b", 1), job("b", 2)); !errors.Is(err, outbox.ErrFull) {
		t.Errorf("two jobs of which one fits: got %v", err)
	}
	put(t, o, job("b", 1))
}

func testPutWithin(t *testing.T, open func(testing.TB, settings) *outbox.Outbox) {
	t.Helper()
	o := open(t, settings{})
	done := make(chan int, 100)
	run(t, o, func(ctx context.Context, j outbox.Job) error {
		var n int
		_, _ = fmt.Sscanf(string(j.Payload), `{"n":%d}`, &n)
		if n < 20 {
			if err := tryPut(ctx, o, job(j.Queue, n+1)); err != nil {
				t.Error(err)
			}
		}
		done <- n
		return nil
	})
	put(t, o, job("q", 0))
	for want := range 21 {
		if n := receive(t, done, "job"); n != want {
			t.Fatalf("got job %d, want %d", n, want)
		}
	}
}

func testDrain(t *testing.T, open func(testing.TB, settings) *outbox.Outbox) {
	t.Helper()
	o := open(t, settings{drain: patience})
	started, release := make(chan struct{}, 10), make(chan struct{})
	finished := make(chan struct{}, 10)
	stop := run(t, o, func(ctx context.Context, _ outbox.Job) error {
		started <- struct{}{}
		<-release
		finished <- struct{}{}
		return ctx.Err()
	})
	put(t, o, job("q", 0))
	receive(t, started, "start of a job")
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	close(release)
	if err := receive(t, stopped, "end of Run"); err != nil {
		t.Error(err)
	}
	if len(finished) != 1 {
		t.Error("Run returned before the job in flight had ended")
	}
	if err := tryPut(t.Context(), o, job("q", 2)); !errors.Is(err, outbox.ErrClosed) {
		t.Errorf("Put after the end: got %v, want %v", err, outbox.ErrClosed)
	}
}

func testDrainLimit(t *testing.T, open func(testing.TB, settings) *outbox.Outbox) {
	t.Helper()
	o := open(t, settings{drain: time.Millisecond})
	started := make(chan struct{}, 1)
	stop := run(t, o, func(ctx context.Context, _ outbox.Job) error {
		started <- struct{}{}
		<-ctx.Done() // a function that never answers
		return ctx.Err()
	})
	put(t, o, job("q", 0))
	receive(t, started, "start of a job")
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	receive(t, stopped, "end of Run")
}
