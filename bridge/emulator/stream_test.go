//go:build unix

package emulator_test

import (
	"strings"
	"testing"

	"github.com/topicwire/topicwire/bridge/emulator"
)

func TestNodeStreaming(t *testing.T) {
	t.Parallel()
	need(t, "node")
	f := start(t, emulator.Config{Runtime: "nodejs", Concurrency: 1, Timeout: 20e9}, js(`
		const { pipeline } = require('node:stream/promises');
		const { Readable } = require('node:stream');
		exports.handler = awslambda.streamifyResponse(async (e, out, c) => {
			switch (e.do) {
			case 'http':
				out = awslambda.HttpResponseStream.from(out, { statusCode: 201 });
				out.write('body');
				break;
			case 'pipe':
				return pipeline(Readable.from(['a', 'b', 'c']), out);
			case 'fail':
				out.write('some');
				throw new TypeError('broke off');
			case 'forget':
				out.write('some');
				return;
			case 'uncaught':
				out.write('some');
				await new Promise(() => setTimeout(() => { throw new RangeError('late'); }, 5));
			case 'late type':
				out.write('x');
				out.setContentType('text/plain');
			case 'big':
				for (let i = 0; i < 100; i++) if (!out.write(Buffer.alloc(100000, 'x'))) await new Promise((r) => out.once('drain', r));
				break;
			default:
				out.setContentType('text/plain');
				out.write('one ');
				out.write({ two: c.awsRequestId.length });
			}
			out.end();
			await new Promise((r) => out.on('finish', r));
		});`))
	call := func(what string, stream bool) (*emulator.Result, string) {
		var got strings.Builder
		inv := emulator.Invocation{Payload: []byte(`{"do":"` + what + `"}`)}
		if stream {
			inv.Stream = func(b []byte) { got.Write(b) }
		}
		return f.call(t, inv), got.String()
	}
	for _, c := range []struct{ do, want, errorType, message string }{
		{"", `one {"two":36}`, "", ""},
		{"http", "{\"statusCode\":201}\x00\x00\x00\x00\x00\x00\x00\x00body", "", ""},
		{"pipe", "abc", "", ""},
		{"fail", "some", "TypeError", "broke off"},
		{"forget", "some", "string", "Response stream is not finished."},
		{"uncaught", "some", "RangeError", "late"},
		{"late type", "x", "Runtime.InvalidStreamingOperation", "Cannot set content-type, too late."},
		{"big", strings.Repeat("x", 100*100000), "", ""},
	} {
		r, got := call(c.do, true)
		if got != c.want || r.ErrorType != c.errorType {
			t.Errorf("%s: got %.100q %s %s, want %.100q %s", c.do, got, r.ErrorType, r.Payload, c.want, c.errorType)
		}
		if c.errorType != "" {
			if d := document(t, r); d.Message != c.message {
				t.Errorf("%s: got %+v", c.do, d)
			}
		}
	}
	// A caller who does not stream gets it whole, within the limit.
	if r, _ := call("pipe", false); string(r.Payload) != "abc" {
		t.Errorf("got %q", r.Payload)
	}
	if r, _ := call("big", false); r.ErrorType != "Function.ResponseSizeTooLarge" {
		t.Errorf("got %s and %d bytes", r.ErrorType, len(r.Payload))
	}
}
