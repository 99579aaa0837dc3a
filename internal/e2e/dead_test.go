package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/testkit"
)

// deadConfig has two functions: one that takes nothing until it is mended, and one
// that takes everything.
const deadConfig = `
listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}
functions:
  picky: {http: %[1]s/picky}
  easy: {http: %[1]s/easy}
rules:
  - name: orders
    sql: SELECT * FROM 'orders/+'
    actions: [{lambda: {function: picky}, ordered_by: client}]
    errorAction: {republish: {topic: errors/orders, qos: 1}}
  - name: strict
    sql: SELECT * FROM 'strict'
    ack: done
    actions: [{lambda: {function: picky}}]
`

// What a function refuses for good is kept, can be looked at, and is tried again in its
// order; none is done twice.
func TestDeadLetters(t *testing.T) {
	var mended atomic.Bool
	var mu sync.Mutex
	var done []string
	functions := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/picky" && !mended.Load() {
			http.Error(w, "I do not like it", http.StatusUnprocessableEntity)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		done = append(done, r.URL.Path+" "+string(body))
	}))
	t.Cleanup(functions.Close)
	s := testkit.Start(t, binary.Path(t), fmt.Sprintf(deadConfig, functions.URL))
	errors := subscribe(t, s.MQTT, "-t", "errors/#")
	for n := range 4 {
		publish(t, s.MQTT, "-q", "1", "-i", "shop", "-t", "orders/1", "-m", fmt.Sprintf(`{"n":%d}`, n))
		errors.waitFor("I do not like it")
	}
	dead := func(args ...string) (string, int) {
		t.Helper()
		cmd := exec.Command(binary.Path(t), append([]string{"dead"}, args...)...)
		cmd.Env = append(cmd.Environ(), "TOPICWIRE_SERVER=http://"+s.HTTP)
		out, err := cmd.CombinedOutput()
		if err != nil {
			return string(out), cmd.ProcessState.ExitCode()
		}
		return string(out), 0
	}
	list, code := dead("list", "--json", "--function", "picky", "--rule", "orders", "--error", "do not like")
	type record struct {
		RequestContext struct {
			RequestID, FunctionArn, Condition string
			ApproximateInvokeCount            int
		}
		RequestPayload struct{ N int }
		Topicwire      struct{ ClientID, Topic string }
	}
	var records []record
	for line := range strings.Lines(list) {
		var r record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		records = append(records, r)
	}
	if code != 0 || len(records) != 4 {
		t.Fatalf("status %d: %s", code, list)
	}
	for n, r := range records {
		if c := r.RequestContext; r.RequestPayload.N != n || c.Condition != "RetriesExhausted" || c.ApproximateInvokeCount != 1 ||
			!strings.HasSuffix(c.FunctionArn, ":function:picky:$LATEST") || r.Topicwire.ClientID != "shop" {
			t.Errorf("letter %d is %+v", n, r)
		}
	}
	if out, _ := dead("list"); strings.Count(out, "I do not like it") != 4 {
		t.Errorf("the table is\n%s", out)
	}
	if out, _ := dead("show", records[0].RequestContext.RequestID); !strings.Contains(out, `"version": "1.0"`) {
		t.Errorf("show: %s", out)
	}
	for _, c := range []struct {
		args []string
		want string
		code int
	}{
		{[]string{"replay"}, "no filter is given", 1},
		{[]string{"replay", "--all", "--to", "nobody"}, "no such function", 1},
		{[]string{"show", "nothing"}, "there is no dead letter", 1},
		{[]string{"replay", "--all", "--dry-run", "--json"}, `"n":3`, 0},
		{[]string{"drop", "--rule", "other"}, "0 dropped", 0},
		{[]string{"replay", records[3].RequestContext.RequestID, "--to", "easy"}, "1 replayed", 0},
	} {
		if out, code := dead(c.args...); code != c.code || !strings.Contains(out, c.want) {
			t.Errorf("dead %q: status %d: %s", c.args, code, out)
		}
	}
	await(t, func() bool { out, _ := dead("list", "--json"); return strings.Count(out, "requestId") == 3 })
	if out, code := dead("replay", "--rule", "orders", "--rate", "0.001"); code != 0 || out != "3 replayed\n" {
		t.Errorf("status %d: %s", code, out)
	}
	await(t, func() bool { out, _ := dead("list"); return strings.Count(out, "replaying") == 2 }) // the first has failed again
	for _, want := range []string{"2 stopped\n", "0 stopped\n"} {
		if out, code := dead("stop", "--all"); code != 0 || out != want {
			t.Errorf("status %d: %s", code, out)
		}
	}
	mended.Store(true)
	if out, code := dead("replay", "--rule", "orders", "--rate", "100"); code != 0 || out != "3 replayed\n" {
		t.Errorf("status %d: %s", code, out)
	}
	await(t, func() bool { out, _ := dead("list", "--json"); return out == "" })
	mu.Lock()
	defer mu.Unlock()
	if got := strings.Join(done, ", "); got != `/easy {"n":3}, /picky {"n":0}, /picky {"n":1}, /picky {"n":2}` {
		t.Errorf("done: %s", got)
	}
	// What comes from elsewhere, or through a browser, does not get in.
	req, err := http.NewRequest(http.MethodDelete, "http://"+s.HTTP+"/admin/dead?all=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Origin", "https://evil.example")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusForbidden && resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("a page in a browser got status %d", resp.StatusCode)
	}
}

// With ack: done the publisher learns what the function said.
func TestAckDone(t *testing.T) {
	functions := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), "bad") {
			http.Error(w, "I do not like it", http.StatusUnprocessableEntity)
		}
	}))
	t.Cleanup(functions.Close)
	s := testkit.Start(t, binary.Path(t), fmt.Sprintf(deadConfig, functions.URL))
	host, port, _ := strings.Cut(s.MQTT, ":")
	pub := func(payload string) (string, int) {
		out, err := exec.Command(binary.Path(t), "pub", "-h", host, "-p", port, "-V", "5", "-q", "1", "-t", "strict", "-m", payload).CombinedOutput()
		if err != nil {
			return string(out), 1
		}
		return string(out), 0
	}
	if out, code := pub(`{"n":"good"}`); code != 0 {
		t.Errorf("status %d: %s", code, out)
	}
	if out, code := pub(`{"n":"bad"}`); code == 0 || !strings.Contains(out, "I do not like it") {
		t.Errorf("status %d: %s", code, out)
	}
}

// await asks until something has come true. Each question is a process of its own,
// which is pause enough.
func await(t *testing.T, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(testkit.Patience); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("it does not come true")
		}
	}
}
