package bridge_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	lambdaevents "github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/emulator"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/internal/testkit"
)

// received is one invocation: the messages' bodies, and their ids.
type received struct {
	mu     sync.Mutex
	bodies []string
	ids    map[string][]string // by body: the ids it came with
}

func (r *received) note(bodies, ids []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies = append(r.bodies, strings.Join(bodies, " "))
	if r.ids == nil {
		r.ids = make(map[string][]string)
	}
	for i, b := range bodies {
		r.ids[b] = append(r.ids[b], ids[i])
	}
}

// reader takes an event apart with AWS's own types.
type reader func(tb testing.TB, event []byte) (bodies, ids []string)

func readSQS(tb testing.TB, event []byte) (bodies, ids []string) {
	tb.Helper()
	var e lambdaevents.SQSEvent
	decode(tb, event, &e)
	for _, r := range e.Records {
		bodies, ids = append(bodies, r.Body), append(ids, r.MessageId)
		if r.EventSource != "aws:sqs" || r.Attributes["ApproximateReceiveCount"] == "" || *r.MessageAttributes["topic"].StringValue != "in" {
			tb.Errorf("odd record %+v", r)
		}
	}
	return bodies, ids
}

func readKinesis(tb testing.TB, event []byte) (bodies, ids []string) {
	tb.Helper()
	var e lambdaevents.KinesisEvent
	decode(tb, event, &e)
	for _, r := range e.Records {
		bodies, ids = append(bodies, string(r.Kinesis.Data)), append(ids, r.Kinesis.SequenceNumber)
		if r.EventSource != "aws:kinesis" || time.Since(r.Kinesis.ApproximateArrivalTimestamp.Time).Abs() > time.Hour {
			tb.Errorf("odd record %+v", r)
		}
	}
	if !slices.IsSorted(ids) {
		tb.Errorf("sequence numbers %v are not in order", ids)
	}
	return bodies, ids
}

func readIoT(tb testing.TB, event []byte) (bodies, ids []string) {
	tb.Helper()
	var e struct {
		Version, Rule string
		Messages      []struct {
			MessageID, Topic, ClientID string
			Payload                    json.RawMessage
		}
	}
	decode(tb, event, &e)
	for _, m := range e.Messages {
		bodies, ids = append(bodies, string(m.Payload)), append(ids, m.MessageID)
		if e.Rule != "r" || m.Topic != "in" || m.ClientID != "device-1" {
			tb.Errorf("odd event %s", event)
		}
	}
	return bodies, ids
}

func decode(tb testing.TB, doc []byte, v any) {
	tb.Helper()
	if err := json.Unmarshal(doc, v); err != nil {
		tb.Error(err)
	}
}

func failures(ids ...string) string {
	list := []map[string]string{}
	for _, id := range ids {
		list = append(list, map[string]string{"itemIdentifier": id})
	}
	doc, _ := json.Marshal(map[string]any{"batchItemFailures": list})
	return string(doc)
}

