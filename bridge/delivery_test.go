package bridge_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/emulator"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/message"
)

// virtual runs a bridge in virtual time, which stops when f returns.
func virtual(t *testing.T, o bridge.Options, configs []bridge.RuleConfig, f functions, test func(t *testing.T, b *bridge.Bridge, out *broker)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		out := newBroker()
		o.Publisher = out
		b := newBridge(t, o)
		out.bridge = b
		b.Load(compile(t, f, configs...))
		stop := runBridge(t, b)
		test(t, b, out)
		stop()
	})
}

func runBridge(t *testing.T, b *bridge.Bridge) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	return func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// after advances virtual time.
func after(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// attempts counts the calls of a function, with the seconds of each.
type attempts struct {
	mu    sync.Mutex
	at    []time.Duration
	start time.Time
}

func (a *attempts) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.start.IsZero() {
		a.start = time.Now()
	}
	a.at = append(a.at, time.Since(a.start))
	return len(a.at)
}

func (a *attempts) total() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.at)
}

var errServer = &function.StatusError{Status: 503}

// How often a failure is tried again, and how long it may take, by its kind.
func TestRetriesByKindOfFailure(t *testing.T) {
	for _, c := range []struct {
		name        string
		err         error
		retry       *action.RetryConfig
		qos         byte
		least, most int // attempts
		condition   outbox.Condition
		over        time.Duration // when it is over at the latest
	}{
		{"own failure", errThrown, nil, 1, 3, 3, outbox.RetriesExhausted, 3 * time.Second},
		{"time-out", function.ErrTimeout, nil, 2, 3, 3, outbox.RetriesExhausted, 3 * time.Second},
		{"server error", errServer, nil, 1, 75, 400, outbox.EventAgeExceeded, 6 * time.Hour},
		{"throttle", &function.ThrottledError{}, nil, 1, 75, 400, outbox.EventAgeExceeded, 6 * time.Hour},
		{"throttle with Retry-After", &function.ThrottledError{RetryAfter: time.Hour}, nil, 1, 6, 7, outbox.EventAgeExceeded, 6*time.Hour + time.Minute},
		{"not found", fmt.Errorf("f: %w", function.ErrNotFound), nil, 1, 1, 1, outbox.RetriesExhausted, 0},
		{"403", &function.StatusError{Status: 403}, nil, 1, 1, 1, outbox.RetriesExhausted, 0},
		{"413", &function.StatusError{Status: 413}, nil, 1, 1, 1, outbox.RetriesExhausted, 0},
		{"QoS 0", errThrown, nil, 0, 1, 1, "", 0},
		{"QoS 0 that asks for it", errThrown, &action.RetryConfig{}, 0, 3, 3, "", 3 * time.Second},
		{"max_attempts", errServer, &action.RetryConfig{MaxAttempts: 5}, 1, 5, 5, outbox.RetriesExhausted, time.Minute},
		{"no retry", errThrown, &action.RetryConfig{MaxAttempts: 1}, 1, 1, 1, outbox.RetriesExhausted, 0},
		{"max_age", errServer, &action.RetryConfig{MaxAge: time.Minute, Backoff: &action.Backoff{Min: 10 * time.Second, Max: 10 * time.Second}}, 1, 6, 60, outbox.EventAgeExceeded, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n attempts
			a := lambda("f")
			a.Retry = c.retry
			var ids []string
			f := functions{"f": func(ctx context.Context, _ []byte) ([]byte, error) {
				n.count()
				ids = append(ids, function.CallFrom(ctx).RequestID)
				return nil, c.err
			}}
			r := []bridge.RuleConfig{withError(rule("r", "SELECT * FROM 'in'", a), republish("errors"))}
			virtual(t, bridge.Options{}, r, f, func(t *testing.T, b *bridge.Bridge, out *broker) {
				t.Helper()
				m := msg("in", "{}")
				m.QoS = c.qos
				accept(t, b, m)
				after(c.over)
				if got := n.total(); got < c.least || got > c.most {
					t.Errorf("%d attempts, want %d to %d", got, c.least, c.most)
				}
				if len(out.all()) != 1 {
					t.Errorf("%d error actions", len(out.all()))
				}
				if slices.Sort(ids); ids[0] != ids[len(ids)-1] {
					t.Error("an attempt had another request id")
				}
				letters := b.Letters(bridge.LetterFilter{})
				if c.condition == "" {
					if len(letters) > 0 {
						t.Error("there is a dead letter of a QoS 0 message")
					}
					return
				}
				if len(letters) != 1 || letters[0].State.Condition != c.condition || letters[0].State.Tried != n.total() ||
					len(letters[0].State.Attempts) != min(200, n.total()) {
					t.Errorf("dead letters: %+v", letters)
				}
			})
		})
	}
}

