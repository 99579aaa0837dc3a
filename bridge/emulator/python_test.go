//go:build unix

package emulator_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/bridge/emulator"
)

func py(source string) map[string]string { return map[string]string{"lambda_function.py": source} }

func TestPythonHandlers(t *testing.T) {
	need(t, "python3")
	const def = "def lambda_handler(event, context):\n    "
	for _, c := range []handlerCase{
		{name: "answers", files: py(def + "return {'got': event['n'], 'text': 'ž🐎'}"), want: `{"got": 1, "text": "ž🐎"}`},
		{name: "nothing", files: py(def + "pass"), want: `null`},
		{name: "bytes", files: py(def + "return b'raw'"), want: `raw`},
		{name: "decimals", files: py("from decimal import Decimal\n" + def + "return {'d': Decimal('1.10'), 'l': [Decimal('2')]}"), want: `{"d": 1.10, "l": [2]}`},
		{name: "bytes in an answer", files: py("import base64\n" + def + "return {'body': base64.b64encode(b'hi'), b'k': [b'\\xc5\\xbe']}"), want: `{"body": "aGk=", "k": ["ž"]}`},
		{name: "named tuple", files: py("from collections import namedtuple\nfrom decimal import Decimal\nP = namedtuple('P', 'x y')\n" + def + "return {'p': P(1, [P(Decimal('2.50'), None)])}"), want: `{"p": {"x": 1, "y": [{"x": 2.50, "y": null}]}}`},
		{name: "other containers", files: py("from collections import OrderedDict, defaultdict\nimport enum\nclass E(enum.IntEnum):\n    A = 7\nclass S(str):\n    pass\n" + def + "return [OrderedDict(a=1), defaultdict(int, b=2), (3, 4), E.A, S('s')]"), want: `[{"a": 1}, {"b": 2}, [3, 4], 7, "s"]`},
		{name: "not a number", files: py("from decimal import Decimal\n" + def + "return [float('nan'), float('-inf'), Decimal('NaN')]"), want: `[NaN, -Infinity, NaN]`},
		{name: "deep folders", files: map[string]string{"a/b/c/app.py": "def run(e, c):\n    return __name__"}, handler: "a/b/c/app.run", want: `"a.b.c.app"`},
		{name: "prints what is not ASCII", files: py(def + "print('ž🐎')\n    return 1"), want: `1`},
		{name: "module in a package", files: map[string]string{"pkg/__init__.py": "", "pkg/app.py": "def run(e, c):\n    return __name__"}, handler: "pkg.app.run", want: `"pkg.app"`},
		{name: "module named with a slash", files: map[string]string{"pkg/app.py": "def run(e, c):\n    return 1"}, handler: "pkg/app.run", want: `1`},

		{name: "raises", files: py("class Mine(Exception): pass\n" + def + "raise Mine('boom')"), errorType: "Mine", message: "boom", trace: "  File \"/"},
		{name: "raises with no message", files: py(def + "raise KeyError()"), errorType: "KeyError", message: ""},
		{name: "not JSON", files: py(def + "return {1, 2}"), errorType: "Runtime.MarshalError", message: "Unable to marshal response: Object of type set is not JSON serializable"},
		{name: "date", files: py("import datetime\n" + def + "return {'d': datetime.date(2026, 1, 2)}"), errorType: "Runtime.MarshalError", message: "Unable to marshal response: Object of type date is not JSON serializable"},
		{name: "bytes that are no text", files: py(def + "return [b'\\xff']"), errorType: "Runtime.MarshalError", message: "Unable to marshal response: 'utf-8' codec can't decode byte 0xff"},
		{name: "coroutine", files: py("async def lambda_handler(event, context):\n    pass"), errorType: "Runtime.MarshalError", message: "Unable to marshal response: Object of type coroutine is not JSON serializable"},
		{name: "cycle", files: py(def + "a = []\n    a.append(a)\n    return a"), errorType: "Runtime.MarshalError", message: "Unable to marshal response: Circular reference detected"},
		{name: "garbage event", files: py(def + "return 1"), event: `{"n":`, errorType: "Runtime.UnmarshalError", message: "Unable to unmarshal input: Expecting value"},
		{name: "exits", files: py("import sys\n" + def + "sys.exit(4)"), errorType: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited with error: exit status 4"},
		{name: "is killed", files: py("import os, signal\n" + def + "os.kill(os.getpid(), signal.SIGSEGV)"), errorType: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited with error: signal: segmentation fault"},
		{name: "answers too much", files: py(def + "return 'x' * (7 << 20)"), errorType: "Function.ResponseSizeTooLarge", message: "Response payload size"},
		{name: "syntax error", files: py("def lambda_handler(:\n"), errorType: "Runtime.UserCodeSyntaxError", message: "Syntax error in module 'lambda_function': invalid syntax", trace: "  File \""},
		{name: "missing module", files: py("import nowhere\n"), errorType: "Runtime.ImportModuleError", message: "Unable to import module 'lambda_function': No module named 'nowhere'"},
		{name: "missing file", handler: "other.run", errorType: "Runtime.ImportModuleError", message: "Unable to import module 'other': No module named 'other'"},
		{name: "missing function", files: py(""), errorType: "Runtime.HandlerNotFound", message: "Handler 'lambda_handler' missing on module 'lambda_function'"},
		{name: "built-in module", handler: "sys.exit", errorType: "Runtime.BuiltInModuleConflict", message: "Cannot use built-in module sys as a handler module"},
		{name: "exits while loading", files: py("import sys\nsys.exit(9)"), errorType: "Runtime.ExitError", message: "RequestId: ID Error: Runtime exited with error: exit status 9"},
		{name: "raises while loading", files: py("1 / 0"), errorType: "ZeroDivisionError", message: "division by zero", trace: "  File \"/"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, "python")
		})
	}
}