// What a handler answers to a batch of five means what it means on AWS.
func TestBatchItemFailures(t *testing.T) {
	never, always := false, true
	for _, c := range []struct {
		name, format string
		bisect       *bool
		report       *bool
		answer       func(nth int, bodies, ids []string) (string, error)
		want         []string // the invocations
		dead         string   // bodies of the dead letters
	}{
		{"nothing", "sqs", nil, nil, func(int, []string, []string) (string, error) { return "", nil }, []string{"1 2 3 4 5"}, ""},
		{"null", "sqs", nil, nil, func(int, []string, []string) (string, error) { return "null", nil }, []string{"1 2 3 4 5"}, ""},
		{"empty object", "kinesis", nil, nil, func(int, []string, []string) (string, error) { return "{}", nil }, []string{"1 2 3 4 5"}, ""},
		{"null list", "sqs", nil, nil, func(int, []string, []string) (string, error) { return `{"batchItemFailures":null}`, nil }, []string{"1 2 3 4 5"}, ""},
		{"empty list", "iot", nil, nil, func(int, []string, []string) (string, error) { return failures(), nil }, []string{"1 2 3 4 5"}, ""},
		{"sqs retries the listed alone", "sqs", nil, nil, func(nth int, _, ids []string) (string, error) {
			if nth == 1 {
				return failures(ids[1], ids[3]), nil
			}
			return "null", nil
		}, []string{"1 2 3 4 5", "2", "4"}, ""},
		{"kinesis retries from the lowest on", "kinesis", nil, nil, func(nth int, _, ids []string) (string, error) {
			if nth == 1 {
				return failures(ids[3], ids[1]), nil
			}
			return "null", nil
		}, []string{"1 2 3 4 5", "2 3 4 5"}, ""},
		{"one that fails for good", "iot", nil, nil, func(_ int, bodies, ids []string) (string, error) {
			if i := slices.Index(bodies, "2"); i >= 0 {
				return failures(ids[i]), nil
			}
			return "null", nil
		}, []string{"1 2 3 4 5", "2", "2"}, "2"},
		{"no JSON fails the whole", "sqs", &never, nil, func(nth int, _, _ []string) (string, error) {
			if nth == 1 {
				return "oops", nil
			}
			return "null", nil
		}, []string{"1 2 3 4 5", "1 2 3 4 5"}, ""},
		{"an unknown id fails the whole", "sqs", &never, nil, func(nth int, _, _ []string) (string, error) {
			if nth == 1 {
				return failures("nobody"), nil
			}
			return "null", nil
		}, []string{"1 2 3 4 5", "1 2 3 4 5"}, ""},
		{"an empty id fails the whole", "kinesis", &never, nil, func(nth int, _, _ []string) (string, error) {
			if nth == 1 {
				return failures(""), nil
			}
			return "null", nil
		}, []string{"1 2 3 4 5", "1 2 3 4 5"}, ""},
		{"a misspelt key fails the whole", "sqs", &never, nil, func(nth int, _, ids []string) (string, error) {
			if nth == 1 {
				return `{"batchItemFailures":[{"itemIdentifer":"` + ids[0] + `"}]}`, nil
			}
			return "null", nil
		}, []string{"1 2 3 4 5", "1 2 3 4 5"}, ""},
		{"a throw fails the whole, three times", "sqs", &never, nil, func(int, []string, []string) (string, error) { return "", errThrown }, []string{
			"1 2 3 4 5", "1 2 3 4 5", "1 2 3 4 5",
		}, "1 2 3 4 5"},
		{"without reporting the answer says nothing", "sqs", nil, &never, func(_ int, _, ids []string) (string, error) { return failures(ids[0]), nil }, []string{"1 2 3 4 5"}, ""},
		{"poison is isolated by halving", "kinesis", &always, nil, func(_ int, bodies, _ []string) (string, error) {
			if slices.Contains(bodies, "4") {
				return "", errThrown
			}
			return "null", nil
		}, []string{"1 2 3 4 5", "1 2 3", "4 5", "4", "5", "4", "4"}, "4"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				read := map[string]reader{"sqs": readSQS, "kinesis": readKinesis, "iot": readIoT}[c.format]
				var got received
				nth := 0
				f := functions{"f": func(_ context.Context, event []byte) ([]byte, error) {
					bodies, ids := read(t, event)
					got.note(bodies, ids)
					nth++
					out, err := c.answer(nth, bodies, ids)
					return []byte(out), err
				}}
				a := lambda("f")
				a.Batch = &action.BatchConfig{MaxSize: 5, Window: time.Second, Format: c.format, BisectOnError: c.bisect, ReportItemFailures: c.report}
				var letters []string
				p := compile(t, f, withError(rule("r", "SELECT VALUE * FROM 'in'", a), republish("errors")))
				out := newBroker()
				b := newBridge(t, bridge.Options{Publisher: out})
				out.bridge = b
				b.Load(p)
				for i := 1; i <= 5; i++ {
					accept(t, b, msg("in", fmt.Sprint(i)))
				}
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, 1)
				go func() { ended <- b.Run(ctx) }()
				<-time.After(time.Hour)
				synctest.Wait()
				// Jobs that wait alone come back in any order; what counts is which.
				if len(got.bodies) > 1 {
					slices.Sort(got.bodies[1:])
				}
				want := slices.Clone(c.want)
				slices.Sort(want[1:])
				if diff := cmp.Diff(want, got.bodies); diff != "" {
					t.Error(diff)
				}
				for body, ids := range got.ids {
					if slices.Sort(ids); ids[0] != ids[len(ids)-1] {
						t.Errorf("message %s came with different ids: %v", body, ids)
					}
				}
				for _, l := range b.Letters(bridge.LetterFilter{}) {
					letters = append(letters, string(l.Job.Payload))
				}
				if s := strings.Join(letters, " "); s != c.dead {
					t.Errorf("dead letters %q, want %q", s, c.dead)
				}
				if n := len(out.all()); n != len(letters) {
					t.Errorf("%d error actions for %d dead letters", n, len(letters))
				}
				cancel()
				if err := <-ended; err != nil {
					t.Error(err)
				}
			})
		})
	}
}