// A function that fails three of ten calls, and one that is down for a minute: every
// message is done once it can be, and the one that is down is not hammered.
func TestFaultsOfFunctions(t *testing.T) {
	const messages = 300
	var mu sync.Mutex
	done := map[string]int{}
	finish := func(p []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		done[string(p)]++
		return nil, nil
	}
	var calls atomic.Int32
	var start time.Time
	f := functions{
		"shaky": func(_ context.Context, p []byte) ([]byte, error) {
			if rand.IntN(10) < 3 {
				return nil, errThrown
			}
			return finish(p)
		},
		"down": func(_ context.Context, p []byte) ([]byte, error) {
			calls.Add(1)
			if time.Since(start) < time.Minute {
				return nil, errServer
			}
			return finish(p)
		},
	}
	shaky := lambda("shaky")
	shaky.Retry = &action.RetryConfig{MaxAttempts: 20}
	rs := []bridge.RuleConfig{rule("shaky", "SELECT VALUE * FROM 'in'", shaky), rule("down", "SELECT VALUE * FROM 'in'", lambda("down"))}
	virtual(t, bridge.Options{}, rs, f, func(t *testing.T, b *bridge.Bridge, _ *broker) {
		t.Helper()
		start = time.Now()
		for i := range messages {
			accept(t, b, msg("in", fmt.Sprint(i)))
		}
		after(10 * time.Minute)
		for i := range messages {
			if n := done[fmt.Sprint(i)]; n != 2 {
				t.Errorf("message %d was done %d times by two rules", i, n)
			}
		}
		if n := calls.Load(); n > messages*14 { // back-off alone; the breaker is the registry's
			t.Errorf("the function that was down was called %d times", n)
		}
		if l := b.Letters(bridge.LetterFilter{}); len(l) > 0 {
			t.Errorf("%d dead letters", len(l))
		}
	})
}

// A broken function is left alone and slows nobody else, over real connections.
func TestBrokenFunctionIsLeftAlone(t *testing.T) {
	var broken atomic.Int32
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			broken.Add(1)
			http.Error(w, "down", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.Copy(w, r.Body)
	}))
	t.Cleanup(server.Close)
	config := func(path string) function.Config {
		return function.Config{Config: emulator.Config{Concurrency: 2}, HTTP: server.URL + path}
	}
	r, err := function.NewRegistry(map[string]function.Config{"broken": config("/broken"), "well": config("/well")}, function.Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	host := action.Config{HTTP: &action.HTTPConfig{URL: server.URL + "/broken"}}
	out := newBroker()
	b := newBridge(t, bridge.Options{Publisher: out, Drain: time.Millisecond})
	out.bridge = b
	b.Load(compile(t, r,
		rule("broken", "SELECT * FROM 'in'", lambda("broken")), rule("well", "SELECT * FROM 'in'", lambdaReply("well", "out")), rule("host", "SELECT * FROM 'host'", host)))
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	defer func() { cancel(); <-ended }() // what waits for the broken one is lost
	for i := range 500 {
		accept(t, b, msg("in", fmt.Sprint(i)))
	}
	for range 500 {
		out.next(t)
	}
	if n := broken.Load(); n > 20 {
		t.Errorf("the broken function was called %d times", n)
	}
	for i := range 500 {
		accept(t, b, msg("host", fmt.Sprint(i)))
	}
	if n := broken.Load(); n > 100 { // 64 at once, until the first have failed
		t.Errorf("the broken host was called %d times", n)
	}
}

