package e2e

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
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
