package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
	"github.com/topicwire/topicwire/internal/testkit"
)

// A server that is told to stop while clients go on publishing: what it has
// acknowledged reaches the function, however many there are.
func TestShutdownLosesNothingThatWasAcknowledged(t *testing.T) {
	var mu sync.Mutex
	invoked := map[string]bool{}
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var event struct{ ID string }
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			t.Error(err)
		}
		<-time.After(5 * time.Millisecond) // slower than clients publish: a queue builds up
		mu.Lock()
		defer mu.Unlock()
		invoked[event.ID] = true
	}))
	t.Cleanup(web.Close)
	s := testkit.Start(t, binary.Path(t), strings.ReplaceAll(`
listen: {mqtt: 127.0.0.1:0}
store: {dir: memory} # a durable one keeps what is left for the next start
functions:
  slow: {http: URL}
rules:
  - name: slow
    sql: SELECT id AS ID FROM 'in'
    actions: [{lambda: {function: slow}}]
`, "URL", web.URL))
	target, err := mqttclient.ParseURL("mqtt://" + s.MQTT)
	if err != nil {
		t.Fatal(err)
	}
	const publishers, before = 8, 100
	acknowledged := make([][]string, publishers)
	var ready, ended sync.WaitGroup
	ready.Add(publishers)
	for p := range publishers {
		ended.Go(func() {
			once := sync.OnceFunc(ready.Done)
			defer once()
			c, err := mqttclient.Open(t.Context(), mqttclient.Options{Target: target})
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", p, i)
				if c.Publish(t.Context(), &mqttclient.Publish{Topic: "in", QoS: 1, Payload: fmt.Appendf(nil, `{"id":%q}`, id)}) != nil {
					return // the server stops
				}
				acknowledged[p] = append(acknowledged[p], id)
				if i == before {
					once()
				}
			}
		})
	}
	ready.Wait()
	s.Signal(syscall.SIGTERM)
	ended.Wait()
	if code := s.ExitCode(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	mu.Lock()
	defer mu.Unlock()
	total, lost := 0, 0
	for _, ids := range acknowledged {
		for _, id := range ids {
			total++
			if !invoked[id] {
				lost++
			}
		}
	}
	if lost > 0 || total < publishers*before {
		t.Errorf("%d of %d acknowledged messages never reached the function", lost, total)
	}
}

// A server that finishes what is under way can be told not to.
func TestSecondSignalEndsAtOnce(t *testing.T) {
	begun, release := make(chan struct{}, 1), make(chan struct{})
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, _ *http.Request) {
		begun <- struct{}{}
		<-release
	}))
	t.Cleanup(web.Close)
	t.Cleanup(func() { close(release) })
	s := testkit.Start(t, binary.Path(t), strings.ReplaceAll(`
listen: {mqtt: 127.0.0.1:0}
functions:
  slow: {http: URL, timeout: 10m}
rules:
  - name: slow
    sql: SELECT * FROM 'in'
    actions: [{lambda: {function: slow}}]
`, "URL", web.URL))
	publish(t, s.MQTT, "-q", "1", "-t", "in", "-m", "{}")
	<-begun
	s.Signal(syscall.SIGTERM)
	s.WaitFor("stopping: finishing what is under way")
	s.Signal(syscall.SIGTERM)
	if code := s.ExitCode(); code != -1 { // by the signal
		t.Errorf("exit status %d", code)
	}
}

// Where machines read, there are no words for people between the lines of the log.
func TestOutputForMachines(t *testing.T) {
	s := testkit.Start(t, binary.Path(t), "listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}\n")
	s.Signal(syscall.SIGTERM)
	if code := s.ExitCode(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	for line := range strings.Lines(s.Log.String()) { // both streams
		var entry struct{ Level, Time, Message string }
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Level == "" || entry.Time == "" || entry.Message == "" {
			t.Errorf("no line of a log: %q", line)
		}
	}
}

// systemd learns when the server is ready and when it stops, and a script can wait for it.
func TestSupervisor(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	c, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	hear := func() string {
		t.Helper()
		b := make([]byte, 100)
		_ = c.SetReadDeadline(time.Now().Add(testkit.Patience))
		n, err := c.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
	s := testkit.Start(t, binary.Path(t), "listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}\n", "NOTIFY_SOCKET="+socket)
	if got := hear(); got != "READY=1" {
		t.Errorf("systemd heard %q", got)
	}
	ready := func(args ...string) testkit.Result {
		t.Helper()
		return testkit.Command(t, nil, binary.Path(t), append([]string{"ready", "--server", "http://" + s.HTTP}, args...)...)
	}
	if r := ready("--wait", "20s"); r.Code != 0 || r.Stdout != "ready\n" {
		t.Errorf("exit status %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := ready("--json"); r.Code != 0 || r.Stdout != `{"status":"ready"}`+"\n" {
		t.Errorf("exit status %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	s.Signal(syscall.SIGTERM)
	if got := hear(); got != "STOPPING=1" {
		t.Errorf("systemd heard %q", got)
	}
	s.ExitCode()
	if r := ready(); r.Code != 1 || !strings.Contains(r.Stderr, "nothing listens on http://"+s.HTTP) {
		t.Errorf("exit status %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
}
