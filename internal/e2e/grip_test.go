package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// serveGrip starts a server with the functions of testdata/grip behind routes.
func serveGrip(t *testing.T) *testkit.Server {
	t.Helper()
	testkit.Need(t, "node", "nodejs")
	e2e := filepath.Join(testkit.Root(), "internal", "e2e")
	testkit.NeedFile(t, filepath.Join(e2e, "node_modules", "faas-grip"), "run make deps")
	functions := ""
	for name, handler := range map[string]string{"echo": "echo.handler", "chat": "chat.handler", "poll": "hold.poll", "stream": "hold.stream", "environ": "hold.environ"} {
		functions += fmt.Sprintf("  %s: {runtime: nodejs, path: %s, handler: %s, concurrency: 2}\n", name, filepath.Join(e2e, "testdata", "grip"), handler)
	}
	dir := t.TempDir()
	testkit.WriteFiles(t, dir, map[string]string{"config.yaml": `listen: {mqtt: "127.0.0.1:0", http: "127.0.0.1:0"}
grip: {iss: me, key: secret}
functions:
` + functions + `routes:
  - {path: /echo, function: echo, max_message: 2MB}
  - {path: /chat, function: chat, compression: true} # npm ws and Chromium offer it by themselves
  - {path: /poll, function: poll}
  - {path: /stream, function: stream}
  - {path: /environ, function: environ}
`})
	return testkit.Serve(t, binary.Path(t), filepath.Join(dir, "config.yaml"))
}

// Handlers made with npm faas-grip, unmodified, in the emulator; npm ws holds the
// connections, npm grip and @fanoutio/grip publish.
func TestFaasGripHandlers(t *testing.T) {
	s := serveGrip(t)
	url := "http://" + s.HTTP + "?iss=me&key=secret"
	r := testkit.Command(t, nil, testkit.Need(t, "node", "nodejs"), filepath.Join(testkit.Root(), "internal", "e2e", "grip.mjs"), "http://"+s.HTTP, url)
	if r.Code != 0 {
		t.Fatalf("exit status %d:\n%s\n%s", r.Code, r.Stderr, s.Log)
	}
	sameJSON(t, `{"echo":"hé€","pong":"pp","large":1000000,"close":"4000 bye","nick":"nickname set to [Al]",
		"chat":["Al: hi all","Al: hi all"],"anonymous":["anonymous: hello Al","anonymous: hello Al"],"refused":"403 closed no such room\n",
		"npmGrip":true,"published":["from npm grip","from npm grip"],"binary":[0,255],"stream":"data: hello\n\ndata: fanout\n\n","poll":"polled\n",
		"fanout":"from @fanoutio/grip","detached":"still bound","environ":"`+url+`","last":"1000 "}`, r.Stdout)
}

// Chromium's own WebSocket and EventSource.
func TestGripInChromium(t *testing.T) {
	chromium := testkit.Need(t, "chromium", "chromium")
	s := serveGrip(t)
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost { // the page's server has the key
			publish, _ := http.NewRequestWithContext(r.Context(), http.MethodPost, "http://"+s.HTTP+"/publish", r.Body)
			publish.Header.Set("Authorization", "Bearer secret")
			resp, err := http.DefaultClient.Do(publish)
			if err != nil {
				w.WriteHeader(http.StatusBadGateway)
				return
			}
			_ = resp.Body.Close()
			w.WriteHeader(resp.StatusCode)
			return
		}
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<!doctype html><title>grip</title>"))
	}))
	t.Cleanup(web.Close)
	r := testkit.Command(t, nil, testkit.Need(t, "node", "nodejs"), filepath.Join(testkit.Root(), "internal", "e2e", "grip_browser.mjs"), chromium, web.URL, "http://"+s.HTTP)
	if r.Code != 0 {
		t.Fatalf("exit status %d:\n%s\n%s", r.Code, r.Stderr, s.Log)
	}
	sameJSON(t, `{"nick":"nickname set to [Chromium]","chat":"Chromium: hi","hello":"hello","event":"event","closed":"4001 bye true","status":200}`, r.Stdout)
}
