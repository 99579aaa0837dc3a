package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// generation is a configuration whose two rules both stamp a message with n: a message
// that saw a half-loaded set would carry two different numbers.
func generation(n int) string {
	return fmt.Sprintf(`
listen: {mqtt: 127.0.0.1:0}
rules:
  - name: first
    sql: SELECT i, %d AS generation FROM 'in/+'
    actions: [{republish: {topic: "out/first", qos: 1}}]
  - name: second
    sql: SELECT i, %d AS generation FROM 'in/+'
    actions: [{republish: {topic: "out/second", qos: 1}}]
`, n, n)
}

// 1,000 messages in flight while the rules change again and again: each is seen by both
// rules of one generation.
func TestReloadLosesNothing(t *testing.T) {
	const messages = 1000
	s := testkit.Start(t, binary.Path(t), generation(1))
	config := filepath.Join(s.Dir, "config.yaml")
	sub := subscribe(t, s.MQTT, "-q", "1", "-t", "out/#")

	lines := make([]string, messages)
	for i := range lines {
		lines[i] = fmt.Sprintf(`{"i":%d}`, i)
	}
	pub := testkit.Need(t, "mosquitto_pub", "mosquitto-clients")
	published := make(chan testkit.Result, 1)
	go func() {
		published <- testkit.Command(t, strings.NewReader(strings.Join(lines, "\n")+"\n"), pub, append(hostPort(t, s.MQTT), "-q", "1", "-t", "in/x", "-l")...)
	}()
	for n := 2; n <= 6; n++ {
		if err := os.WriteFile(config, []byte(generation(n)), 0o600); err != nil {
			t.Fatal(err)
		}
		if n%2 == 0 {
			s.Signal(syscall.SIGHUP)
		}
		s.WaitFor(fmt.Sprintf(`"reload":%d`, n-1))
	}
	if r := <-published; r.Code != 0 {
		t.Fatalf("mosquitto_pub: exit status %d: %s", r.Code, r.Stderr)
	}

	// What a rule publishes keeps its order here, but nothing promises that the last
	// message is the last to arrive: wait for each.
	stamps := map[string]map[string]string{"out/first": {}, "out/second": {}}
	for i := range messages {
		for topic := range stamps {
			line := sub.waitFor(fmt.Sprintf(`%s {"i":%d,`, topic, i))
			stamps[topic][fmt.Sprint(i)] = line[strings.LastIndexByte(line, ':')+1:]
		}
	}
	for i, stamp := range stamps["out/first"] {
		if other := stamps["out/second"][i]; other != stamp {
			t.Errorf("message %s saw generations %s and %s", i, stamp, other)
		}
	}
}

func TestWrongConfigurationKeepsTheOldOneRunning(t *testing.T) {
	s := testkit.Start(t, binary.Path(t), generation(1))
	sub := subscribe(t, s.MQTT, "-t", "out/first")
	wrong := strings.Replace(generation(2), "SELECT i", "SELEKT i", 1)
	if err := os.WriteFile(filepath.Join(s.Dir, "config.yaml"), []byte(wrong), 0o600); err != nil {
		t.Fatal(err)
	}
	line := s.WaitFor("the new configuration is wrong")
	for _, want := range []string{"config.yaml:5:10", "SELEKT"} {
		if !strings.Contains(line, want) {
			t.Errorf("the log line lacks %q: %s", want, line)
		}
	}
	publish(t, s.MQTT, "-q", "1", "-t", "in/x", "-m", `{"i":7}`)
	sub.waitFor(`{"i":7,"generation":1}`) // over the connection made before the reload
}

// A Kubernetes ConfigMap changes by a symbolic link that is swapped.
func TestReloadOnSymlinkSwap(t *testing.T) {
	dir := t.TempDir()
	testkit.WriteFiles(t, dir, map[string]string{
		"..1/config.yaml": generation(1),
		"..2/config.yaml": generation(2),
	})
	link := func(target, name string) {
		t.Helper()
		temporary := filepath.Join(dir, "..tmp")
		if err := os.Symlink(target, temporary); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temporary, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	link("..1", "..data")
	link("..data/config.yaml", "config.yaml")
	s := testkit.Serve(t, binary.Path(t), filepath.Join(dir, "config.yaml"))
	link("..2", "..data")
	s.WaitFor(`"reload":1`)
	sub := subscribe(t, s.MQTT, "-t", "out/first")
	publish(t, s.MQTT, "-q", "1", "-t", "in/x", "-m", `{"i":1}`)
	sub.waitFor(`{"i":1,"generation":2}`)
}
