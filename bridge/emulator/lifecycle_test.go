//go:build unix

package emulator_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/topicwire/topicwire/bridge/emulator"
)

// pidOf is a handler that answers its process's number after doing what it is told.
const pidOf = `
	exports.handler = async (e) => {
		if (e.hang) await new Promise((r) => setTimeout(r, 1e6));
		if (e.spin) for (;;);
		if (e.wait) await new Promise((r) => { const t = setInterval(() => { if (require('fs').existsSync(e.wait)) { clearInterval(t); r(); } }, 2); });
		if (e.child) return require('child_process').spawn('sleep', ['1000']).pid;
		if (e.closed) { require('fs').closeSync(1); process.stdout.write('nobody reads this'); }
		return process.pid;
	};`

func (r *running) pid(tb testing.TB, event string) int {
	tb.Helper()
	res := r.invoke(tb, event)
	pid, err := strconv.Atoi(string(res.Payload))
	if err != nil {
		tb.Fatalf("got %s", res.Payload)
	}
	return pid
}

func alive(pid int) bool {
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && !strings.Contains(string(stat), ") Z ")
}

func TestTimeout(t *testing.T) {
	t.Parallel()
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Timeout: 300e6, Concurrency: 1}, js(pidOf))
	for _, event := range []string{`{"hang":1}`, `{"spin":1}`} {
		first := f.pid(t, "{}")
		r := f.invoke(t, event)
		if d := document(t, r); d.Type != "Sandbox.Timedout" || d.Message != "RequestId: "+r.RequestID+" Error: Task timed out after 0.30 seconds" {
			t.Errorf("%s: got %+v", event, d)
		}
		if second := f.pid(t, "{}"); second == first {
			t.Errorf("%s: process %d serves on after its timeout", event, first)
		}
		eventually(t, "the process is gone", func() bool { return !alive(first) })
	}
}

func TestInitTimeout(t *testing.T) {
	t.Parallel()
	f := start(t, emulator.Config{Runtime: "provided", InitTimeout: 50e6}, map[string]string{"bootstrap": "#!/bin/sh\nexec sleep 1000\n"})
	for range 2 {
		if d := document(t, f.invoke(t, "{}")); d.Type != "Sandbox.Timedout" || d.Message != "Initialization timed out after 0.05 seconds" {
			t.Errorf("got %+v", d)
		}
	}
}

func TestManyAtOnce(t *testing.T) {
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 2, Timeout: 20e9}, js(pidOf))
	var mu sync.Mutex
	pids := map[int]int{}
	var all sync.WaitGroup
	for range 500 {
		all.Go(func() {
			pid := f.pid(t, "{}")
			mu.Lock()
			pids[pid]++
			mu.Unlock()
		})
	}
	all.Wait()
	if len(pids) > 2 {
		t.Errorf("%d processes served, want 2 at most", len(pids))
	}
}

func TestLastUsedFirst(t *testing.T) {
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 3, Timeout: 20e9}, js(pidOf))
	gate := filepath.Join(f.dir, "gate.txt")
	var all sync.WaitGroup
	var mu sync.Mutex
	pids := map[int]bool{}
	for range 3 {
		all.Go(func() {
			pid := f.pid(t, `{"wait":"`+gate+`"}`)
			mu.Lock()
			pids[pid] = true
			mu.Unlock()
		})
	}
	f.awaitEnvironments(t, "busy", 3)
	write(t, f.dir, map[string]string{"gate.txt": ""})
	all.Wait()
	if len(pids) != 3 {
		t.Fatalf("three invocations at once ran in %d processes", len(pids))
	}
	f.awaitEnvironments(t, "idle", 3)
	first := f.pid(t, "{}")
	for range 20 {
		if pid := f.pid(t, "{}"); pid != first {
			t.Fatalf("process %d was taken, want the last used, %d", pid, first)
		}
	}
}

