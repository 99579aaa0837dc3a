package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// The doors of plain WebSockets and of publishing ask the methods and the policies of now:
// those of a configuration that was loaded later too, and policies where nobody has to say
// who he is.
func TestGripAsksWhatHoldsNow(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.yaml")
	const head = "listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}\nfunctions: {f: {http: \"http://127.0.0.1:9/\"}}\n"
	testkit.WriteFiles(t, dir, map[string]string{"config.yaml": head})
	if r := testkit.Command(t, strings.NewReader("pw\n"), binary.Path(t), "passwd", filepath.Join(dir, "passwords"), "ada"); r.Code != 0 {
		t.Fatal(r.Stderr)
	}
	s := testkit.Serve(t, binary.Path(t), path)
	client := http.Client{Timeout: testkit.Patience}
	ask := func(method, path, body, user string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.HTTP+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if user != "" {
			r.SetBasicAuth(user, "pw")
		}
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	publish := func(topic, user string, want int) {
		t.Helper()
		body := fmt.Sprintf(`{"items":[{"channel":%q,"ws-message":{"content":"x"}}]}`, topic)
		if got := ask(http.MethodPost, "/publish", body, user); got != want {
			t.Errorf("publish to %s by %q: %d, want %d", topic, user, got, want)
		}
	}
	reloads := 0
	reload := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(head+text), 0o600); err != nil {
			t.Fatal(err)
		}
		reloads++
		s.WaitFor(fmt.Sprintf(`"reload":%d`, reloads))
	}
	publish("room", "", http.StatusOK)

	reload(`
routes: [{path: /chat, function: f, auth: true}]
auth:
  methods: [{password: {file: passwords}}]
  policies: {room: {Statement: {Effect: Allow, Action: iot:Publish, Resource: topic/room}}}
  attach: {policies: room, user: ada}
`)
	publish("room", "", http.StatusUnauthorized)
	publish("room", "ada", http.StatusOK)
	publish("other", "ada", http.StatusForbidden)
	if got := ask(http.MethodGet, "/chat", "", ""); got != http.StatusUnauthorized {
		t.Errorf("a route with auth answers %d to nobody", got)
	}
	if got := ask(http.MethodGet, "/chat", "", "ada"); got == http.StatusUnauthorized {
		t.Error("a route with auth does not know ada")
	}

	reload(`
auth:
  policies: {room: {Statement: {Effect: Allow, Action: iot:Publish, Resource: topic/room}}}
  attach: {policies: room, everybody: true}
`)
	publish("room", "", http.StatusOK)
	publish("other", "", http.StatusForbidden)
}
