package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/bench"
	"github.com/topicwire/topicwire/internal/testkit"
)

// mosquitto starts a real broker that is not ours, and gives its host and port flags.
func mosquitto(t *testing.T) (*bench.Broker, []string) {
	t.Helper()
	b := testkit.Mosquitto(t)
	return b, []string{"-h", b.TCP.Host, "-p", b.TCP.Port}
}

// locked is a buffer that one goroutine may write while another reads; hello is closed
// when the text in await has been written.
type locked struct {
	mu    sync.Mutex
	buf   bytes.Buffer
	await string
	hello chan struct{}
}

func (l *locked) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.buf.Write(b)
	if l.await != "" && strings.Contains(l.buf.String(), l.await) {
		l.await = ""
		close(l.hello)
	}
	return len(b), nil
}

func (l *locked) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// command runs a command line to its end.
func command(t *testing.T, stdin string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	var out, err locked
	code = run(ctx, args, &Streams{In: strings.NewReader(stdin), Out: &out, Err: &err})
	return code, out.String(), err.String()
}

// subscribed starts `sub -d` with args and returns when it has its SUBACK; finish waits for
// its end.
func subscribed(t *testing.T, args ...string) (finish func() (code int, stdout, stderr string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	var out locked
	err := locked{await: "received SUBACK", hello: make(chan struct{})}
	done := make(chan int, 1)
	go func() {
		done <- run(ctx, append([]string{"sub", "-d"}, args...), &Streams{In: strings.NewReader(""), Out: &out, Err: &err})
	}()
	select {
	case <-err.hello:
	case code := <-done:
		t.Fatalf("sub ended with %d: %s", code, err.String())
	}
	return func() (int, string, string) { return <-done, out.String(), err.String() }
}

// tool runs one of mosquitto's clients.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	path := testkit.Need(t, name, "mosquitto-clients")
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return string(out)
}

func TestSubHearsMosquittoPub(t *testing.T) {
	_, at := mosquitto(t)
	for _, version := range []string{"311", "5"} {
		for _, qos := range []string{"0", "1", "2"} {
			finish := subscribed(t, append(at, "-t", "a/+", "-V", version, "-q", qos, "-v", "-C", "2")...)
			tool(t, "mosquitto_pub", append(at, "-t", "a/b", "-m", "hi", "-q", qos, "-V", version)...)
			tool(t, "mosquitto_pub", append(at, "-t", "a/c", "-n", "-q", qos, "-V", version)...)
			if code, out, err := finish(); code != 0 || out != "a/b hi\na/c (null)\n" {
				t.Errorf("MQTT %s, QoS %s: status %d, %q\n%s", version, qos, code, out, err)
			}
		}
	}
}

// TestSameAsMosquittoSub prints one retained message with both programs.
func TestSameAsMosquittoSub(t *testing.T) {
	_, at := mosquitto(t)
	tool(t, "mosquitto_pub", append(at, "-V", "5", "-r", "-q", "1", "-t", "same", "-m", `{"a": "<ü>"}`,
		"-D", "publish", "content-type", "application/json", "-D", "publish", "user-property", "k", "v", "-D", "publish", "user-property", "k", "w",
		"-D", "publish", "correlation-data", "id", "-D", "publish", "response-topic", "r/t", "-D", "publish", "payload-format-indicator", "1")...)
	for _, args := range [][]string{
		{},
		{"-v"},
		{"-N"},
		{"-F", `%t|%p|%x|%X|%l|%q|%r|%m|%%|\t\\|%C|%D|%F|%P|%R|%E|@@`},
		{"-F", "%10t|%-10t|%.2t|%05l|%5l|%.3p|%20p|%-20p|"},
		{"-N", "-F", "%p"},
		{"-V", "311", "-F", "%C%R%P%t"},
	} {
		common := append(at, "-t", "same", "-q", "1", "-C", "1", "-W", "10", "-V", "5")
		want := tool(t, "mosquitto_sub", append(common, args...)...)
		code, got, stderr := command(t, "", append(append([]string{"sub"}, common...), args...)...)
		if code != 0 || got != want {
			t.Errorf("%q: status %d, %q; mosquitto_sub prints %q\n%s", args, code, got, want, stderr)
		}
	}
	for _, f := range []string{"%j", "%J"} { // they differ in the time stamp
		_, want, ok := strings.Cut(tool(t, "mosquitto_sub", append(at, "-t", "same", "-C", "1", "-V", "5", "-F", f)...), `"topic"`)
		_, got, _ := command(t, "", append(append([]string{"sub"}, at...), "-t", "same", "-C", "1", "-V", "5", "-F", f)...)
		if _, got, _ = strings.Cut(got, `"topic"`); !ok || got != want {
			t.Errorf("%s: %q; mosquitto_sub prints %q", f, got, want)
		}
	}
}

