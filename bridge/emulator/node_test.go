//go:build unix

package emulator_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge/emulator"
)

// errorOf is an error document; of the trace only the first line counts.
type errorOf struct {
	Type    string   `json:"errorType"`
	Message string   `json:"errorMessage"`
	Trace   []string `json:"trace"`
	Stack   []any    `json:"stackTrace"` // of strings, of a Go function of objects
}

func document(t *testing.T, r *emulator.Result) errorOf {
	t.Helper()
	if r.FunctionError != "Unhandled" {
		t.Fatalf("FunctionError = %q with payload %s, want Unhandled", r.FunctionError, r.Payload)
	}
	var d errorOf
	if err := json.Unmarshal(r.Payload, &d); err != nil {
		t.Fatalf("error document %q: %v", r.Payload, err)
	}
	if d.Type != r.ErrorType {
		t.Errorf("ErrorType is %q, the document's is %q", r.ErrorType, d.Type)
	}
	return d
}

// handlerCase is a handler, what it gets and what the caller sees. It is invoked twice:
// whatever happened, the next invocation must end the same.
type handlerCase struct {
	name      string
	files     map[string]string
	handler   string
	event     string
	want      string // the payload, or
	errorType string // the document's type and
	message   string // message, of which ID is the request's id
	trace     string // the beginning of the first line of the trace
}

func (c handlerCase) run(t *testing.T, runtime string) {
	t.Helper()
	cfg := emulator.Config{Runtime: runtime, Handler: c.handler, Timeout: 20e9, Concurrency: 1}
	f := start(t, cfg, c.files)
	for range 2 {
		event := c.event
		if event == "" {
			event = `{"n":1}`
		}
		r := f.invoke(t, event)
		if c.errorType == "" {
			if r.FunctionError != "" || string(r.Payload) != c.want {
				t.Fatalf("got %s %s, want %s\n%s", r.FunctionError, r.Payload, c.want, f.log)
			}
			continue
		}
		d := document(t, r)
		want := strings.ReplaceAll(c.message, "ID", r.RequestID)
		want = strings.ReplaceAll(want, "DIR", f.dir)
		if d.Type != c.errorType || !strings.HasPrefix(d.Message, want) || want == "" && d.Message != "" {
			t.Errorf("got %s: %q, want %s: %q", d.Type, d.Message, c.errorType, want)
		}
		trace := strings.Join(d.Trace, "\n")
		if len(d.Stack) > 0 {
			trace, _ = d.Stack[0].(string)
		}
		if !strings.HasPrefix(trace, c.trace) {
			t.Errorf("trace = %q, want it to begin with %q", trace, c.trace)
		}
	}
}

func js(source string) map[string]string { return map[string]string{"index.js": source} }

