package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
	"github.com/topicwire/topicwire/internal/testkit"
)

// A server that is told to stop while clients go on publishing: what it has
// acknowledged reaches the function, however many there are.
func TestShutdownLosesNothingThatWasAcknowledged(t *testing.T) {
	var mu sync.Mutex
	invoked := map[string]bool{}
	web := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var event struct{ ID string }
		if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
			t.Error(err)
		}
		<-time.After(5 * time.Millisecond) // slower than clients publish: a queue builds up
		mu.Lock()
		defer mu.Unlock()
		invoked[event.ID] = true
	}))
	t.Cleanup(web.Close)
	s := testkit.Start(t, binary.Path(t), strings.ReplaceAll(`
listen: {mqtt: 127.0.0.1:0}
store: {dir: memory} # a durable one keeps what is left for the next start
functions:
  slow: {http: URL}
rules:
  - name: slow
    sql: SELECT id AS ID FROM 'in'
    actions: [{lambda: {function: slow}}]
`, "URL", web.URL))
	target, err := mqttclient.ParseURL("mqtt://" + s.MQTT)
	if err != nil {
		t.Fatal(err)
	}
	const publishers, before = 8, 100
	acknowledged := make([][]string, publishers)
	var ready, ended sync.WaitGroup
	ready.Add(publishers)
	for p := range publishers {
		ended.Go(func() {
			once := sync.OnceFunc(ready.Done)
			defer once()
			c, err := mqttclient.Open(t.Context(), mqttclient.Options{Target: target})
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			for i := 0; ; i++ {
				id := fmt.Sprintf("%d-%d", p, i)
				if c.Publish(t.Context(), &mqttclient.Publish{Topic: "in", QoS: 1, Payload: fmt.Appendf(nil, `{"id":%q}`, id)}) != nil {
					return // the server stops
				}
				acknowledged[p] = append(acknowledged[p], id)
				if i == before {
					once()
				}
			}
		})
	}
	ready.Wait()
	s.Signal(syscall.SIGTERM)
	ended.Wait()
	if code := s.ExitCode(); code != 0 {
		t.Errorf("exit status %d", code)
	}
	mu.Lock()
	defer mu.Unlock()
	total, lost := 0, 0
	for _, ids := range acknowledged {
		for _, id := range ids {
			total++
			if !invoked[id] {
				lost++
			}
		}
	}
	if lost > 0 || total < publishers*before {
		t.Errorf("%d of %d acknowledged messages never reached the function", lost, total)
	}
}