func TestSubJSON(t *testing.T) {
	_, at := mosquitto(t)
	finish := subscribed(t, append(at, "-t", "j", "-V", "5", "--json", "-C", "3")...)
	tool(t, "mosquitto_pub", append(at, "-t", "j", "-m", "a<b")...)
	binary := filepath.Join(t.TempDir(), "binary")
	if err := os.WriteFile(binary, []byte("\xff\x00"), 0o600); err != nil {
		t.Fatal(err)
	}
	tool(t, "mosquitto_pub", append(at, "-t", "j", "-f", binary)...)
	tool(t, "mosquitto_pub", append(at, "-t", "j", "-m", "p", "-V", "5", "-D", "publish", "correlation-data", "abc", "-D", "publish", "user-property", "k", "v")...)
	want := `{"topic":"j","qos":0,"retain":false,"payload":"a<b"}
{"topic":"j","qos":0,"retain":false,"payloadBase64":"/wA="}
{"topic":"j","qos":0,"retain":false,"payload":"p","properties":{"correlationData":"YWJj","userProperties":[{"key":"k","value":"v"}]}}
`
	if code, out, err := finish(); code != 0 || out != want {
		t.Errorf("status %d:\n%s\nwant:\n%s\n%s", code, out, want, err)
	}
}

func TestSubChooses(t *testing.T) {
	_, at := mosquitto(t)
	tool(t, "mosquitto_pub", append(at, "-t", "c/kept", "-m", "old", "-r")...)
	code, out, _ := command(t, "", append([]string{"sub", "-t", "c/#", "--retained-only", "-W", "0.5"}, at...)...)
	if code != 27 || out != "old\n" {
		t.Errorf("--retained-only: status %d, %q", code, out)
	}
	finish := subscribed(t, append(at, "-t", "c/#", "-R", "-T", "c/no/+", "-C", "1")...)
	tool(t, "mosquitto_pub", append(at, "-t", "c/no/1", "-m", "no")...)
	tool(t, "mosquitto_pub", append(at, "-t", "c/yes", "-m", "yes")...)
	if code, out, _ := finish(); code != 0 || out != "yes\n" {
		t.Errorf("-R -T: status %d, %q", code, out)
	}
	if code, out, _ := command(t, "", append([]string{"sub", "-t", "c/#", "-E"}, at...)...); code != 0 || out != "" {
		t.Errorf("-E: status %d, %q", code, out)
	}
}

func TestSubKeepsSession(t *testing.T) {
	_, at := mosquitto(t)
	session := append([]string{"sub", "-c", "-i", "keeper", "-q", "1", "-t", "k"}, at...)
	if code, _, err := command(t, "", append(session, "-E")...); code != 0 {
		t.Fatal(err)
	}
	tool(t, "mosquitto_pub", append(at, "-t", "k", "-m", "1", "-q", "1")...)
	tool(t, "mosquitto_pub", append(at, "-t", "k", "-m", "2", "-q", "1")...)
	for _, want := range []string{"1\n", "2\n"} { // -C acknowledges no more than it prints
		if code, out, _ := command(t, "", append(session, "-C", "1")...); code != 0 || out != want {
			t.Errorf("status %d, %q; want %q", code, out, want)
		}
	}
	if code, _, err := command(t, "", append([]string{"sub", "-c", "-i", "keeper", "-U", "k", "-W", "0.1"}, at...)...); code != 27 {
		t.Errorf("-U: status %d, %s", code, err)
	}
	tool(t, "mosquitto_pub", append(at, "-t", "k", "-m", "3", "-q", "1")...)
	if code, out, _ := command(t, "", append([]string{"sub", "-c", "-i", "keeper", "-t", "other", "-W", "0.2"}, at...)...); code != 27 || out != "" {
		t.Errorf("after -U: status %d, %q", code, out)
	}
}