const sqsNode = `
exports.handler = async (event) => {
  const batchItemFailures = [];
  for (const record of event.Records) {
    try {
      const order = JSON.parse(record.body);
      if (order.bad && Number(record.attributes.ApproximateReceiveCount) < 2) throw new Error("not yet");
      console.log("processed " + order.n);
    } catch (e) {
      batchItemFailures.push({ itemIdentifier: record.messageId });
    }
  }
  return { batchItemFailures, replies: event.Records.map((r) => ({ messageId: r.messageId, payload: JSON.parse(r.body).n })) };
};
`

const kinesisPython = `
import base64, json

tried = {}

def handler(event, context):
    replies = []
    for record in event["Records"]:
        kinesis = record["kinesis"]
        order = json.loads(base64.b64decode(kinesis["data"]))
        number = kinesis["sequenceNumber"]
        tried[number] = tried.get(number, 0) + 1
        if order.get("bad") and tried[number] < 2:
            return {"batchItemFailures": [{"itemIdentifier": number}], "replies": replies}
        replies.append({"messageId": number, "payload": order["n"]})
    return {"batchItemFailures": [], "replies": replies}
`

// Handlers that were written for SQS and Kinesis run as they are, in real Node.js and
// Python, and their answers reach the messages.
func TestBatchHandlersOfAWS(t *testing.T) {
	testkit.Need(t, "node", "nodejs")
	testkit.Need(t, "python3", "python3")
	dir := t.TempDir()
	for name, text := range map[string]string{"node/index.js": sqsNode, "python/app.py": kinesisPython} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, err := function.NewRegistry(map[string]function.Config{
		"sqs":     {Config: emulator.Config{Runtime: "nodejs", Path: "node", Handler: "index.handler", Concurrency: 1}},
		"kinesis": {Config: emulator.Config{Runtime: "python", Path: "python", Handler: "app.handler", Concurrency: 1}},
	}, function.Options{Emulator: function.EmulatorOptions{BaseDir: dir, CacheDir: t.TempDir(), RootWarning: new(sync.Once)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- r.Run(ctx) }()
	defer func() { cancel(); <-ended }()
	var rs []bridge.RuleConfig
	for _, format := range []string{"sqs", "kinesis"} {
		a := lambdaReply(format, format+"/out/${n}")
		a.Batch = &action.BatchConfig{MaxSize: 10, Format: format, Window: 50 * time.Millisecond}
		a.OrderedBy = map[string]string{"kinesis": "client"}[format]
		a.Retry = &action.RetryConfig{Backoff: &action.Backoff{Min: time.Millisecond, Max: time.Millisecond}}
		rs = append(rs, rule(format, "SELECT * FROM '"+format+"'", a))
	}
	b, out, _ := start(t, bridge.Options{}, compile(t, r, rs...))
	for _, format := range []string{"sqs", "kinesis"} {
		want := map[string]string{}
		for n := range 8 {
			m := msg(format, fmt.Sprintf(`{"n":%d,"bad":%t}`, n, n == 3))
			accept(t, b, m)
			want[fmt.Sprintf("%s/out/%d", format, n)] = fmt.Sprint(n)
		}
		got := map[string]string{}
		var order []string
		for range want {
			m := out.next(t)
			got[m.Topic] = string(m.Payload)
			order = append(order, string(m.Payload))
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(format, diff)
		}
		if format == "kinesis" && !slices.IsSorted(order) {
			t.Errorf("answers in the order %v", order)
		}
	}
}
