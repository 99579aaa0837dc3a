//go:build unix

package emulator_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/bridge/emulator"
)

func TestLog(t *testing.T) {
	t.Parallel()
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs"}, js(`
		const raw = (s) => require('fs').writeSync(1, s);
		exports.handler = async (e, c) => {
			raw('at once ');
			raw('in pieces\n');
			console.log('hello %d', 5);
			console.error('two\nlines');
			if (e.long) console.warn('x'.repeat(300000));
			if (e.garbage) raw(Buffer.from([0, 255, 10, 13, 10, 10, 27, 10]));
			require('fs').writeSync(2, 'without an end');
		};`))
	for _, id := range []string{"id-1", "id-2"} {
		r := f.call(t, emulator.Invocation{Payload: []byte("{}"), RequestID: id, LogTail: true})
		// What was written before the answer is in the log by then, under its id.
		for _, want := range []string{
			`{"level":"info","function":"fn","request_id":"` + id + `","message":"` + map[string]string{"id-2": "without an end"}[id] + `at once in pieces"}`,
			`{"level":"info","function":"fn","request_id":"` + id + `","message":"hello 5"}`,
			`{"level":"error","function":"fn","request_id":"` + id + `","message":"two\nlines"}`,
		} {
			if log := f.log.String(); !strings.Contains(log, want) {
				t.Errorf("the log lacks %s:\n%s", want, log)
			}
		}
		if tail := string(r.LogTail); !strings.Contains(tail, "at once in pieces\n") || !strings.HasSuffix(tail, "\t"+id+"\tERROR\ttwo\rlines\n") {
			t.Errorf("the tail is %q", tail)
		}
	}
	r := f.call(t, emulator.Invocation{Payload: []byte(`{"long":1}`), LogTail: true})
	if len(r.LogTail) != 4096 || strings.Trim(string(r.LogTail), "x\n") != "" {
		t.Errorf("a long line's tail has %d bytes: %.100q", len(r.LogTail), r.LogTail)
	}
	if r := f.invoke(t, `{"garbage":1}`); r.FunctionError != "" {
		t.Errorf("got %s", r.Payload)
	}
	f.stop()
	if log := f.log.String(); !strings.HasSuffix(log, "without an end\"}\n") {
		t.Errorf("the log ends with %.300s", log[max(0, len(log)-300):])
	}
}

func TestLogEvents(t *testing.T) {
	t.Parallel()
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", LogEvents: true}, js(`exports.handler = async () => console.log('inside');`))
	r := f.call(t, emulator.Invocation{Payload: []byte("{}"), RequestID: "id-1", LogTail: true})
	want := regexp.MustCompile(`^START RequestId: id-1 Version: \$LATEST\n.*\tid-1\tINFO\tinside\nEND RequestId: id-1\n` +
		`REPORT RequestId: id-1\tDuration: [\d.]+ ms\tBilled Duration: \d+ ms\tMemory Size: 128 MB\tMax Memory Used: [1-9]\d* MB\tInit Duration: [\d.]+ ms\t\n$`)
	if !want.Match(r.LogTail) {
		t.Errorf("the tail is %q", r.LogTail)
	}
	if r := f.call(t, emulator.Invocation{Payload: []byte("{}"), LogTail: true}); strings.Contains(string(r.LogTail), "Init Duration") {
		t.Errorf("a warm start has %q", r.LogTail)
	}
}

func TestLogTailOfFailures(t *testing.T) {
	t.Parallel()
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Timeout: 300e6}, js(`
		exports.handler = (e) => {
			process.stdout.write('last words\n');
			if (e.exit) process.exit(1);
			return new Promise((r) => setTimeout(r, 1e6));
		};`))
	for _, event := range []string{`{"exit":1}`, `{}`} {
		if r := f.call(t, emulator.Invocation{Payload: []byte(event), LogTail: true}); string(r.LogTail) != "last words\n" {
			t.Errorf("%s: %s with the tail %q", event, r.ErrorType, r.LogTail)
		}
	}
}