func TestNodeHandlers(t *testing.T) {
	need(t, "node")
	for _, c := range []handlerCase{
		{name: "async", files: js(`exports.handler = async (e) => ({ got: e.n });`), want: `{"got":1}`},
		{name: "promise", files: js(`exports.handler = (e) => new Promise((r) => setTimeout(r, 5, e.n + 1));`), want: `2`},
		{name: "callback", files: js(`exports.handler = (e, c, cb) => { setTimeout(cb, 5, null, 'late'); };`), want: `"late"`},
		{name: "callback waits for the event loop", files: js(`
			let log = [];
			exports.handler = (e, c, cb) => { log = []; setTimeout(() => log.push('timer'), 20); cb(null, log); };`), want: `["timer"]`},
		{name: "callback that does not wait", files: js(`
			exports.handler = (e, c, cb) => {
				c.callbackWaitsForEmptyEventLoop = false;
				setInterval(() => {}, 1000);
				cb(null, c.callbackWaitsForEmptyEventLoop);
			};`), want: `false`},
		{name: "async with a callback", files: js(`exports.handler = async (e, c, cb) => { cb(null, 'first'); return 'second'; };`), want: `"first"`},
		{name: "callback and then an error", files: js(`exports.handler = (e, c, cb) => { cb(null, 'first'); throw new Error('second'); };`), want: `"first"`},
		{name: "callback before succeed", files: js(`exports.handler = (e, c, cb) => { cb(null, 'first'); c.succeed('second'); };`), want: `"first"`},
		{name: "succeed before fail", files: js(`exports.handler = async (e, c) => { setTimeout(() => c.fail('second'), 5); return 'first'; };`), want: `"first"`},
		{name: "async iterator", files: js(`
			async function* count() { for (let i = 0; i < 3; i++) { await null; yield i; } }
			exports.handler = async () => { const all = []; for await (const n of count()) all.push(n); return all; };`), want: `[0,1,2]`},
		{name: "succeed", files: js(`exports.handler = (e, c) => { c.succeed('s'); c.fail('no'); };`), want: `"s"`},
		{name: "done", files: js(`exports.handler = (e, c) => c.done(null, 'd');`), want: `"d"`},
		{name: "sync return is ignored", files: js(`exports.handler = () => 'ignored';`), want: `null`},
		{name: "undefined", files: js(`exports.handler = async () => {};`), want: `null`},
		{name: "text beyond ASCII", files: js(`exports.handler = async (e) => e;`), event: `"žluťoučký 🐎"`, want: `"žluťoučký 🐎"`},
		{name: "ES module", files: map[string]string{"index.mjs": `const n = await 7; export const handler = async () => n;`}, want: `7`},
		{name: "package of type module", files: map[string]string{
			"package.json": `{"type":"module"}`, "src/app.js": `import os from 'node:os'; export const run = async () => typeof os.EOL;`,
		}, handler: "src/app.run", want: `"string"`},
		{name: "CommonJS by extension", files: map[string]string{"index.cjs": `exports.handler = async () => require('path').basename(__filename);`}, want: `"index.cjs"`},
		{name: "nested handler", files: js(`exports.a = { b: async () => 'deep' };`), handler: "index.a.b", want: `"deep"`},
		{name: "default export", files: map[string]string{"index.mjs": `export default { handler: async () => 'd' };`}, want: `"d"`},

		{name: "throws", files: js(`exports.handler = () => { throw new TypeError('boom'); };`), errorType: "TypeError", message: "boom", trace: "TypeError: boom"},
		{name: "rejects", files: js(`exports.handler = async () => { class Mine extends Error { name = 'Mine'; } throw new Mine('no'); };`), errorType: "Mine", message: "no", trace: "Mine: no"},
		{name: "rejects with a string", files: js(`exports.handler = async () => { throw 'text'; };`), errorType: "string", message: "text"},
		{name: "callback with an error", files: js(`exports.handler = (e, c, cb) => cb(new Error('cb'));`), errorType: "Error", message: "cb", trace: "Error: cb"},
		{name: "fail", files: js(`exports.handler = (e, c) => c.fail();`), errorType: "string", message: "handled"},
		{name: "uncaught exception", files: js(`exports.handler = () => new Promise(() => setTimeout(() => { throw new RangeError('later'); }, 5));`), errorType: "RangeError", message: "later"},
		{name: "unhandled rejection", files: js(`exports.handler = () => new Promise(() => { Promise.reject(new Error('lost')); setTimeout(() => {}, 1000); });`), errorType: "Runtime.UnhandledPromiseRejection", message: "Error: lost"},
		{name: "never settles", files: js(`exports.handler = async () => { await new Promise(() => {}); };`), errorType: "Runtime.NodeJsExit", message: "The Lambda runtime client detected"},
		{name: "rejects with nothing", files: js(`exports.handler = () => Promise.reject();`), errorType: "string", message: "handled"},
		{name: "answer with a BigInt", files: js(`exports.handler = async () => ({ n: 1n });`), errorType: "Error", message: "Unable to stringify response body"},
		{name: "answer with a cycle", files: js(`exports.handler = async () => { const a = {}; a.a = a; return a; };`), errorType: "Error", message: "Unable to stringify response body"},
		{name: "garbage event", files: js(`exports.handler = async () => 1;`), event: `{"n":`, errorType: "SyntaxError", message: "Unexpected end of JSON input"},
		{name: "exits", files: js(`exports.handler = async () => process.exit(3);`), errorType: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited with error: exit status 3"},
		{name: "exits with 0", files: js(`exports.handler = async () => process.exit(0);`), errorType: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited without providing a reason"},
		{name: "is killed", files: js(`exports.handler = () => { process.kill(process.pid, 'SIGKILL'); };`), errorType: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited with error: signal: killed"},
		{name: "answers too much", files: js(`exports.handler = async () => 'x'.repeat(7 << 20);`), errorType: "Function.ResponseSizeTooLarge", message: "Response payload size exceeded maximum allowed payload size (6291556 bytes)."},
		{name: "syntax error", files: js(`exports.handler = async ( => 1;`), errorType: "Runtime.UserCodeSyntaxError", message: "SyntaxError: Unexpected token '=>'", trace: "Runtime.UserCodeSyntaxError: SyntaxError"},
		{name: "missing module", files: js(`require('nowhere');`), errorType: "Runtime.ImportModuleError", message: "Error: Cannot find module 'nowhere'", trace: "Runtime.ImportModuleError: Error: Cannot"},
		{name: "missing module of an ES module", files: map[string]string{"index.mjs": `import 'nowhere';`}, errorType: "Error", message: "Cannot find package 'nowhere' imported from DIR/index.mjs", trace: "Error [ERR_MODULE_NOT_FOUND]: Cannot find package"},
		{name: "missing file", files: js(``), handler: "other.handler", errorType: "Runtime.ImportModuleError", message: "Error: Cannot find module 'other'"},
		{name: "missing export", files: js(``), handler: "index.nope", errorType: "Runtime.HandlerNotFound", message: "index.nope is undefined or not exported"},
		{name: "not a function", files: js(`exports.handler = 5;`), errorType: "Runtime.HandlerNotFound", message: "index.handler is not a function"},
		{name: "path that leads out", files: js(``), handler: "../index.handler", errorType: "Runtime.MalformedHandlerName", message: "'../index.handler' is not a valid handler name."},
		{name: "rejects while loading", files: map[string]string{"index.mjs": `await Promise.reject(new TypeError('top level')); export const handler = 1;`}, errorType: "TypeError", message: "top level"},
		{name: "leaves a rejection behind while loading", files: js(`Promise.reject(new Error('lost')); exports.handler = async () => 1;`), errorType: "Runtime.UnhandledPromiseRejection", message: "Error: lost"},
		{name: "throws while loading", files: js(`throw new Error('load');`), errorType: "Error", message: "load"},
		{name: "exits while loading", files: js(`process.exit(9);`), errorType: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited with error: exit status 9"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, "nodejs20.x")
		})
	}
}

func TestNodeContext(t *testing.T) {
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Timeout: 5e9, Memory: 256, Environment: map[string]string{"MINE": "1"}}, js(`
		exports.handler = async (e, c) => {
			const left = c.getRemainingTimeInMillis();
			return {
				...c, left: left > 0 && left <= 5000, waits: c.callbackWaitsForEmptyEventLoop, stream: /^\d{4}\/\d\d\/\d\d\/\[\$LATEST\][0-9a-f]{32}$/.test(c.logStreamName),
				logStreamName: undefined, callbackWaitsForEmptyEventLoop: undefined,
				env: [process.env.MINE, process.env.TZ, process.env._X_AMZN_TRACE_ID, process.env.AWS_REGION, process.env.AWS_EXECUTION_ENV],
				members: ['succeed', 'fail', 'done'].map((m) => typeof c[m]),
			};
		};`))
	r := f.call(t, emulator.Invocation{
		Payload: []byte("{}"), RequestID: "id-1", ClientContext: "{\"custom\":\n{\"topic\":\"a/ž\"}}", Identity: `{"cognitoIdentityId":"i"}`,
		TraceID: "Root=1-2-3", TenantID: "t",
	})
	var got map[string]any
	if err := json.Unmarshal(r.Payload, &got); err != nil {
		t.Fatalf("%s: %v", r.Payload, err)
	}
	want := map[string]any{
		"functionVersion": "$LATEST", "functionName": "fn", "memoryLimitInMB": "256", "logGroupName": "/aws/lambda/fn",
		"invokedFunctionArn": "arn:aws:lambda:us-east-1:123456789012:function:fn", "awsRequestId": "id-1", "tenantId": "t",
		"clientContext": map[string]any{"custom": map[string]any{"topic": "a/ž"}}, "identity": map[string]any{"cognitoIdentityId": "i"},
		"left": true, "waits": true, "stream": true,
		"env":     []any{"1", ":UTC", "Root=1-2-3", "us-east-1", "AWS_Lambda_nodejs22.x"},
		"members": []any{"function", "function", "function"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("context (-want +got):\n%s", diff)
	}
}

func TestNodeConcurrentInvocationsInOneProcess(t *testing.T) {
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 3, ConcurrencyPerEnvironment: 3}, js(`
		let waiting = [];
		exports.handler = (e, c) => new Promise((done) => {
			waiting.push(() => { console.log('for', c.awsRequestId); done(process.pid); });
			if (waiting.length === 3) { waiting.forEach((w) => w()); waiting = []; }
		});`))
	// Nobody is answered before all three have arrived.
	results := make(chan *emulator.Result, 3)
	for range 3 {
		go func() { results <- f.invoke(t, "{}") }()
	}
	pids := map[string]int{}
	for range 3 {
		pids[string((<-results).Payload)]++
	}
	if len(pids) != 1 {
		t.Errorf("three invocations ran in the processes %v, want one process", pids)
	}
}

func TestRequestID(t *testing.T) {
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs"}, js(`exports.handler = async (e, c) => c.awsRequestId;`))
	for id, kept := range map[string]bool{"": false, "a b": false, "x/../y": false, "ž": false, "a\r\nb": false, "job:12_3.4-A": true} {
		r := f.call(t, emulator.Invocation{Payload: []byte("{}"), RequestID: id})
		if string(r.Payload) != `"`+r.RequestID+`"` || (r.RequestID == id) != kept || r.RequestID == "" {
			t.Errorf("%q: got %s, and %q in the result", id, r.Payload, r.RequestID)
		}
	}
}
