//go:build unix

package emulator_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/bridge/emulator"
)

func TestExtensionsAPI(t *testing.T) {
	t.Parallel()
	r := startRuntime(t, emulator.Config{Timeout: 20e9, Concurrency: 1})
	const base = "/2020-01-01/extension/"
	r.wants(400, "Extension.InvalidRequest", "POST", base+"register", "{}")
	r.wants(403, "Extension.UnknownExtensionIdentifier", "GET", base+"event/next", "", "Lambda-Extension-Identifier", "x")
	resp, body := r.do("POST", base+"register", strings.NewReader(`{"events":["INVOKE","SHUTDOWN"]}`), "Lambda-Extension-Name", "mine")
	id := resp.Header.Get("Lambda-Extension-Identifier")
	if resp.StatusCode != 200 || id == "" || !strings.Contains(body, `"functionName":"fn"`) {
		t.Fatalf("register: got %d %s %v", resp.StatusCode, body, resp.Header)
	}
	r.wants(202, "OK", "POST", base+"init/error", "{}", "Lambda-Extension-Identifier", id)
	done := r.invoke(emulator.Invocation{Payload: []byte("{}"), RequestID: "id-0"})
	r.do("GET", next, nil)
	event := func() (e struct{ EventType, RequestID, ShutdownReason string }) {
		_, body := r.do("GET", base+"event/next", nil, "Lambda-Extension-Identifier", id)
		if err := json.Unmarshal([]byte(body), &e); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		return e
	}
	if e := event(); e.EventType != "INVOKE" || e.RequestID != "id-0" {
		t.Errorf("got %+v", e)
	}
	r.do("POST", fmt.Sprintf(answer, 0, "response"), strings.NewReader("x"))
	<-done
	// The invocation is over when the runtime asks for the next event; then it may end.
	go r.client.Get("http://" + r.api + next)
	stopped := make(chan struct{})
	go func() { r.f.stop(); close(stopped) }()
	if e := event(); e.EventType != "SHUTDOWN" || e.ShutdownReason != "spindown" {
		t.Errorf("got %+v", e)
	}
	<-stopped
}
