//go:build unix

package emulator_test

import (
	"testing"

	"github.com/topicwire/topicwire/bridge/emulator"
)

// A function that writes where nobody reads fails with that, and the next invocation works.
func TestClosedPipe(t *testing.T) {
	t.Parallel()
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 1, Timeout: 20e9}, js(`
		exports.handler = (e) => new Promise((resolve) => {
			if (e.fine) return resolve('fine');
			const child = require('child_process').spawn('sh', ['-c', 'exec <&-; echo closed; exec sleep 5']);
			child.stdout.on('data', () => child.stdin.write('x'.repeat(1 << 20)));
		});`))
	if d := document(t, f.invoke(t, "{}")); d.Type != "Error" || d.Message != "write EPIPE" {
		t.Errorf("got %+v", d)
	}
	if r := f.invoke(t, `{"fine":true}`); string(r.Payload) != `"fine"` {
		t.Errorf("the next one: %s %s", r.ErrorType, r.Payload)
	}

	// Its own standard output is a pipe to us: one that closes it loses its log, no more.
	closed := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 1, Timeout: 20e9}, js(`
		const fs = require('fs');
		exports.handler = async () => { fs.closeSync(1); fs.closeSync(2); return 'quiet'; };`))
	for range 2 {
		if r := closed.invoke(t, "{}"); r.FunctionError != "" && r.ErrorType != "Error" || r.FunctionError == "" && string(r.Payload) != `"quiet"` {
			t.Errorf("without an output: %s %s", r.ErrorType, r.Payload)
		}
	}
}

func TestPythonClosedPipe(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	f := start(t, emulator.Config{Runtime: "python", Concurrency: 1, Timeout: 20e9}, map[string]string{"lambda_function.py": `
import os
def lambda_handler(event, context):
    if event.get('fine'):
        return 'fine'
    r, w = os.pipe()
    os.close(r)
    os.write(w, b'x')
`})
	if d := document(t, f.invoke(t, "{}")); d.Type != "BrokenPipeError" {
		t.Errorf("got %+v", d)
	}
	if r := f.invoke(t, `{"fine":true}`); string(r.Payload) != `"fine"` {
		t.Errorf("the next one: %s %s", r.ErrorType, r.Payload)
	}
}

// A runtime that answers and then never asks for its next event is ended after its
// timeout, and another one serves. One that never asks for its first event is what
// TestInitTimeout is about.
func TestRuntimeThatNeverCallsNext(t *testing.T) {
	t.Parallel()
	need(t, "curl")
	f := start(t, emulator.Config{Runtime: "provided", Concurrency: 1, Timeout: 300e6}, map[string]string{"bootstrap": `#!/bin/sh
base=http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation
id=$(curl -s -D - -o /dev/null $base/next | tr -d '\r' | sed -n 's/^Lambda-Runtime-Aws-Request-Id: //p')
curl -s -o /dev/null -d "\"$$\"" $base/$id/response
exec sleep 1000
`})
	first, second := f.invoke(t, "{}"), f.invoke(t, "{}")
	if first.FunctionError != "" || second.FunctionError != "" || string(first.Payload) == string(second.Payload) {
		t.Errorf("got %s %s, then %s %s", first.ErrorType, first.Payload, second.ErrorType, second.Payload)
	}
	f.log.await(t, "did not finish within its timeout")
}

// The sockets that a runtime client is born with are its own: what a handler starts
// must not hold them open or speak on them.
func TestAHandlersProcessesGetNoSocketOfOurs(t *testing.T) {
	const sh = `(echo x >&3) 2>/dev/null && echo open || echo closed`
	for runtime, files := range map[string]map[string]string{
		"nodejs": {"index.js": "const cp = require('node:child_process');\n" +
			"exports.handler = async () => cp.execFileSync('sh', ['-c', '" + sh + "']).toString();"},
		"python": {"lambda_function.py": "import subprocess\ndef lambda_handler(event, context):\n" +
			"    return subprocess.run(['sh', '-c', '" + sh + "'], close_fds=False, capture_output=True, text=True).stdout\n"},
	} {
		t.Run(runtime, func(t *testing.T) {
			f := start(t, emulator.Config{Runtime: runtime, Concurrency: 1}, files)
			for range 2 {
				if r := f.invoke(t, `{}`); string(r.Payload) != `"closed\n"` {
					t.Errorf("descriptor 3 in a process of the handler: %s", r.Payload)
				}
			}
		})
	}
}
