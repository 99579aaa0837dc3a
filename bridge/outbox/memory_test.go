package outbox_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	suite(t, openMemory)
}

func openMemory(tb testing.TB, s settings) *outbox.Outbox {
	tb.Helper()
	o, err := outbox.New(context.Background(), s.options())
	if err != nil {
		tb.Fatal(err)
	}
	return o
}

// What waits in memory at the end is done too, as far as the time allows, and the rest
// is counted.
func TestMemoryDrainsWhatWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		metrics := prometheus.NewRegistry()
		o := openMemory(t, settings{drain: 10 * time.Second, metrics: metrics})
		ctx, cancel := context.WithCancel(t.Context())
		var done int
		ended := make(chan error, 1)
		go func() {
			ended <- o.Run(ctx, each(func(ctx context.Context, _ outbox.Job) error {
				select {
				case <-time.After(3 * time.Second): // virtual time
					done++
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}))
		}()
		for i := range 6 {
			put(t, o, job("q", i))
		}
		synctest.Wait()
		cancel()
		err := <-ended
		// 3 are done at 3, 6 and 9 s, the fourth is cut off at 10 s, two still wait.
		if done != 3 || err == nil || !strings.Contains(err.Error(), "2 jobs") {
			t.Errorf("%d done, error %v", done, err)
		}
		want := `
			# HELP topicwire_outbox_lost_total Jobs given up because the server shut down.
			# TYPE topicwire_outbox_lost_total counter
			topicwire_outbox_lost_total{outbox="outbox"} 3
			# HELP topicwire_outbox_jobs Jobs that wait or run.
			# TYPE topicwire_outbox_jobs gauge
			topicwire_outbox_jobs{outbox="outbox"} 0
		`
		if err := testutil.GatherAndCompare(metrics, strings.NewReader(want), "topicwire_outbox_lost_total", "topicwire_outbox_jobs"); err != nil {
			t.Error(err)
		}
	})
}

// Queue names may come from messages: empty queues do not pile up, and jobs put into a
// queue that is being given back are done.
func TestMemoryGivesBackEmptyQueues(t *testing.T) {
	o := openMemory(t, settings{})
	done := make(chan string, 8)
	stop := run(t, o, func(_ context.Context, j outbox.Job) error { done <- j.ID; return nil })
	const n = 5000
	go func() {
		for i := range n {
			put(t, o, job(fmt.Sprintf("q%d", i%2500), i))
		}
	}()
	for range n {
		receive(t, done, "job")
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if q, _ := outbox.Queues(o); q > 1200 {
		t.Errorf("%d queues are kept", q)
	}
}

// A job keeps everything when it goes through JSON, which is how a store keeps it.
func TestJobSurvivesJSON(t *testing.T) {
	text := rapid.String()
	rapid.Check(t, func(rt *rapid.T) {
		j := job("q", 1)
		j.Message.Topic = rapid.StringMatching(`[a-zä/]{1,20}`).Draw(rt, "topic")
		j.Message.Payload = rapid.SliceOf(rapid.Byte()).Draw(rt, "payload")
		j.Message.From = message.Origin{ClientID: rapid.StringMatching(`\PC*`).Draw(rt, "client"), Via: message.ViaWebSocket}
		j.Source = &outbox.Source{
			Definition:  rules.Definition{Name: "r", SQL: text.Filter(func(s string) bool { return strings.ToValidUTF8(s, "") == s }).Draw(rt, "sql")},
			Actions:     []action.Config{{HTTP: &action.HTTPConfig{URL: "http://h", Timeout: time.Second}}},
			ErrorAction: &action.Config{Republish: &action.RepublishConfig{Topic: "t", QoS: "1"}},
		}
		doc, err := json.Marshal(j)
		if err != nil {
			rt.Fatal(err)
		}
		var back outbox.Job
		if err := json.Unmarshal(doc, &back); err != nil {
			rt.Fatal(err)
		}
		if diff := cmp.Diff(j, back, cmpopts.EquateComparable(message.Origin{}), cmpopts.EquateEmpty()); diff != "" {
			rt.Fatal(diff)
		}
	})
}

// At the end nothing waits: windows, retries and paced replays are cut short, however
// they hang together.
func TestMemoryCutsWaitsShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := openMemory(t, settings{letters: &outbox.LetterLimits{}})
		c := newCalls(func(id string, nth int) outbox.Result {
			switch {
			case id == "q-9":
				return dead()
			case id == "q-1" && nth < 3:
				return again(time.Hour)
			case id == "q-2":
				return again(time.Hour) // for ever
			}
			return outbox.Result{}
		})
		spec := action.BatchSpec{MaxSize: 3, MaxBytes: 1 << 20, Window: time.Minute}
		stop := runWorker(t, o, c.worker())
		put(t, o, job("q", 9))
		put(t, o, job("q", 1))
		lane := job("q", 2)
		lane.Lane = "l"
		put(t, o, lane)
		put(t, o, batched(3, spec))
		synctest.Wait()
		o.Replay(every, 0.001, nil)
		if err := stop(); err != nil {
			t.Error(err)
		}
		slices.Sort(c.lines)
		lines := slices.DeleteFunc(c.lines, func(s string) bool { return s == "0s q-9" }) // replayed in time or not
		c.lines = lines
		c.want(t, "0s q-1", "0s q-1", "0s q-1", "0s q-2", "0s q-2", "0s q-2", "0s q-2", "0s q-2 ShutDown", "0s q-3")
	})
}
