package bridge_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
)

// generation is a configuration whose two rules and whose function carry its number.
// The function keeps its name and changes its URL, so that each reload replaces it.
func generation(t *testing.T, url string, n int, before *function.Registry) (*bridge.Program, *function.Registry) {
	t.Helper()
	functions, err := function.NewRegistry(map[string]function.Config{
		"echo": {HTTP: fmt.Sprintf("%s/%d", url, n)},
	}, function.Options{}, before)
	if err != nil {
		t.Fatal(err)
	}
	reply := func(rule string) action.Config {
		return action.Config{Lambda: &action.LambdaConfig{Function: "echo", Reply: &action.ReplyConfig{
			Topic: fmt.Sprintf("out/%s/%d/${topic()}", rule, n),
		}}}
	}
	return compile(t, functions,
		withError(rule("first", "SELECT * FROM 'in/+'", reply("first")), republish("errors")),
		withError(rule("second", "SELECT * FROM 'in/+'", reply("second")), republish("errors")),
	), functions
}

// 1,000 messages are in flight while rules and functions are replaced again and again:
// each is answered by both rules of one generation, and no call fails because its
// function has been replaced.
func TestReloadUnderLoad(t *testing.T) {
	const messages, inFlight, reloads = 4000, 1000, 20
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }))
	t.Cleanup(server.Close)

	program, functions := generation(t, server.URL, 0, nil)
	b, out, stop := start(t, bridge.Options{}, program)
	run := func(r *function.Registry) (end func()) {
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan struct{})
		go func() { defer close(done); _ = r.Run(ctx) }()
		return func() { cancel(); <-done }
	}
	end := run(functions)

	window := make(chan struct{}, inFlight)
	var publishers sync.WaitGroup
	for p := range 4 {
		publishers.Go(func() {
			for i := range messages / 4 {
				window <- struct{}{}
				accept(t, b, msg(fmt.Sprintf("in/%d-%d", p, i), "{}"))
			}
		})
	}
	answers := map[string][]string{}
	take := func(n int) {
		for i := range n {
			m := out.next(t)
			if i%2 == 0 {
				<-window
			}
			part := strings.Split(m.Topic, "/")
			if part[0] != "out" {
				t.Fatalf("got %s: %s", m.Topic, m.Payload)
			}
			answers[part[4]] = append(answers[part[4]], part[1]+" of "+part[2])
		}
	}
	const each = 2 * messages / (reloads + 1)
	for n := 1; n <= reloads; n++ {
		take(each)
		next, nextFunctions := generation(t, server.URL, n, functions)
		endNext := run(nextFunctions)
		if n%2 == 0 {
			b.Load(next)
			end() // waits for what the old instances have in flight
		} else { // the old instances end first: calls wait for the new ones
			end()
			b.Load(next)
		}
		functions, end = nextFunctions, endNext
	}
	take(2*messages - reloads*each)
	publishers.Wait()
	if err := stop(); err != nil {
		t.Error(err)
	}
	end()
	if n := len(out.all()); n != 2*messages {
		t.Errorf("%d answers to %d messages of two rules", n, messages)
	}
	generations := map[string]int{}
	for id, got := range answers {
		a, b := got[0], got[1]
		if a > b {
			a, b = b, a
		}
		stamp := strings.TrimPrefix(a, "first of ")
		if len(got) != 2 || b != "second of "+stamp {
			t.Errorf("message %s was answered by %v", id, got)
		}
		generations[stamp]++
	}
	if len(generations) < reloads/2 {
		t.Errorf("the messages were accepted by %d generations: the test has tested little", len(generations))
	}
}

// A function that a reload removes is gone for jobs that still wait: they fail in the
// ordinary way.
func TestFunctionThatAReloadRemoved(t *testing.T) {
	out := newBroker()
	b := newBridge(t, bridge.Options{Publisher: out})
	out.bridge = b
	b.Load(compile(t, functions{"f": echo}, withError(rule("r", "SELECT * FROM 'in'", lambda("f")), republish("errors"))))
	accept(t, b, msg("in", "{}")) // waits, because b does not run
	b.Load(compile(t, functions{}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	if got := out.next(t); got.Topic != "errors" || !strings.Contains(string(got.Payload), "no such function") {
		t.Errorf("got %s: %s", got.Topic, got.Payload)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}
