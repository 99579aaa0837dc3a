package function

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/topicwire/topicwire/bridge/emulator"
)

func TestLookup(t *testing.T) {
	noCredentials(t)
	const arn = "arn:aws:lambda:eu-central-1:123456789012:function:"
	r := registry(t, map[string]Config{
		"ingest":  {HTTP: "http://127.0.0.1:1/"},
		"full":    {Lambda: arn + "remote:live"},
		"by-name": {Lambda: "thermostat", Region: "eu-central-1"},
		"alias":   {Lambda: "thermostat:live", Region: "eu-central-1"},
	})
	for _, c := range []struct{ ask, want string }{
		{"ingest", "ingest"},
		{arn + "ingest", "ingest"},             // its function name is declared
		{arn + "ingest:PROD", "ingest"},        // whatever the qualifier
		{arn + "remote:live", "full"},          // what its lambda says
		{arn + "thermostat:live", "alias"},     // with the qualifier
		{arn + "thermostat", "by-name"},        // equal to a declared lambda
		{"thermostat", "by-name"},              // the same
		{arn + "elsewhere", arn + "elsewhere"}, // a real one
	} {
		f, err := r.Lookup(c.ask)
		if err != nil {
			t.Errorf("%s: %v", c.ask, err)
			continue
		}
		if i, ok := f.(*instance); !ok || i.name != c.want {
			t.Errorf("%s gives %v, want %s", c.ask, f, c.want)
		}
		if got := r.Resolve(c.ask); got != c.want {
			t.Errorf("%s resolves to %s, want %s", c.ask, got, c.want)
		}
	}
	_, err := r.Lookup("ingets")
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "alias, by-name, full, ingest") {
		t.Errorf("got %v", err)
	}
	if _, err := r.Lookup("arn:aws:sqs:eu-central-1:123456789012:queue"); err == nil {
		t.Error("the ARN of a queue is no function")
	}
	one, _ := r.Lookup(arn + "elsewhere")
	two, _ := r.Lookup(arn + "elsewhere")
	if one != two {
		t.Error("one ARN gave two functions")
	}
}

func TestFunctionNames(t *testing.T) {
	for _, name := range []string{"", "a b", "a:b", "arn:aws:lambda:eu-central-1:123456789012:function:f", "ä"} {
		if _, err := NewRegistry(map[string]Config{name: {HTTP: "http://h"}}, Options{}, nil); err == nil || !strings.Contains(err.Error(), "is not a function name") {
			t.Errorf("%q: got %v", name, err)
		}
	}
}

func TestUndeclaredFunctionsAreBounded(t *testing.T) {
	noCredentials(t)
	r := registry(t, nil)
	for i := range maxUndeclared + 10 {
		if _, err := r.Lookup("arn:aws:lambda:eu-central-1:123456789012:function:f" + strings.Repeat("x", i%100) + string(rune('a'+i/100))); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(r.undeclared); n != maxUndeclared {
		t.Errorf("%d functions are remembered", n)
	}
}

// The metrics tell of the functions that can be called: not of one that a reload has taken
// away, whose breaker would be open for ever, and not of every ARN that a message names.
func TestMetricsTellOfTheFunctionsThereAre(t *testing.T) {
	noCredentials(t)
	all := prometheus.NewRegistry()
	o := Options{Drain: time.Second, Metrics: all}
	series := func(want int, when string) {
		t.Helper()
		for _, name := range []string{"topicwire_function_breaker_open", "topicwire_function_concurrency_limit"} {
			if n, err := testutil.GatherAndCount(all, name); err != nil || n != want {
				t.Errorf("%s: %s has %d series, want %d: %v", when, name, n, want, err)
			}
		}
	}
	make := func(configs map[string]Config, reuse *Registry) *Registry {
		t.Helper()
		r, err := NewRegistry(configs, o, reuse)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	a, b := Config{HTTP: "http://127.0.0.1:1/a"}, Config{HTTP: "http://127.0.0.1:1/b"}
	first := make(map[string]Config{"a": a, "b": b}, nil)
	series(2, "two functions")
	for i := range maxUndeclared + 10 {
		if _, err := first.Lookup(fmt.Sprintf("arn:aws:lambda:eu-central-1:123456789012:function:f%d", i)); err != nil {
			t.Fatal(err)
		}
	}
	series(2+maxUndeclared, "ARNs from messages")
	second := make(map[string]Config{"a": a}, first)
	first.Close()
	series(1, "one is taken away")
	make(map[string]Config{"a": b}, second).Close()
	series(1, "a reload is given up")
	third := make(map[string]Config{"a": b}, second)
	second.Close()
	series(1, "one is changed")
	third.Close()
	series(0, "all are gone")
}

// living is a function with something that runs behind it.
type living struct {
	invoke  func(ctx context.Context, payload []byte) ([]byte, error)
	running atomic.Int32
}

func (l *living) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	return l.invoke(ctx, payload)
}

func (l *living) Run(ctx context.Context) error {
	l.running.Add(1)
	defer l.running.Add(-1)
	<-ctx.Done()
	return nil
}

// with makes a Registry of one living function beside what configs say.
func with(t *testing.T, name string, l *living, c Config) *Registry {
	t.Helper()
	r, err := NewRegistry(nil, Options{Drain: time.Minute}, nil)
	if err != nil {
		t.Fatal(err)
	}
	i := newInstance(name, c, l, l.Run, r.metrics)
	i.hold()
	r.declared[name] = i
	return r
}

func start(r *Registry) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = r.Run(ctx) }()
	return func() { cancel(); <-done }
}

