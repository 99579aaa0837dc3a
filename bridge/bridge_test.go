package bridge_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/bridge/outbox"
)

// What a function publishes may fail as well: the outbox of the next rule is full.

func TestRuleThatFeedsItselfStopsAtEightHops(t *testing.T) {
	var log lockedBuffer
	metrics := prometheus.NewRegistry()
	var calls atomic.Int32
	f := functions{"count": func(_ context.Context, p []byte) ([]byte, error) { calls.Add(1); return p, nil }}
	b, out, stop := start(t, bridge.Options{Log: zerolog.New(&log), Metrics: metrics}, compile(t, f, rule("loop", "SELECT * FROM 'loop'", lambdaReply("count", "loop"))))
	accept(t, b, msg("loop", "{}"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if n := calls.Load(); n != bridge.MaxHops {
		t.Errorf("the function was called %d times, want %d", n, bridge.MaxHops)
	}
	all := out.all()
	if last := all[len(all)-1]; len(all) != bridge.MaxHops || last.Hops != bridge.MaxHops {
		t.Errorf("%d messages, the last with %d hops", len(all), last.Hops)
	}
	if !strings.Contains(log.String(), "hops") || !strings.Contains(log.String(), `"topic":"loop"`) {
		t.Errorf("the log is %s", log.String())
	}
	if n := testutil.CollectAndCount(metrics, "topicwire_bridge_dropped_total"); n != 1 {
		t.Errorf("%d series of drops", n)
	}
}

func TestFullOutboxRefusesQoS1AndDropsQoS0(t *testing.T) {
	metrics := prometheus.NewRegistry()
	var seen events
	b := newBridge(t, bridge.Options{
		Publisher: newBroker(), Outbox: outbox.Config{MaxJobs: 2, QoS0: outbox.QoS0Config{MaxJobs: 3}}, Metrics: metrics, Observe: seen.observe,
	}) // not running: nothing is taken out
	b.Load(compile(t, functions{"f": echo, "g": echo}, rule("r", "SELECT * FROM 'in'", lambda("f")), rule("s", "SELECT * FROM 'in'", lambda("g"))))
	accept(t, b, msg("in", "1")) // two jobs
	err := tryAccept(b, msg("in", "2"))
	var coded interface{ ReasonCode() byte }
	if !errors.Is(err, outbox.ErrFull) || !errors.As(err, &coded) || coded.ReasonCode() != 0x97 {
		t.Errorf("got %v, want a refusal with 0x97", err)
	}
	accept(t, b, msg("elsewhere", "3")) // needs no room
	for range 5 {
		m := msg("in", "4")
		m.QoS = 0
		accept(t, b, m)
	}
	want := `
		# HELP topicwire_bridge_dropped_total What was not handed to a function, by reason: qos0_queue_full, hops.
		# TYPE topicwire_bridge_dropped_total counter
		topicwire_bridge_dropped_total{reason="qos0_queue_full"} 4
		# HELP topicwire_bridge_messages_total Messages by what became of them: matched (a rule's topic filter), unmatched, refused (the outbox is full), stopped (too many hops).
		# TYPE topicwire_bridge_messages_total counter
		topicwire_bridge_messages_total{outcome="matched"} 6
		topicwire_bridge_messages_total{outcome="refused"} 1
		topicwire_bridge_messages_total{outcome="stopped"} 0
		topicwire_bridge_messages_total{outcome="unmatched"} 1
	`
	if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "topicwire_bridge_dropped_total", "topicwire_bridge_messages_total"); err != nil {
		t.Error(err)
	}
	if lines := strings.Join(seen.lines(), "\n"); strings.Count(lines, "dropped in r lambda f") != 2 || strings.Count(lines, "refused in [r s]") != 1 {
		t.Errorf("observed\n%s", lines)
	}
}

func TestStuckFunctionHoldsUpNoOther(t *testing.T) {
	stuck := make(chan struct{})
	f := functions{
		"stuck": func(context.Context, []byte) ([]byte, error) { <-stuck; return nil, nil },
		"well":  echo,
	}
	for _, qos := range []byte{0, 1} {
		b, out, _ := start(t, bridge.Options{}, compile(t, f, rule("r", "SELECT * FROM 'in'", lambda("stuck"), lambdaReply("well", "out"))))
		t.Cleanup(func() {
			select {
			case <-stuck:
			default:
				close(stuck)
			}
		})
		for range 200 {
			m := msg("in", "{}")
			m.QoS = qos
			accept(t, b, m)
		}
		for range 200 {
			if got := out.next(t); got.QoS != qos {
				t.Fatalf("the answer to a QoS %d message has QoS %d", qos, got.QoS)
			}
		}
	}
}

// A statement that calls a function runs in a worker, and what it calls may be slow.

func TestStatementThatCallsAFunction(t *testing.T) {
	var call function.Call
	release := make(chan struct{})
	f := functions{
		"price": func(ctx context.Context, p []byte) ([]byte, error) {
			call = function.CallFrom(ctx)
			<-release
			return p, nil
		},
		"down": throws(errDown),
	}
	var seen events
	b, out, stop := start(t, bridge.Options{Observe: seen.observe}, compile(t, f,
		rule("outside", `SELECT aws_lambda("price", *) AS price FROM 'in'`, republish("out")),
		withError(rule("failing", `SELECT aws_lambda("down", *) AS price FROM 'in'`, republish("out")), republish("errors")),
	))
	m := msg("in", `{"n":1}`)
	accept(t, b, m) // returns although the function has not answered
	close(release)
	byTopic := map[string]string{}
	for range 2 {
		got := out.next(t)
		byTopic[got.Topic] = string(got.Payload)
	}
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(byTopic["out"], `{"n":1}`) || call.Rule != "outside" || call.Topic != "in" {
		t.Errorf("got %q; called with %+v", byTopic["out"], call)
	}
	if e := byTopic["errors"]; !strings.Contains(e, `"ruleName":"failing"`) || !strings.Contains(e, "connection refused") {
		t.Errorf("the error action got %q", e)
	}
	if lines := seen.lines(); lines[0] != "accepted in [outside failing]" {
		t.Errorf("observed %q", lines)
	}
}

// A rule that is silent, as AWS's are, only logs that a function of its statement has
// failed; what fails later runs its error action nevertheless.
func TestSilentRule(t *testing.T) {
	var log lockedBuffer
	silent := func(c bridge.RuleConfig) bridge.RuleConfig {
		c.Silent = true
		return c
	}
	b, out, stop := start(t, bridge.Options{Log: zerolog.New(&log)}, compile(t, functions{"down": throws(errDown)},
		silent(withError(rule("statement", `SELECT aws_lambda("down", *) AS price FROM 'in'`, republish("out")), republish("errors/statement"))),
		silent(withError(rule("action", `SELECT * FROM 'in'`, lambda("down")), republish("errors/action"))),
	))
	accept(t, b, msg("in", `{"n":1}`))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	if got := out.all(); len(got) != 1 || got[0].Topic != "errors/action" {
		t.Errorf("%d messages came out", len(got))
	}
	if text := log.String(); !strings.Contains(text, `"rule":"statement"`) || !strings.Contains(text, "connection refused") {
		t.Errorf("the failure was not logged:\n%s", text)
	}
}

func TestEvents(t *testing.T) {
	var seen events
	f := functions{"f": echo, "throws": throws(errThrown)}
	b, _, stop := start(t, bridge.Options{Observe: seen.observe}, compile(t, f,
		rule("r", "SELECT * FROM 'in'", lambdaReply("f", "out")),
		rule("never", "SELECT * FROM 'in' WHERE false", lambda("f")),
		withError(rule("bad", "SELECT * FROM 'bad'", once(lambda("throws"))), republish("errors")),
	))
	accept(t, b, msg("in", "{}"))
	accept(t, b, msg("nobody", "{}"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	want := map[string]int{
		"accepted in [r]": 1, "started in r lambda f": 1, "finished in r lambda f -> out": 1,
		"accepted out": 1, "accepted nobody": 1,
	}
	if diff := cmp.Diff(want, count(seen.lines())); diff != "" {
		t.Error(diff)
	}

	seen = events{}
	b, _, stop = start(t, bridge.Options{Observe: seen.observe}, compile(t, f, withError(rule("bad", "SELECT * FROM 'bad'", once(lambda("throws"))), republish("errors"))))
	accept(t, b, msg("bad", "{}"))
	if err := stop(); err != nil {
		t.Fatal(err)
	}
	wantLines := []string{
		"accepted bad [bad]", "started bad bad lambda throws", "failed bad bad lambda throws: TypeError: x is not a function",
		"started bad bad republish errors", "accepted errors", "finished bad bad republish errors -> errors",
	}
	if diff := cmp.Diff(wantLines, seen.lines()); diff != "" {
		t.Error(diff)
	}
}

func count(lines []string) map[string]int {
	n := map[string]int{}
	for _, l := range lines {
		n[l]++
	}
	return n
}

// Run ends although a function never answers, and its context ends with it.
func TestShutdown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := functions{
			"hangs": func(ctx context.Context, _ []byte) ([]byte, error) { <-ctx.Done(); return nil, ctx.Err() },
			"slow":  func(_ context.Context, p []byte) ([]byte, error) { <-time.After(2 * time.Second); return p, nil },
		}
		out := newBroker()
		b := newBridge(t, bridge.Options{Publisher: out, Drain: 5 * time.Second})
		out.bridge = b
		b.Load(compile(t, f, rule("r", "SELECT * FROM 'in'", lambda("hangs"), lambdaReply("slow", "out"))))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		accept(t, b, msg("in", "{}"))
		cancel()
		<-ended
		if got := out.all(); len(got) != 1 || got[0].Topic != "out" {
			t.Errorf("%d messages were published, want the slow function's answer", len(got))
		}
		if err := tryAccept(b, msg("in", "{}")); !errors.Is(err, outbox.ErrClosed) {
			t.Errorf("Accept after the end: got %v", err)
		}
	})
}

