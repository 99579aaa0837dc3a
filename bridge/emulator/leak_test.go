//go:build unix

package emulator_test

import (
	"os"
	goruntime "runtime"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/topicwire/topicwire/bridge/emulator"
)

// children are the processes that we have started, zombies included.
func children(t *testing.T) []string {
	t.Helper()
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		t.Skip("needs /proc")
	}
	var found []string
	for _, d := range dirs {
		stat, err := os.ReadFile("/proc/" + d.Name() + "/stat")
		if err != nil {
			continue
		}
		_, rest, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(rest); len(fields) > 1 && fields[1] == strconv.Itoa(os.Getpid()) {
			found = append(found, string(stat))
		}
	}
	return found
}

func openFiles(t *testing.T) int {
	t.Helper()
	fds, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("needs /proc")
	}
	return len(fds)
}

// soak is how often a test does something: few times, or as often as the environment
// variable TOPICWIRE_SOAK says; make soak sets it.
func soak(t *testing.T, few int) int {
	t.Helper()
	s := os.Getenv("TOPICWIRE_SOAK")
	if s == "" {
		return few
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("TOPICWIRE_SOAK: %v", err)
	}
	return n
}

// TestNothingIsLeftBehind runs thousands of invocations, good and bad, over functions
// that come and go.
func TestNothingIsLeftBehind(t *testing.T) {
	need(t, "node")
	round := func(invocations int) {
		f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 2, Timeout: 200e6}, js(`
			exports.handler = async (e) => {
				if (e.n % 1000 === 1) process.exit(1);
				if (e.n % 1000 === 2) await new Promise((r) => setTimeout(r, 1e6));
				if (e.n % 1000 === 3) throw new Error('x');
				if (e.n % 1000 === 4) return 'x'.repeat(7 << 20);
				return e.n;
			};`))
		var callers sync.WaitGroup
		for c := range 8 {
			callers.Go(func() {
				for i := c; i < invocations; i += 8 {
					r := f.invoke(t, `{"n":`+strconv.Itoa(i)+`}`)
					bad := i%1000 >= 1 && i%1000 <= 4
					if (r.FunctionError != "") != bad || !bad && string(r.Payload) != strconv.Itoa(i) {
						t.Errorf("invocation %d: got %.200s", i, r.Payload)
					}
				}
			})
		}
		callers.Wait()
		f.stop()
	}
	round(10) // what the first function opens for good is not a leak
	files, goroutines := openFiles(t), goruntime.NumGoroutine()
	for range 2 {
		round(soak(t, 5000) / 2)
	}
	if left := children(t); len(left) > 0 {
		t.Errorf("processes are left: %v", left)
	}
	if n := openFiles(t); n > files {
		t.Errorf("%d open files, %d before", n, files)
	}
	if n := goruntime.NumGoroutine(); n > goroutines {
		buf := make([]byte, 1<<20)
		t.Errorf("%d goroutines, %d before:\n%s", n, goroutines, buf[:goruntime.Stack(buf, true)])
	}
}
