//go:build unix

package emulator_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/topicwire/topicwire/bridge/emulator"
)

// tokens collects the tokens of processes that start.
type tokens struct {
	mu  sync.Mutex
	all []string
}

func (k *tokens) options(o *emulator.Options) {
	o.EnvFor = func(function, token string) map[string]string {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.all = append(k.all, token)
		return map[string]string{"AWS_ACCESS_KEY_ID": "key-of-" + function, "AWS_SECRET_ACCESS_KEY": "s", "AWS_SESSION_TOKEN": token}
	}
}

const environmentCode = `
	exports.handler = async (e) => {
		if (e.wait) await new Promise((r) => { exports.go = r; setTimeout(r, 20000).unref(); });
		const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: secret, AWS_SESSION_TOKEN: token, _X_AMZN_TRACE_ID: trace } = process.env;
		return { id, secret, token, trace };
	};`

func TestProcessesAreTold(t *testing.T) {
	t.Parallel()
	need(t, "node")
	var k tokens
	f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 1, Timeout: 20e9}, js(environmentCode), k.options)
	r := f.call(t, emulator.Invocation{Payload: []byte("{}"), TraceID: "Root=1-2-3;Lineage=5:746f7069:5", Hops: 5})
	for _, want := range []string{`"id":"key-of-fn"`, `"secret":"s"`, `"token":"` + k.all[0] + `"`, `"trace":"Root=1-2-3;Lineage=5:746f7069:5"`} {
		if !strings.Contains(string(r.Payload), want) {
			t.Errorf("the process sees %s, want %s", r.Payload, want)
		}
	}
	if hops, ok := f.Hops(k.all[0]); !ok || hops != 5 {
		t.Errorf("after the invocation: %d, %t", hops, ok)
	}
	f.call(t, emulator.Invocation{Payload: []byte("{}"), Hops: 2})
	if hops, ok := f.Hops(k.all[0]); !ok || hops != 2 {
		t.Errorf("after another one: %d, %t", hops, ok)
	}
	if _, ok := f.Hops("somebody else's"); ok {
		t.Error("a foreign token is known")
	}

	// A function with a key of its own gets nothing of ours to go with it.
	own := start(t, emulator.Config{
		Runtime: "nodejs", Concurrency: 1, Timeout: 20e9,
		Environment: map[string]string{"AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "mine"},
	}, js(environmentCode), k.options)
	if r := own.invoke(t, "{}"); string(r.Payload) != `{"id":"AKIDEXAMPLE","secret":"mine"}` {
		t.Errorf("with a key of its own: %s", r.Payload)
	}
}

func TestReservedConcurrency(t *testing.T) {
	t.Parallel()
	need(t, "node")
	var k tokens
	f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 3, Timeout: 20e9}, js(`
		exports.handler = async () => { await new Promise((r) => setTimeout(r, 50)); return process.pid; };`), k.options)
	crowd := func() (processes map[string]bool) {
		processes = make(map[string]bool)
		var mu sync.Mutex
		var callers sync.WaitGroup
		for range 6 {
			callers.Go(func() {
				r := f.invoke(t, "{}")
				mu.Lock()
				defer mu.Unlock()
				processes[string(r.Payload)] = true
			})
		}
		callers.Wait()
		return processes
	}
	crowd()
	if n := f.SetConcurrency(1); n != 1 || f.Concurrency() != 1 {
		t.Errorf("set to %d", n)
	}
	if p := crowd(); len(p) != 1 {
		t.Errorf("%d processes served a function with a reserved concurrency of 1", len(p))
	}
	f.SetConcurrency(0)
	_, err := f.Invoke(context.Background(), emulator.Invocation{Payload: []byte("{}")})
	var throttled *emulator.ThrottledError
	if !errors.As(err, &throttled) || !throttled.Off || !strings.Contains(err.Error(), "PutFunctionConcurrency") {
		t.Errorf("with 0: %v", err)
	}
	// Calls that wait when more is allowed do not wait on.
	one := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 2, Timeout: 60e9}, js(pidOf))
	one.SetConcurrency(1)
	one.invoke(t, "{}")
	ctx, cancel := context.WithCancel(context.Background())
	var hung sync.WaitGroup
	hung.Go(func() { _, _ = one.Invoke(ctx, emulator.Invocation{Payload: []byte(`{"hang":1}`)}) })
	one.awaitEnvironments(t, "busy", 1)
	answered := make(chan *emulator.Result)
	go func() { answered <- one.invoke(t, "{}") }()
	eventually(t, "one invocation is queued", func() bool { return one.gauge(t, "topicwire_emulator_queued_invocations", "") == 1 })
	one.SetConcurrency(2)
	<-answered
	cancel()
	hung.Wait()

	if n := f.SetConcurrency(99); n != 3 {
		t.Errorf("more than configured: %d", n)
	}
	if p := crowd(); len(p) == 0 || len(p) > 3 {
		t.Errorf("%d processes", len(p))
	}
}
