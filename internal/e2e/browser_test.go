package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// The page of examples/browser, in real Chromium: mqtt.js over WebSocket shows messages
// live, calls the function and shows its answer.
func TestBrowserExample(t *testing.T) {
	root := testkit.Root()
	chromium := testkit.Need(t, "chromium", "chromium")
	node := testkit.Need(t, "node", "nodejs")
	page := filepath.Join(root, "examples", "browser")
	testkit.NeedFile(t, filepath.Join(page, "node_modules", "mqtt"), "run make deps")
	testkit.NeedFile(t, filepath.Join(root, "internal", "e2e", "node_modules", "playwright-core"), "run make deps")

	s := serveDefault(t)
	web := httptest.NewServer(http.FileServer(http.Dir(page)))
	t.Cleanup(web.Close)

	broker := url.QueryEscape("ws://" + s.HTTP + "/mqtt")
	r := testkit.Command(t, nil, node, filepath.Join(root, "internal", "e2e", "browser.mjs"), chromium, web.URL+"/?broker="+broker)
	if r.Code != 0 {
		t.Fatalf("exit status %d:\n%s", r.Code, r.Stderr)
	}
	var seen struct {
		Reply, Live string
		Errors      []string
	}
	if err := json.Unmarshal([]byte(r.Stdout), &seen); err != nil {
		t.Fatalf("%v: %s", err, r.Stdout)
	}
	sameJSON(t, `{"greeting":"Hello, grace!","name":"grace","message":{"from":"chromium"}}`, seen.Reply)
	if !strings.Contains(seen.Live, `{"from":"chromium"}`) {
		t.Errorf("the other page saw %q", seen.Live)
	}
	if len(seen.Errors) > 0 {
		t.Errorf("the page reported errors: %q", seen.Errors)
	}
}

// The page of examples/chat, in real Chromium: three clients, each over a wire of its own, and a
// device hear one another.
func TestChatExample(t *testing.T) {
	root := testkit.Root()
	chromium := testkit.Need(t, "chromium", "chromium")
	node := testkit.Need(t, "node", "nodejs")
	testkit.NeedFile(t, filepath.Join(root, "examples", "chat", "node_modules", "mqtt"), "run make deps")
	testkit.NeedFile(t, filepath.Join(root, "internal", "e2e", "node_modules", "playwright-core"), "run make deps")
	s := testkit.Serve(t, binary.Path(t), example(t, "chat"))
	device := subscribe(t, s.MQTT, "-t", "rooms/lobby")

	browser := exec.Command(node, filepath.Join(root, "internal", "e2e", "chat.mjs"), chromium, "http://"+s.HTTP+"/")
	var out, errors testkit.Output
	browser.Stdout, browser.Stderr = &out, &errors
	if err := browser.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- browser.Wait() }()
	t.Cleanup(func() { _ = browser.Process.Kill() })
	ctx, cancel := context.WithTimeout(t.Context(), 2*testkit.Patience)
	defer cancel()
	if _, err := errors.WaitFor(ctx, "ready"); err != nil {
		t.Fatalf("%v: %s", err, &errors)
	}
	publish(t, s.MQTT, "-t", "rooms/lobby", "-m", `{"from":"sensor","text":"21 °C"}`)
	select {
	case err := <-exited:
		if err != nil {
			t.Fatalf("%v: %s", err, &errors)
		}
	case <-ctx.Done():
		t.Fatalf("the browser does not end: %s", &errors)
	}
	const said = `["Ada","Hello from MQTT!"],["Bob","And from a plain WebSocket. Nothing but the browser's own."],` +
		`["Cyd","Server-sent events here. I speak with a POST."],["Ada","<b>So we are all in one room</b> 🎈"],["sensor","21 °C"]`
	var seen struct {
		Heard  map[string][][3]string // class, from, text
		Errors []string
	}
	if err := json.Unmarshal([]byte(out.String()), &seen); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	for id, own := range map[string]string{"mqtt": "Ada", "websocket": "Bob", "events": "Cyd"} {
		var lines []string
		for _, l := range seen.Heard[id] {
			lines = append(lines, fmt.Sprintf("[%q,%q]", l[1], l[2]))
			if (l[0] == "own") != (l[1] == own) {
				t.Errorf("%s shows %q as %q", id, l[1], l[0])
			}
		}
		if got := strings.Join(lines, ","); got != said {
			t.Errorf("%s heard %s", id, got)
		}
	}
	if len(seen.Errors) > 0 {
		t.Errorf("the page reported errors: %q", seen.Errors)
	}
	device.waitFor(`"action":"say","from":"Bob"`)
	device.waitFor(`"from":"Cyd"`)
}
