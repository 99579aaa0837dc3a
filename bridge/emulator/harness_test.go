//go:build unix

package emulator_test

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge/emulator"
)

// logBuffer is a log that a test can read.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
	// changed is closed and replaced with every write.
	changed chan struct{}
}

func newLogBuffer() *logBuffer { return &logBuffer{changed: make(chan struct{})} }

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	close(b.changed)
	b.changed = make(chan struct{})
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

// await returns when the log contains text.
func (b *logBuffer) await(tb testing.TB, text string) {
	tb.Helper()
	limit := time.After(30 * time.Second)
	for {
		b.mu.Lock()
		found, changed := bytes.Contains(b.buf.Bytes(), []byte(text)), b.changed
		b.mu.Unlock()
		if found {
			return
		}
		select {
		case <-changed:
		case <-limit:
			tb.Fatalf("the log never had %q:\n%s", text, b)
		}
	}
}

// running is a function under test.
type running struct {
	*emulator.Function
	log      *logBuffer
	registry *prometheus.Registry
	cache    string
	dir      string
	stop     func() // ends it and waits
}

// need skips a test whose runtime is not installed; in CI it fails it.
func need(tb testing.TB, program string) {
	tb.Helper()
	if _, err := exec.LookPath(program); err == nil {
		return
	}
	if os.Getenv("CI") != "" {
		tb.Fatalf("%s is not installed", program)
	}
	tb.Skipf("%s is not installed", program)
}

// start runs a function whose code is files.
func start(tb testing.TB, cfg emulator.Config, files map[string]string, change ...func(*emulator.Options)) *running {
	tb.Helper()
	dir := tb.TempDir()
	write(tb, dir, files)
	if cfg.Path == "" {
		cfg.Path = dir
	}
	log, registry := newLogBuffer(), prometheus.NewRegistry()
	opts := emulator.Options{Log: zerolog.New(log), Metrics: registry, CacheDir: filepath.Join(tb.TempDir(), "cache"), BaseDir: dir, Drain: 200 * time.Millisecond}
	for _, c := range change {
		c(&opts)
	}
	f, err := emulator.New("fn", cfg, opts)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Errorf("Run: %v", err)
		}
	})
	tb.Cleanup(stop)
	return &running{Function: f, log: log, registry: registry, cache: opts.CacheDir, dir: dir, stop: stop}
}

// eventually returns when condition holds, and fails the test if it never does.
func eventually(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(30 * time.Second)
	for !condition() {
		select {
		case <-tick.C:
		case <-limit:
			tb.Fatalf("it never came true that %s", what)
		}
	}
}

func write(tb testing.TB, dir string, files map[string]string) {
	tb.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
			tb.Fatal(err)
		}
	}
}

// invoke runs the function with an event and wants an answer from it.
func (r *running) invoke(tb testing.TB, event string) *emulator.Result {
	tb.Helper()
	return r.call(tb, emulator.Invocation{Payload: []byte(event)})
}

func (r *running) call(tb testing.TB, inv emulator.Invocation) *emulator.Result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	res, err := r.Invoke(ctx, inv)
	if err != nil {
		tb.Fatalf("Invoke: %v\n%s", err, r.log)
	}
	return res
}