// Messages of one client are done one after the other, a failure in between included;
// another client's go on. Deferred statements keep the order too.
func TestOrderedBy(t *testing.T) {
	for _, c := range []struct{ name, sql, by string }{
		{"client", "SELECT * FROM 'in'", "client"},
		{"topic", "SELECT * FROM 'in'", "topic"},
		{"expression", "SELECT * FROM 'in'", "device.id"},
		{"a statement that calls a function", "SELECT *, aws_lambda('g', *) AS g FROM 'in'", "client"},
		{"an expression that calls a function", "SELECT * FROM 'in'", "aws_lambda('g', *).device.id"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var mu sync.Mutex
			got := map[string][]string{}
			var bad attempts
			f := functions{"f": func(_ context.Context, p []byte) ([]byte, error) {
				var device, n string
				_, _ = fmt.Sscanf(string(p), `{"device":{"id":"%1s"},"n":%1s`, &device, &n)
				if n == "2" && device == "a" && bad.count() < 3 {
					return nil, errThrown
				}
				mu.Lock()
				defer mu.Unlock()
				got[device] = append(got[device], n)
				return nil, nil
			}, "g": func(_ context.Context, p []byte) ([]byte, error) {
				<-time.After(rand.N(time.Second))
				return p, nil
			}}
			a := lambda("f")
			a.OrderedBy = c.by
			virtual(t, bridge.Options{}, []bridge.RuleConfig{rule("r", c.sql, a)}, f, func(t *testing.T, b *bridge.Bridge, _ *broker) {
				t.Helper()
				for i := range 6 {
					for _, device := range []string{"a", "b"} {
						m := msg("in", fmt.Sprintf(`{"device":{"id":%q},"n":%d}`, device, i))
						m.From.ClientID = device
						accept(t, b, m)
					}
				}
				after(time.Hour)
				all := []string{"0", "1", "2", "3", "4", "5"}
				if diff := cmp.Diff(map[string][]string{"a": all, "b": all}, got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// With ack: done the acknowledgement is the outcome, retries included, and comes in
// bounded time.
func TestAckDone(t *testing.T) {
	for _, c := range []struct {
		name   string
		answer func(nth int) error
		code   byte // 0: acknowledged
		text   string
		over   time.Duration
		hops   uint8
	}{
		{"well", func(int) error { return nil }, 0, "", 0, 0},
		{"at the second attempt", func(nth int) error {
			if nth == 1 {
				return errThrown
			}
			return nil
		}, 0, "", time.Second, 0},
		{"throws", func(int) error { return errThrown }, 0x80, "TypeError: x is not a function", 3 * time.Second, 0},
		{"not found", func(int) error { return function.ErrNotFound }, 0x83, "no such function", 0, 0},
		{"down", func(int) error { return errServer }, 0x83, "have not ended after 30s", 30 * time.Second, 0},
		{"of a function's answer", func(int) error { return errServer }, 0, "", 0, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var n attempts
			f := functions{"f": func(context.Context, []byte) ([]byte, error) { return nil, c.answer(n.count()) }}
			r := rule("r", "SELECT * FROM 'in'", lambda("f"))
			r.Ack = "done"
			virtual(t, bridge.Options{Drain: time.Second}, []bridge.RuleConfig{r, rule("other", "SELECT * FROM 'in'", republish("x"))}, f, func(t *testing.T, b *bridge.Bridge, _ *broker) {
				t.Helper()
				m := msg("in", "{}")
				m.Hops = c.hops
				outcome := make(chan error, 1)
				go func() { outcome <- tryAccept(b, m) }()
				after(c.over)
				var err error
				select {
				case err = <-outcome:
				default:
					t.Fatal("no acknowledgement in time")
				}
				var told *bridge.NotDoneError
				switch errors.As(err, &told); {
				case c.code == 0:
					if err != nil {
						t.Errorf("got %v", err)
					}
				case told == nil || told.ReasonCode() != c.code || !strings.Contains(told.ReasonString(), c.text):
					t.Errorf("got %#v, want %#x with %q", err, c.code, c.text)
				}
			})
		})
	}
}

// A server that stops lets publishers go that wait for an outcome.
func TestAckDoneAtTheEnd(t *testing.T) {
	f := functions{"f": func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }}
	r := rule("r", "SELECT * FROM 'in'", lambda("f"))
	r.Ack = "done"
	synctest.Test(t, func(t *testing.T) {
		b := newBridge(t, bridge.Options{Publisher: discard{}, Drain: time.Second})
		b.Load(compile(t, f, r))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- b.Run(ctx) }()
		outcome := make(chan error, 1)
		go func() { outcome <- tryAccept(b, msg("in", "{}")) }()
		synctest.Wait()
		cancel()
		if err := <-outcome; err == nil {
			t.Error("acknowledged")
		}
		<-ended
	})
}

// Two actions of one rule fail in two lives of the server: one error action, with both
// failures, and none again after it has run.
func TestErrorActionOverARestart(t *testing.T) {
	for _, c := range []struct {
		name   string
		second error // what the action that was left comes to
		want   int   // error actions
	}{{"both fail", errThrown, 1}, {"the other succeeds", nil, 1}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := &diary{}
				hangs := true
				f := functions{"first": throws(errThrown), "second": func(ctx context.Context, _ []byte) ([]byte, error) {
					if hangs {
						<-ctx.Done()
						return nil, ctx.Err()
					}
					return nil, c.second
				}}
				r := withError(rule("r", "SELECT * FROM 'in'", once(lambda("first")), once(lambda("second"))), republish("errors"))
				life := func(d *diary, first bool) (published []*message.Message) {
					out := newBroker()
					b := newBridge(t, bridge.Options{Publisher: out, Store: d, Drain: time.Second})
					out.bridge = b
					b.Load(compile(t, f, r))
					stop := runBridge(t, b)
					if first {
						accept(t, b, msg("in", "{}"))
					}
					after(time.Minute)
					stop()
					return out.all()
				}
				if n := len(life(d, true)); n != 0 {
					t.Errorf("%d error actions while one action is still under way", n)
				}
				hangs = false
				next := d.copied()
				got := life(next, false)
				if len(got) != c.want || !strings.Contains(string(got[0].Payload), `"failedResource":"first"`) ||
					strings.Contains(string(got[0].Payload), `"failedResource":"second"`) != (c.second != nil) {
					t.Errorf("published: %+v", got)
				}
				if again := life(next.copied(), false); len(again) != 0 {
					t.Errorf("%d error actions once more", len(again))
				}
			})
		})
	}
}