func TestThrottled(t *testing.T) {
	t.Parallel()
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 1, MaxQueue: 1, MaxWait: 100e6, Prewarm: 1, Timeout: 60e9}, js(pidOf))
	f.awaitEnvironments(t, "idle", 1)
	ctx, cancel := context.WithCancel(context.Background())
	busy := make(chan error)
	go func() {
		_, err := f.Invoke(ctx, emulator.Invocation{Payload: []byte(`{"hang":1}`)})
		busy <- err
	}()
	f.awaitEnvironments(t, "busy", 1)
	waits := make(chan error)
	go func() {
		_, err := f.Invoke(context.Background(), emulator.Invocation{Payload: []byte("{}")})
		waits <- err
	}()
	eventually(t, "one invocation is queued", func() bool { return f.gauge(t, "topicwire_emulator_queued_invocations", "") == 1 })
	var throttled *emulator.ThrottledError
	if _, err := f.Invoke(context.Background(), emulator.Invocation{}); !errors.As(err, &throttled) || throttled.Waited != 0 || !strings.Contains(err.Error(), "queue of function \"fn\" is full") {
		t.Errorf("with a full queue: got %v", err)
	}
	if err := <-waits; !errors.Is(err, emulator.ErrThrottled) || !errors.As(err, &throttled) || throttled.Waited == 0 ||
		throttled.Reason != "ReservedFunctionConcurrentInvocationLimitExceeded" {
		t.Errorf("after waiting: got %v", err)
	}
	cancel()
	if err := <-busy; !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: got %v", err)
	}
}

// TestCancelled checks that a caller who goes away leaves the function as it was.
func TestCancelled(t *testing.T) {
	t.Parallel()
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 1, Timeout: 20e9}, js(pidOf))
	pid := f.pid(t, "{}")
	gate := filepath.Join(f.dir, "gate.txt")
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	invoke := func(event string) {
		_, err := f.Invoke(ctx, emulator.Invocation{Payload: []byte(event)})
		done <- err
	}
	go invoke(`{"wait":"` + gate + `"}`)
	f.awaitEnvironments(t, "busy", 1)
	go invoke("{}") // waits in the queue
	eventually(t, "one invocation is queued", func() bool { return f.gauge(t, "topicwire_emulator_queued_invocations", "") == 1 })
	cancel()
	for range 2 {
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	}
	write(t, f.dir, map[string]string{"gate.txt": ""})
	if again := f.pid(t, "{}"); again != pid {
		t.Errorf("process %d serves, want %d, which has only lost its caller", again, pid)
	}
}

func TestPrewarmAndReap(t *testing.T) {
	t.Parallel()
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 3, Prewarm: 1, IdleTimeout: 50e6, Timeout: 20e9}, js(pidOf))
	f.awaitEnvironments(t, "idle", 1)
	gate := filepath.Join(f.dir, "gate.txt")
	var all sync.WaitGroup
	for range 3 {
		all.Go(func() { f.invoke(t, `{"wait":"`+gate+`"}`) })
	}
	f.awaitEnvironments(t, "busy", 3)
	write(t, f.dir, map[string]string{"gate.txt": ""})
	all.Wait()
	eventually(t, "idle processes are ended but one", func() bool {
		return f.gauge(t, "topicwire_emulator_environments", "idle") == 1 && f.gauge(t, "topicwire_emulator_environments", "busy") == 0
	})
	if r := f.invoke(t, "{}"); r.ColdStart && r.FunctionError != "" {
		t.Errorf("got %s", r.Payload)
	}
}

func TestProcessesAreReplaced(t *testing.T) {
	t.Parallel()
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 1}, js(pidOf))
	first := f.pid(t, "{}")
	if err := syscall.Kill(first, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	f.awaitEnvironments(t, "idle", 0)
	second := f.pid(t, "{}")
	if second == first {
		t.Errorf("process %d serves after its end", first)
	}
	f.invoke(t, `{"closed":1}`) // fails or not: its output has nowhere to go
	f.pid(t, "{}")

	child := f.pid(t, `{"child":1}`)
	if !alive(child) {
		t.Fatal("the function's own process is not there")
	}
	f.stop()
	if alive(child) {
		t.Error("what the function has started survives it")
	}
}

func TestCrashLoop(t *testing.T) {
	t.Parallel()
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs"}, js(`throw new Error('broken');`))
	for range 50 { // held back after the second, not started 50 times
		if d := document(t, f.invoke(t, "{}")); d.Message != "broken" {
			t.Fatalf("got %+v", d)
		}
	}
	if n := strings.Count(f.log.String(), "did not start"); n > 20 {
		t.Errorf("it was started %d times for 50 invocations", n)
	}
	write(t, f.dir, js(pidOf))
	eventually(t, "the corrected code serves", func() bool { return f.invoke(t, "{}").FunctionError == "" })
}

func TestInvokeBeforeRun(t *testing.T) {
	f, err := emulator.New("fn", emulator.Config{Runtime: "provided", Path: t.TempDir(), MaxWait: time.Millisecond}, emulator.Options{CacheDir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Invoke(context.Background(), emulator.Invocation{}); !errors.Is(err, emulator.ErrThrottled) {
		t.Errorf("got %v", err)
	}
}