// While Run ends it takes what its own jobs cause and refuses what clients publish, so
// that nothing is acknowledged that might not be worked off.
func TestEndingTurnsClientsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := functions{"slow": func(_ context.Context, p []byte) ([]byte, error) { <-time.After(2 * time.Second); return p, nil }}
		out := newBroker()
		b := newBridge(t, bridge.Options{Publisher: out, Drain: 5 * time.Second})
		out.bridge = b
		b.Load(compile(t, f, rule("first", "SELECT * FROM 'in'", lambdaReply("slow", "next")), rule("second", "SELECT * FROM 'next'", republish("out"))))
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- b.Run(ctx) }()
		accept(t, b, msg("in", "{}"))
		cancel()
		synctest.Wait()
		err := tryAccept(b, msg("in", "{}"))
		var refusal *outbox.Refusal
		if !errors.As(err, &refusal) || refusal.ReasonCode() != 0x83 {
			t.Errorf("a client's message was not refused: %v", err)
		}
		dropped := msg("in", "{}")
		dropped.QoS = 0
		if err := tryAccept(b, dropped); err != nil {
			t.Errorf("a QoS 0 message is dropped and not refused: %v", err)
		}
		if err := tryAccept(b, msg("no/rule", "{}")); err != nil {
			t.Errorf("a message for subscribers alone was refused: %v", err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
		var topics []string
		for _, m := range out.all() {
			topics = append(topics, m.Topic)
		}
		if diff := cmp.Diff([]string{"next", "out"}, topics); diff != "" {
			t.Errorf("the job under way and what follows from it: %s", diff)
		}
	})
}

func TestAcceptWithoutARuleDoesNotAllocate(t *testing.T) {
	b := newBridge(t, bridge.Options{Publisher: newBroker()})
	b.Load(compile(t, functions{"f": echo}, rule("r", "SELECT * FROM 'a/+'", lambda("f")), rule("s", "SELECT * FROM 'b'", lambda("f"))))
	m := msg("elsewhere/1", "{}")
	ctx := t.Context()
	if n := testing.AllocsPerRun(100, func() { _, _ = b.Accept(ctx, m) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if m.ID != "" {
		t.Error("a message that no rule takes was given an ID")
	}
}
