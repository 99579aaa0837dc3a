package e2e

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// told is an answer as the page of examples/stream shows it.
type told struct {
	Story, Failure string
	Messages       int
}

// The page of examples/stream, in real Chromium: a streamed answer grows word by word, the
// same one without stream comes at once, and one that breaks off says so.
func TestStreamExample(t *testing.T) {
	root := testkit.Root()
	chromium := testkit.Need(t, "chromium", "chromium")
	node := testkit.Need(t, "node", "nodejs")
	testkit.NeedFile(t, filepath.Join(root, "examples", "stream", "node_modules", "mqtt"), "run make deps")
	testkit.NeedFile(t, filepath.Join(root, "internal", "e2e", "node_modules", "playwright-core"), "run make deps")
	s := testkit.Serve(t, binary.Path(t), example(t, "stream"))

	r := testkit.Command(t, nil, node, filepath.Join(root, "internal", "e2e", "stream.mjs"), chromium, "http://"+s.HTTP+"/")
	if r.Code != 0 {
		t.Fatalf("exit status %d:\n%s\n%s", r.Code, r.Stderr, s.Log)
	}
	var seen struct {
		Middle, Streamed, Whole told
		Broken                  struct{ Streamed, Whole told }
		Errors                  []string
	}
	if err := json.Unmarshal([]byte(r.Stdout), &seen); err != nil {
		t.Fatalf("%v: %s", err, r.Stdout)
	}
	if whole := seen.Whole; !strings.HasPrefix(whole.Story, "Once, at the far end of a long pier, there was a lost packet 📦.") || whole.Messages != 1 || whole.Failure != "" {
		t.Errorf("all at once: %+v", whole)
	}
	words := len(strings.Fields(seen.Whole.Story))
	if got := seen.Streamed; got.Story != seen.Whole.Story || got.Messages != words || got.Failure != "" {
		t.Errorf("piece by piece, of %d words: %+v", words, got)
	}
	if got := seen.Middle; !strings.HasPrefix(seen.Whole.Story, got.Story) || len(got.Story) >= len(seen.Whole.Story) || got.Messages < 30 {
		t.Errorf("in the middle: %+v", got)
	}
	const why = "There is no story about nothing."
	if got := seen.Broken.Streamed; got.Failure != why || !strings.HasPrefix(got.Story, "Once, at the far end") || got.Messages != 24 {
		t.Errorf("broken off: %+v", got)
	}
	if got := seen.Broken.Whole; !strings.Contains(got.Failure, why) || got.Story != "" {
		t.Errorf("no answer: %+v", got)
	}
	if len(seen.Errors) > 0 {
		t.Errorf("the page reported errors: %q", seen.Errors)
	}
}

// What the README of the example shows in a terminal: one word a line.
func TestStreamExampleWithoutABrowser(t *testing.T) {
	testkit.Need(t, "node", "nodejs")
	s := testkit.Serve(t, binary.Path(t), example(t, "stream"))
	sub := subscribe(t, s.MQTT, "-V", "mqttv5", "-q", "1", "-t", "stories/told", "-F", "%P|%p")
	publish(t, s.MQTT, "-q", "1", "-t", "ask/streamed", "-m", `{"about":"a lost packet"}`)
	sub.waitFor("sequence:0|Once, ")
	sub.waitFor("sequence:13|packet. ")
	sub.waitFor("end:ok|")
}