func TestPythonContext(t *testing.T) {
	need(t, "python3")
	f := start(t, emulator.Config{Runtime: "python", Timeout: 5e9}, py(`
import os, logging
def lambda_handler(event, c):
    logging.getLogger().warning("two\nlines")
    return {
        "id": c.aws_request_id, "arn": c.invoked_function_arn, "name": c.function_name, "version": c.function_version,
        "memory": c.memory_limit_in_mb, "group": c.log_group_name, "stream": "[$LATEST]" in c.log_stream_name, "tenant": c.tenant_id,
        "left": 0 < c.get_remaining_time_in_millis() <= 5000, "custom": c.client_context.custom, "app": c.client_context.client.app_title,
        "identity": c.identity.cognito_identity_id, "w3c": c.w3c(), "tz": os.environ["TZ"], "trace": os.environ.get("_X_AMZN_TRACE_ID"),
    }
`))
	r := f.call(t, emulator.Invocation{
		Payload: []byte("{}"), RequestID: "id-1", TraceID: "Root=1", TenantID: "t", Identity: `{"cognitoIdentityId":"i"}`,
		ClientContext: `{"custom":{"k":"v"},"client":{"app_title":"a"},"w3c":{"traceparent":"00-1"}}`,
	})
	var got map[string]any
	if err := json.Unmarshal(r.Payload, &got); err != nil {
		t.Fatalf("%s: %v", r.Payload, err)
	}
	want := map[string]any{
		"id": "id-1", "arn": "arn:aws:lambda:us-east-1:123456789012:function:fn", "name": "fn", "version": "$LATEST", "memory": "128",
		"group": "/aws/lambda/fn", "stream": true, "tenant": "t", "left": true, "custom": map[string]any{"k": "v"}, "app": "a",
		"identity": "i", "w3c": map[string]any{"traceparent": "00-1"}, "tz": ":UTC", "trace": "Root=1",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("context (-want +got):\n%s", diff)
	}
	f.log.await(t, `"level":"warn","function":"fn","request_id":"id-1","message":"two\nlines"`)
}

// Runtimes before Python 3.12 escape what is not ASCII, on AWS too.
func TestPythonEscapes(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	for runtime, want := range map[string]string{"python3.11": `"\u017e"`, "python3.12": `"ž"`} {
		f := start(t, emulator.Config{Runtime: runtime}, py("def lambda_handler(event, context):\n    return event"))
		if r := f.invoke(t, `"ž"`); string(r.Payload) != want {
			t.Errorf("%s: got %s, want %s", runtime, r.Payload, want)
		}
	}
}

// With JSON as the log's format an entry is one object, and so is a failure.
func TestJSONLogs(t *testing.T) {
	t.Parallel()
	need(t, "python3")
	need(t, "node")
	environment := map[string]string{"AWS_LAMBDA_LOG_FORMAT": "JSON"}
	for runtime, files := range map[string]map[string]string{
		"python": py(`
import logging
def lambda_handler(event, context):
    logging.getLogger("mine").warning("said %s", "it", extra={"order": 7})
    raise KeyError("k")
`),
		"nodejs": js(`exports.handler = async () => { console.warn({ order: 7 }); throw new RangeError('k'); };`),
	} {
		f := start(t, emulator.Config{Runtime: runtime, Environment: environment}, files)
		r := f.call(t, emulator.Invocation{Payload: []byte("{}"), RequestID: "id-1", LogTail: true})
		var entries []map[string]any
		for line := range strings.Lines(string(r.LogTail)) {
			var e map[string]any
			if err := json.Unmarshal([]byte(line), &e); err != nil {
				t.Fatalf("%s: %q: %v", runtime, line, err)
			}
			entries = append(entries, e)
		}
		if len(entries) != 2 {
			t.Fatalf("%s: %s", runtime, r.LogTail)
		}
		said, failed := entries[0], entries[1]
		if runtime == "python" {
			if said["level"] != "WARNING" || said["logger"] != "mine" || said["message"] != "said it" || said["order"] != 7.0 || said["requestId"] != "id-1" {
				t.Errorf("%v", said)
			}
			if failed["level"] != "ERROR" || failed["errorType"] != "KeyError" || failed["errorMessage"] != "'k'" || failed["requestId"] != "id-1" {
				t.Errorf("%v", failed)
			}
			continue
		}
		message, _ := said["message"].(map[string]any)
		if said["level"] != "WARN" || message["order"] != 7.0 || said["requestId"] != "id-1" {
			t.Errorf("%v", said)
		}
		if message, _ = failed["message"].(map[string]any); failed["level"] != "ERROR" || message["errorType"] != "RangeError" || message["errorMessage"] != "k" {
			t.Errorf("%v", failed)
		}
	}
}
