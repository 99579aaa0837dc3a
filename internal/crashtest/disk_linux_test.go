package crashtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
	"github.com/topicwire/topicwire/internal/testkit"
)

// disk mounts a small disk of its own. It takes root, which CI is.
func disk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		testkit.Missing(t, "a small disk cannot be mounted: run the test as root: "+err.Error())
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// small is a server whose store is on a small disk, and two clients: one publishes, and
// one is away.
type small struct {
	t      *testing.T
	server *testkit.Server
	dir    string
	config string
	out    *mqttclient.Client
	n      int
}

func newSmall(t *testing.T, dir string) *small {
	t.Helper()
	s := &small{t: t, dir: dir, config: filepath.Join(t.TempDir(), "config.yaml")}
	text := fmt.Sprintf("listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}\nstore: {dir: %s}\nlimits: {queue: {max_bytes: 1GB}}\n", dir)
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	away := s.connect("away")
	if _, err := away.Subscribe(t.Context(), &mqttclient.Subscribe{Subscriptions: []mqttclient.Subscription{{Filter: "q/#", QoS: 1}}}); err != nil {
		t.Fatal(err)
	}
	_ = away.Close()
	return s
}

func (s *small) start() {
	s.t.Helper()
	s.server = testkit.Serve(s.t, binary.Path(s.t), s.config)
	s.out = s.connect("out")
}

func (s *small) connect(id string) *mqttclient.Client {
	s.t.Helper()
	c, err := s.open(id, false)
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

func (s *small) open(id string, clean bool) (*mqttclient.Client, error) {
	target, err := mqttclient.ParseURL("mqtt://" + s.server.MQTT)
	if err != nil {
		return nil, err
	}
	o := mqttclient.Options{Target: target, ClientID: id, Resume: !clean}
	if !clean && id != "out" {
		o.Props.SessionExpiry = new(uint32(3600))
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), testkit.Patience)
	defer cancel()
	return mqttclient.Open(ctx, o)
}

// publish publishes one message and returns the reason code.
func (s *small) publish(topic string, size int) mqttclient.Reason {
	s.t.Helper()
	s.n++
	ctx, cancel := context.WithTimeout(s.t.Context(), testkit.Patience)
	defer cancel()
	err := s.out.Publish(ctx, &mqttclient.Publish{Topic: topic, QoS: 1, Payload: fmt.Appendf(nil, "%d %s", s.n, strings.Repeat("x", size))})
	if r, ok := errors.AsType[*mqttclient.ReasonError](err); ok {
		return r.Code
	}
	if err != nil {
		s.t.Fatal(err)
	}
	return 0
}

// ready asks /readyz.
func (s *small) ready() (ok bool, store string) {
	s.t.Helper()
	r, err := http.Get("http://" + s.server.HTTP + "/readyz")
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	var answer struct{ Store string }
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		s.t.Fatal(err)
	}
	return r.StatusCode == http.StatusOK, answer.Store
}

// untilReady waits until the store takes messages again.
func (s *small) untilReady() {
	s.t.Helper()
	for limit := time.Now().Add(testkit.Patience); ; {
		ok, why := s.ready()
		if ok {
			return
		}
		if time.Now().After(limit) {
			s.t.Fatalf("the store has not recovered: %s", why)
		}
		<-time.After(20 * time.Millisecond)
	}
}

// queued reads what waits for the client that was away.
func (s *small) queued(want []string) {
	s.t.Helper()
	c := s.connect("away")
	ctx, cancel := context.WithTimeout(s.t.Context(), testkit.Patience)
	defer cancel()
	defer func() { _ = c.Disconnect(ctx, &mqttclient.Disconnect{}) }() // after its acknowledgements
	for i, w := range want {
		m, err := c.Receive(ctx)
		if err != nil {
			s.t.Fatalf("after %d of %d messages: %v", i, len(want), err)
		}
		if got, _, _ := strings.Cut(string(m.Payload), " "); got != w {
			s.t.Fatalf("message %s instead of %s", got, w)
		}
	}
}

// A full disk refuses what it cannot keep, with a reason, and nothing else; when there
// is room again everything goes on, and what was acknowledged is there.
func TestFullDisk(t *testing.T) {
	dir := disk(t, "size=64m")
	s := newSmall(t, dir)
	var kept []string
	for {
		reason := s.publish("q/1", 64<<10)
		if reason == 0 {
			kept = append(kept, fmt.Sprint(s.n))
			if len(kept) > 1024 {
				t.Fatal("the disk does not get full")
			}
			continue
		}
		if reason != 0x97 {
			t.Fatalf("reason code %#x", reason)
		}
		break
	}
	if ok, why := s.ready(); ok || !strings.Contains(why, "the disk is full") {
		t.Errorf("/readyz says %v, %q", ok, why)
	}
	if reason := s.publish("nobody/keeps/this", 10); reason != 0x10 && reason != 0 {
		t.Errorf("a message that needs no store was refused: %#x", reason)
	}
	if _, err := s.open("another", false); err == nil {
		t.Error("a session was promised that cannot be kept")
	}

	// It survives a kill, and it is still full.
	s.server.Signal(syscall.SIGKILL)
	<-s.server.Exited
	s.start()
	if reason := s.publish("q/1", 64<<10); reason != 0x97 {
		t.Errorf("reason code %#x after a restart", reason)
	}
	s.queued(kept)
	s.untilReady()
	if reason := s.publish("q/1", 64<<10); reason != 0 {
		t.Errorf("reason code %#x, although there is room", reason)
	}
	s.queued([]string{fmt.Sprint(s.n)})
}

// A disk on which no file can be made any more breaks the built-in NATS server's stream
// in the middle of its work. It starts anew by itself when that is over.
func TestDiskThatTakesNoFiles(t *testing.T) {
	const files = 12
	dir := disk(t, fmt.Sprintf("size=256m,nr_inodes=%d", files+16))
	s := newSmall(t, dir)
	for i := 0; ; i++ { // use up what is left, but for one
		f, err := os.Create(filepath.Join(dir, fmt.Sprint("full", i)))
		if err != nil {
			_ = os.Remove(filepath.Join(dir, "full0"))
			break
		}
		_ = f.Close()
	}
	_ = os.WriteFile(filepath.Join(dir, "full0"), nil, 0o600)
	var kept []string
	stuck := make(chan string, 1)
	for len(kept) < 400 {
		s.n++
		p := &mqttclient.Publish{Topic: "q/1", QoS: 1, Payload: fmt.Appendf(nil, "%d %s", s.n, strings.Repeat("x", 128<<10))}
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		err := s.out.Publish(ctx, p)
		cancel()
		if err == nil {
			kept = append(kept, fmt.Sprint(s.n))
			continue
		}
		stuck <- err.Error()
		break
	}
	if len(stuck) == 0 {
		t.Fatal("the server does not run out of files")
	}
	if ok, _ := s.ready(); ok {
		t.Error("/readyz says that all is well")
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", syscall.MS_REMOUNT, "size=256m,nr_inodes=100000"); err != nil {
		t.Fatal(err)
	}
	s.untilReady()
	if reason := s.publish("q/2", 10); reason != 0 {
		t.Errorf("reason code %#x", reason)
	}
	s.server.Signal(syscall.SIGKILL)
	<-s.server.Exited
	s.start()
	// The message that waited was taken in the end; its publisher had given up on it.
	s.queued(append(kept, fmt.Sprint(len(kept)+1), fmt.Sprint(s.n)))
}