// A reload in the middle of retries: what waits is done by the functions of now.
func TestReloadBetweenRetries(t *testing.T) {
	r := rule("r", "SELECT * FROM 'in'", lambda("f"))
	var n attempts
	virtual(t, bridge.Options{}, []bridge.RuleConfig{r}, functions{"f": throws(errServer)}, func(t *testing.T, b *bridge.Bridge, _ *broker) {
		t.Helper()
		for range 50 {
			accept(t, b, msg("in", "{}"))
		}
		after(10 * time.Second)
		b.Load(compile(t, functions{"f": func(context.Context, []byte) ([]byte, error) { n.count(); return nil, nil }}))
		after(10 * time.Minute)
		if n.total() != 50 {
			t.Errorf("%d of 50 were done", n.total())
		}
	})
}

// Dead letters are replayed while traffic runs: each is done once, in order, and the
// traffic goes on.
func TestReplayUnderTraffic(t *testing.T) {
	var mu sync.Mutex
	var mended bool
	var got []string
	f := functions{"f": func(_ context.Context, p []byte) ([]byte, error) {
		mu.Lock()
		defer mu.Unlock()
		if !mended && strings.HasPrefix(string(p), "1") {
			return nil, &function.StatusError{Status: 422}
		}
		got = append(got, string(p))
		return nil, nil
	}}
	a := lambda("f")
	a.OrderedBy = "client"
	virtual(t, bridge.Options{}, []bridge.RuleConfig{withError(rule("r", "SELECT VALUE * FROM 'in'", a), republish("errors"))}, f, func(t *testing.T, b *bridge.Bridge, out *broker) {
		t.Helper()
		for i := range 200 {
			accept(t, b, msg("in", fmt.Sprint(i)))
		}
		synctest.Wait()
		letters := len(b.Letters(bridge.LetterFilter{}))
		if letters != 111 || len(out.all()) != 111 {
			t.Fatalf("%d letters, %d error actions", letters, len(out.all()))
		}
		mu.Lock()
		mended, got = true, nil
		mu.Unlock()
		if n, err := b.ReplayLetters(bridge.LetterFilter{Rule: "r"}, 100, ""); n != 111 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		for i := 2000; i < 2200; i++ {
			accept(t, b, msg("in", fmt.Sprint(i)))
			after(10 * time.Millisecond)
			if n, _ := b.ReplayLetters(bridge.LetterFilter{Rule: "r"}, 0, ""); n != 0 {
				t.Fatalf("%d letters are replayed twice", n)
			}
		}
		after(time.Minute)
		var replayed, fresh []string
		for _, s := range got {
			if strings.HasPrefix(s, "2") {
				fresh = append(fresh, s)
			} else {
				replayed = append(replayed, s)
			}
		}
		if len(fresh) != 200 || !slices.IsSorted(fresh) || len(replayed) != 111 || !slices.IsSortedFunc(replayed, func(a, b string) int { return len(a)*1000 - len(b)*1000 + strings.Compare(a, b) }) {
			t.Errorf("%d new ones, %d replayed: %v", len(fresh), len(replayed), replayed)
		}
		if n := len(b.Letters(bridge.LetterFilter{})); n != 0 || len(out.all()) != 111 {
			t.Errorf("%d letters and %d error actions in the end", n, len(out.all()))
		}
	})
}

