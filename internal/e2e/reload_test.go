package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
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
	var line struct {
		Level    string
		Problems []struct {
			File, Message, Source string
			Line, Column          int
		}
	}
	if err := json.Unmarshal([]byte(s.WaitFor("the new configuration is wrong")), &line); err != nil {
		t.Fatal(err)
	}
	if line.Level != "error" || len(line.Problems) != 1 {
		t.Fatalf("the log line is %+v", line)
	}
	if p := line.Problems[0]; filepath.Base(p.File) != "config.yaml" || p.Line != 5 || p.Column != 10 || !strings.Contains(p.Source, "SELEKT") {
		t.Errorf("the problem is %+v", p)
	}
	publish(t, s.MQTT, "-q", "1", "-t", "in/x", "-m", `{"i":7}`)
	sub.waitFor(`{"i":7,"generation":1}`) // over the connection made before the reload
}

// Listeners stay those of the start until a restart, whatever the file says of them in the
// meantime: in no number of steps do they become everybody's.
func TestReloadOpensNoListenerToEverybody(t *testing.T) {
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	testkit.WriteFiles(t, dir, map[string]string{"passwords": ""})
	write("listen: {mqtt: \":0\"}\nauth: {methods: [{password: {file: passwords}}]}\n")
	s := testkit.Serve(t, binary.Path(t), config)
	write("listen: {mqtt: 127.0.0.1:0}\nauth: {methods: [{password: {file: passwords}}]}\n")
	s.WaitFor(`"reload":1`)
	s.WaitFor("need a restart")
	write("listen: {mqtt: 127.0.0.1:0}\n")
	line, err := s.Log.Wait(t.Context(), func(line string) bool {
		return strings.Contains(line, `"reload":2`) || strings.Contains(line, "can be reached from other machines, and")
	})
	if err != nil || strings.Contains(line, `"reload":2`) {
		t.Errorf("a listener on all addresses lets everybody in: %v %s", err, line)
	}
}

// What became of the configuration is in the metrics.
func TestReloadMetrics(t *testing.T) {
	s := testkit.Start(t, binary.Path(t), "listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}\n")
	config := filepath.Join(s.Dir, "config.yaml")
	for _, step := range []struct{ text, log, metrics string }{
		{"listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}\nrules: {}\n", `"reload":1`, "loaded 2 refused 0 successful 1"},
		{"lissen: {}\n", "the new configuration is wrong", "loaded 2 refused 1 successful 0"},
		{"listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}\n", `"reload":2`, "loaded 3 refused 1 successful 1"},
	} {
		if err := os.WriteFile(config, []byte(step.text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.WaitFor(step.log)
		resp, err := http.Get("http://" + s.HTTP + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		var loaded, refused, successful string
		for line := range strings.Lines(string(text)) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
			switch name {
			case `topicwire_config_loads_total{outcome="loaded"}`:
				loaded = value
			case `topicwire_config_loads_total{outcome="refused"}`:
				refused = value
			case "topicwire_config_last_load_successful":
				successful = value
			}
		}
		if got := fmt.Sprintf("loaded %s refused %s successful %s", loaded, refused, successful); got != step.metrics {
			t.Errorf("after %q the metrics say %s, want %s", step.text, got, step.metrics)
		}
	}
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
