package testkit

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Root is the repository's root folder.
func Root() string {
	_, file, _, _ := runtime.Caller(0)
	return filepath.Dir(filepath.Dir(filepath.Dir(file)))
}

// Binary builds the program once per test process and hands out its path. Where the
// environment names one in TOPICWIRE_BINARY it takes that: a test's machine has no Go.
type Binary struct {
	once sync.Once
	path string
	err  error
	dir  string
}

// Path builds the program if it has not been built and returns its path.
func (b *Binary) Path(tb testing.TB) string {
	tb.Helper()
	b.once.Do(func() {
		if b.path = os.Getenv("TOPICWIRE_BINARY"); b.path != "" {
			return
		}
		b.dir, b.err = os.MkdirTemp("", "topicwire-test-")
		if b.err != nil {
			return
		}
		b.path = filepath.Join(b.dir, "topicwire")
		build := exec.Command("go", "build", "-o", b.path, "./cmd/topicwire")
		build.Dir = Root()
		if out, err := build.CombinedOutput(); err != nil {
			b.err = errors.New("go build: " + err.Error() + "\n" + string(out))
		}
	})
	if b.err != nil {
		tb.Fatal(b.err)
	}
	return b.path
}

// Close removes what was built.
func (b *Binary) Close() {
	if b.dir != "" {
		_ = os.RemoveAll(b.dir)
	}
}

// Server is a running topicwire process.
type Server struct {
	// MQTT, HTTP, MQTTS and HTTPS are the addresses it listens on; empty if it does not.
	MQTT, HTTP, MQTTS, HTTPS string
	// Log is what it wrote: JSON lines.
	Log *Output
	// Dir is the folder with its config.yaml.
	Dir string
	// Exited is closed when the process has ended.
	Exited <-chan struct{}

	cmd *exec.Cmd
	tb  testing.TB
}

// WriteFiles writes files, by their paths relative to dir.
func WriteFiles(tb testing.TB, dir string, files map[string]string) {
	tb.Helper()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			tb.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
}

// Serve starts the binary with the configuration at path and waits until it is ready.
// The process ends with the test. Extra environment variables are "NAME=value".
func Serve(tb testing.TB, binary, config string, env ...string) *Server {
	tb.Helper()
	s := &Server{tb: tb, Log: &Output{}, Dir: filepath.Dir(config)}
	s.cmd = exec.Command(binary, "serve", "--config", config, "--log-format", "json")
	s.cmd.Env = append(os.Environ(), env...)
	s.cmd.Stdout = s.Log
	s.cmd.Stderr = s.Log
	if err := s.cmd.Start(); err != nil {
		tb.Fatal(err)
	}
	exited := make(chan struct{})
	s.Exited = exited
	go func() {
		_ = s.cmd.Wait()
		close(exited)
	}()
	tb.Cleanup(s.Stop)

	ctx, cancel := context.WithTimeout(tb.Context(), Patience)
	defer cancel()
	go func() {
		select {
		case <-exited:
			cancel()
		case <-ctx.Done():
		}
	}()
	_, err := s.Log.Wait(ctx, func(line string) bool {
		var entry struct{ Listener, Address, Message string }
		if json.Unmarshal([]byte(line), &entry) != nil {
			return false
		}
		switch {
		case entry.Message == "ready":
			return true
		case entry.Message != "listening":
		case entry.Listener == "mqtt":
			s.MQTT = entry.Address
		case entry.Listener == "http":
			s.HTTP = entry.Address
		case entry.Listener == "mqtts":
			s.MQTTS = entry.Address
		case entry.Listener == "https":
			s.HTTPS = entry.Address
		}
		return false
	})
	if err != nil {
		tb.Fatalf("topicwire did not become ready: %v\n%s", err, s.Log)
	}
	return s
}

// Start is Serve with a configuration given as text, in a folder of its own.
func Start(tb testing.TB, binary, config string, env ...string) *Server {
	tb.Helper()
	dir := tb.TempDir()
	WriteFiles(tb, dir, map[string]string{"config.yaml": config})
	return Serve(tb, binary, filepath.Join(dir, "config.yaml"), env...)
}

// Signal sends the process a signal.
func (s *Server) Signal(sig os.Signal) {
	s.tb.Helper()
	if err := s.cmd.Process.Signal(sig); err != nil {
		s.tb.Fatal(err)
	}
}

// PID is the process's id.
func (s *Server) PID() int { return s.cmd.Process.Pid }

// WaitFor waits until the log has a line that contains text and returns it.
func (s *Server) WaitFor(text string) string {
	s.tb.Helper()
	ctx, cancel := context.WithTimeout(s.tb.Context(), Patience)
	defer cancel()
	line, err := s.Log.WaitFor(ctx, text)
	if err != nil {
		s.tb.Fatalf("%v\n%s", err, s.Log)
	}
	return line
}

// Stop ends the process as an operator would, and kills it if it does not obey.
func (s *Server) Stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.Exited:
	case <-time.After(Patience):
		_ = s.cmd.Process.Kill()
		<-s.Exited
		s.tb.Errorf("topicwire did not stop within %v\n%s", Patience, s.Log)
	}
	if s.tb.Failed() {
		s.tb.Logf("topicwire's log:\n%s", s.Log)
	}
}

// ExitCode is the process's exit status, once it has ended.
func (s *Server) ExitCode() int {
	<-s.Exited
	return s.cmd.ProcessState.ExitCode()
}

// Result is what a command did.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Command runs a program to its end and returns what it did.
func Command(tb testing.TB, stdin io.Reader, name string, args ...string) Result {
	tb.Helper()
	ctx, cancel := context.WithTimeout(tb.Context(), Patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stdout, stderr Output
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		tb.Fatalf("%s: %v", name, err)
	}
	if ctx.Err() != nil {
		tb.Fatalf("%s %v did not end\n%s%s", name, args, &stdout, &stderr)
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), Code: cmd.ProcessState.ExitCode()}
}