func echo(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }

func TestReloadKeepsWhatHasNotChanged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &living{invoke: echo}
		c := Config{HTTP: "http://127.0.0.1:1/same"}
		old := with(t, "f", l, c)
		stopOld := start(old)
		synctest.Wait()

		next, err := NewRegistry(map[string]Config{"f": c}, Options{Drain: time.Minute}, old)
		if err != nil {
			t.Fatal(err)
		}
		if next.declared["f"] != old.declared["f"] {
			t.Fatal("an unchanged function was made anew")
		}
		stopNext := start(next)
		stopOld()
		if l.running.Load() != 1 {
			t.Error("the function ended with the configuration that it has outlived")
		}
		if _, err := next.declared["f"].Invoke(t.Context(), nil); err != nil {
			t.Error(err)
		}
		stopNext()
		if l.running.Load() != 0 {
			t.Error("the function outlived its last configuration")
		}
	})
}

func TestReloadThatIsGivenUpLeavesTheOldOneAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &living{invoke: echo}
		c := Config{HTTP: "http://127.0.0.1:1/same"}
		old := with(t, "f", l, c)
		stop := start(old)
		_, err := NewRegistry(map[string]Config{"f": c, "g": {Lambda: "not a name"}}, Options{}, old)
		if err == nil {
			t.Fatal("a wrong configuration was taken")
		}
		synctest.Wait()
		if l.running.Load() != 1 {
			t.Error("the running function was ended by a configuration that failed")
		}
		stop()
	})
}

func TestChangedFunctionEndsAfterWhatIsInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		l := &living{invoke: func(context.Context, []byte) ([]byte, error) { <-release; return []byte("late"), nil }}
		old := with(t, "f", l, Config{HTTP: "http://127.0.0.1:1/old"})
		i := old.declared["f"]
		stopOld := start(old)
		answered := make(chan string)
		go func() {
			out, err := i.Invoke(context.Background(), nil)
			if err != nil {
				out = []byte(err.Error())
			}
			answered <- string(out)
		}()
		synctest.Wait()
		ended := make(chan struct{})
		go func() { stopOld(); close(ended) }()
		synctest.Wait()

		if l.running.Load() != 1 {
			t.Error("the function was ended under its invocation")
		}
		if _, err := i.Invoke(t.Context(), nil); !errors.Is(err, ErrRetired) {
			t.Errorf("a new invocation of the old instance: got %v", err)
		}
		close(release)
		if got := <-answered; got != "late" {
			t.Errorf("the invocation in flight gave %q", got)
		}
		<-ended
		if l.running.Load() != 0 {
			t.Error("the old instance still runs")
		}
	})
}

func TestDrainHasALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &living{invoke: func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() }}
		r := with(t, "f", l, Config{Lambda: "f"})
		stop := start(r)
		ctx, cancel := context.WithCancel(context.Background())
		invoked := make(chan struct{})
		go func() { defer close(invoked); _, _ = r.declared["f"].Invoke(ctx, nil) }()
		synctest.Wait()
		stop() // returns although the invocation still hangs
		if l.running.Load() != 0 {
			t.Error("the function still runs")
		}
		cancel()
		<-invoked
	})
}

func TestConcurrencyLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var now, most atomic.Int32
		release := make(chan struct{})
		l := &living{invoke: func(context.Context, []byte) ([]byte, error) {
			most.Store(max(most.Load(), now.Add(1)))
			<-release
			now.Add(-1)
			return nil, nil
		}}
		r := with(t, "f", l, Config{HTTP: "x", Config: emulator.Config{Concurrency: 3}})
		defer r.Close()
		if n, _ := r.Capacity("f"); n != 3 {
			t.Errorf("Capacity is %d", n)
		}
		done := make(chan error)
		for range 10 {
			go func() { _, err := r.declared["f"].Invoke(context.Background(), nil); done <- err }()
		}
		synctest.Wait()
		if n := now.Load(); n != 3 {
			t.Errorf("%d run at once, want 3", n)
		}
		ctx, cancel := context.WithCancel(context.Background())
		go func() { _, err := r.declared["f"].Invoke(ctx, nil); done <- err }()
		synctest.Wait()
		cancel() // whoever waits for a slot can leave
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		close(release)
		for range 10 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if most.Load() != 3 {
			t.Errorf("at most %d ran at once, want 3", most.Load())
		}
	})
}

// A function's time limit does not run while the call waits for a slot.
func TestTimeoutBeginsWithTheCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := &living{invoke: func(ctx context.Context, _ []byte) ([]byte, error) {
			select {
			case <-time.After(8 * time.Second):
				return []byte("done"), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}}
		c := Config{HTTP: "x", Config: emulator.Config{Concurrency: 1}}
		c.Timeout = 10 * time.Second
		r := with(t, "f", l, c)
		defer r.Close()
		done := make(chan error)
		for range 3 {
			go func() { _, err := r.declared["f"].Invoke(context.Background(), nil); done <- err }()
		}
		for range 3 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		c.Timeout = time.Second
		slow := with(t, "f", l, c)
		defer slow.Close()
		if _, err := slow.declared["f"].Invoke(context.Background(), nil); !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), "after 1s") {
			t.Errorf("got %v", err)
		}
	})
}