// A statement whose function stays down is evaluated again until the message is too
// old; then the error action runs, and the letter can be replayed, which runs the
// actions and no error action again.
func TestStatementWhoseFunctionIsDown(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	f := functions{"g": func(_ context.Context, p []byte) ([]byte, error) {
		if down.Load() {
			return nil, errServer
		}
		return p, nil
	}, "f": throws(errThrown)}
	r := withError(rule("r", "SELECT aws_lambda('g', *) AS g FROM 'in'", lambda("f")), republish("errors"))
	virtual(t, bridge.Options{}, []bridge.RuleConfig{r}, f, func(t *testing.T, b *bridge.Bridge, out *broker) {
		t.Helper()
		accept(t, b, msg("in", "{}"))
		after(5 * time.Hour)
		if n := len(out.all()); n != 0 {
			t.Fatalf("%d error actions too early", n)
		}
		after(2 * time.Hour)
		all := out.all()
		if len(all) != 1 || !strings.Contains(string(all[0].Payload), `"failedAction":"RuleExecution"`) || !strings.Contains(string(all[0].Payload), "503") {
			t.Fatalf("published: %+v", all)
		}
		down.Store(false)
		if n, err := b.ReplayLetters(bridge.LetterFilter{Error: "503"}, 0, ""); n != 1 || err != nil {
			t.Errorf("%d replayed, %v", n, err)
		}
		after(time.Minute)
		letters := b.Letters(bridge.LetterFilter{})
		if len(letters) != 1 || letters[0].Job.Spec.Resource() != "f" || len(out.all()) != 1 {
			t.Errorf("%d letters, %d error actions", len(letters), len(out.all()))
		}
	})
}
