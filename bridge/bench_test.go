package bridge_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/message"
)

// discard is a Publisher that does nothing.
type discard struct{}

func (discard) Publish(context.Context, *message.Message) error { return nil }

func thousandRules(b *testing.B) []bridge.RuleConfig {
	b.Helper()
	rs := make([]bridge.RuleConfig, 1000)
	for i := range rs {
		rs[i] = rule(fmt.Sprintf("r%d", i), fmt.Sprintf("SELECT * FROM 'site/%d/+/data'", i), lambda("f"))
	}
	return rs
}

// BenchmarkAcceptNoRule is what every message costs that no rule takes.
func BenchmarkAcceptNoRule(b *testing.B) {
	br := newBridge(b, bridge.Options{Publisher: discard{}})
	br.Load(compile(b, functions{"f": echo}, thousandRules(b)...))
	m := msg("site/7/machine/status", `{"temperature":21.5}`)
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := br.Accept(ctx, m); err != nil {
			b.Fatal(err)
		}
	}
}

// done is a no-op function that tells when it has been called.
func done(n int) (functions, chan struct{}) {
	c := make(chan struct{}, n)
	return functions{"f": func(context.Context, []byte) ([]byte, error) { c <- struct{}{}; return nil, nil }}, c
}

// benchmarkPath takes messages all the way: accept, outbox, function, done, with a
// bounded number in flight.
func benchmarkPath(b *testing.B, qos byte, sql string) {
	b.Helper()
	const inFlight = 1024
	f, called := done(inFlight)
	rs := append(thousandRules(b), rule("one", sql, lambda("f")))
	br, _, stop := start(b, bridge.Options{Publisher: discard{}}, compile(b, f, rs...))
	payload := `{"temperature":21.5,"unit":"C","site":"berlin","machine":"m7","pad":"` + fmt.Sprintf("%0180d", 1) + `"}`
	ctx := b.Context()
	b.ReportAllocs()
	flying := 0
	for b.Loop() {
		m := msg("one/7", payload)
		m.QoS = qos
		if _, err := br.Accept(ctx, m); err != nil {
			b.Fatal(err)
		}
		if flying++; flying == inFlight {
			<-called
			flying--
		}
	}
	for range flying {
		<-called
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
	if err := stop(); err != nil {
		b.Fatal(err)
	}
}

func BenchmarkPathQoS0(b *testing.B) { benchmarkPath(b, 0, "SELECT * FROM 'one/+'") }
func BenchmarkPathQoS1(b *testing.B) { benchmarkPath(b, 1, "SELECT * FROM 'one/+'") }
func BenchmarkPathSelect(b *testing.B) {
	benchmarkPath(b, 1, "SELECT temperature AS t, topic(2) AS machine FROM 'one/+' WHERE temperature > 20")
}

// BenchmarkAcceptOneRule is the publisher's part alone of a message that one rule
// takes.
func BenchmarkAcceptOneRule(b *testing.B) {
	f, called := done(1)
	go func() {
		for range called { // only takes
		}
	}()
	br, _, stop := start(b, bridge.Options{Publisher: discard{}}, compile(b, f, rule("one", "SELECT * FROM 'one/+'", lambda("f"))))
	ctx := b.Context()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := br.Accept(ctx, msg("one/7", "{}")); err != nil {
			b.Fatal(err)
		}
	}
	if err := stop(); err != nil {
		b.Fatal(err)
	}
	close(called)
}
