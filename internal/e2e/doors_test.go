package e2e

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// doorEnv is the environment of somebody who uses AWS's tools with invented credentials.
func doorEnv(t *testing.T) []string {
	t.Helper()
	config := filepath.Join(t.TempDir(), "config")
	// Version 2 of the aws command takes binary parameters as base64 unless it is told so.
	if err := os.WriteFile(config, []byte("[default]\ncli_binary_format = raw-in-base64-out\nregion = us-east-1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "AWS_CONFIG_FILE="+config, "AWS_SHARED_CREDENTIALS_FILE=/nonexistent", "AWS_EC2_METADATA_DISABLED=true",
		"AWS_ACCESS_KEY_ID=AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY=secret", "AWS_REGION=us-east-1", "AWS_MAX_ATTEMPTS=1", "AWS_PAGER=")
}

// tool runs a program with that environment.
func tool(t *testing.T, env []string, name string, args ...string) (out string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = env
	var stderr strings.Builder
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if err != nil {
		return string(b) + stderr.String(), err
	}
	return string(b), nil
}

// The functions of the example use AWS's SDK, unmodified, and reach MQTT clients and each
// other.
func TestTalkbackExample(t *testing.T) {
	testkit.Need(t, "node", "nodejs")
	testkit.NeedFile(t, filepath.Join(testkit.Root(), "examples", "talkback", "node_modules"), "npm ci --prefix examples/talkback")
	exampleAnswers(t, "talkback")
}

// loops is a configuration whose functions would never stop if nobody stopped them: one
// publishes to the topic that it is called for, the other invokes itself.
const loops = `
listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}
functions:
  publisher: {runtime: nodejs, path: PATH, handler: loop.publisher, timeout: 20s}
  invoker: {runtime: nodejs, path: PATH, handler: loop.invoker, timeout: 30s, concurrency: 20, concurrency_per_environment: 20}
rules:
  - name: around
    sql: SELECT * FROM 'around'
    actions: [{lambda: {function: publisher}}]
  - name: deep
    sql: SELECT * FROM 'deep'
    actions: [{lambda: {function: invoker, reply: {topic: depth}}}]
`

const loopCode = `
const { IoTDataPlaneClient, PublishCommand } = require(MODULES + '/@aws-sdk/client-iot-data-plane');
const { LambdaClient, InvokeCommand } = require(MODULES + '/@aws-sdk/client-lambda');
const iot = new IoTDataPlaneClient({}), lambda = new LambdaClient({ maxAttempts: 1 });
exports.publisher = async (e) => { await iot.send(new PublishCommand({ topic: 'around', qos: 1, payload: JSON.stringify({ n: e.n + 1 }) })); };
exports.invoker = async (e) => {
  try {
    const r = await lambda.send(new InvokeCommand({ FunctionName: 'invoker', Payload: JSON.stringify({ n: e.n + 1 }) }));
    return JSON.parse(Buffer.from(r.Payload).toString());
  } catch (err) {
    return { n: e.n, error: err.name };
  }
};
`

func TestLoopsThroughTheDoorsEnd(t *testing.T) {
	testkit.Need(t, "node", "nodejs")
	modules := testkit.NeedFile(t, filepath.Join(testkit.Root(), "examples", "talkback", "node_modules"), "npm ci --prefix examples/talkback")
	dir := t.TempDir()
	testkit.WriteFiles(t, dir, map[string]string{
		"code/loop.js": strings.ReplaceAll(loopCode, "MODULES", "'"+modules+"'"),
		"config.yaml":  strings.ReplaceAll(loops, "PATH", "code"),
	})
	s := testkit.Serve(t, binary.Path(t), filepath.Join(dir, "config.yaml"))
	sub := subscribe(t, s.MQTT, "-t", "around", "-t", "depth")
	publish(t, s.MQTT, "-q", "1", "-t", "around", "-m", `{"n":0}`)
	sub.waitFor(`around {"n":8}`)
	s.WaitFor("message stopped after too many hops")

	publish(t, s.MQTT, "-q", "1", "-t", "deep", "-m", `{"n":0}`)
	var end struct {
		N     int
		Error string
	}
	line := strings.TrimPrefix(sub.waitFor("depth {"), "depth ")
	if err := json.Unmarshal([]byte(line), &end); err != nil {
		t.Fatal(err)
	}
	if end.Error != "RecursiveInvocationException" || end.N != 15 {
		t.Errorf("the recursion ended with %s", line)
	}
}

const doorsConfig = `
listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}
functions:
  echo: {runtime: nodejs, path: PATH, handler: f.echo}
  throws: {runtime: nodejs, path: PATH, handler: f.throws}
  stream: {runtime: nodejs, path: PATH, handler: f.stream}
  later: {runtime: nodejs, path: PATH, handler: f.later}
`

const doorsCode = `
exports.echo = async (event, context) => { console.log('echoed'); return { event, name: context.functionName, custom: context.clientContext?.custom }; };
exports.throws = async () => { throw new RangeError('no'); };
exports.stream = awslambda.streamifyResponse(async (event, out) => { out.write('one '); out.write('two'); out.end(); });
exports.later = async (event) => { console.log('later ' + event.n); if (event.n) throw new Error('again'); };
`

func startDoors(t *testing.T) (s *testkit.Server, endpoint string, env []string) {
	t.Helper()
	testkit.Need(t, "node", "nodejs")
	dir := t.TempDir()
	testkit.WriteFiles(t, dir, map[string]string{"code/f.js": doorsCode, "config.yaml": strings.ReplaceAll(doorsConfig, "PATH", "code")})
	s = testkit.Serve(t, binary.Path(t), filepath.Join(dir, "config.yaml"))
	return s, "http://" + s.HTTP, doorEnv(t)
}

func TestAWSCommandLine(t *testing.T) {
	aws := testkit.Need(t, "aws", "awscli")
	s, endpoint, env := startDoors(t)
	run := func(args ...string) string {
		t.Helper()
		out, err := tool(t, env, aws, append([]string{"--output", "json", "--endpoint-url", endpoint}, args...)...)
		if err != nil {
			t.Fatalf("aws %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		return out
	}
	answer := filepath.Join(t.TempDir(), "answer")
	invoke := func(name string, args ...string) (meta map[string]any, payload string) {
		t.Helper()
		out := run(append(append([]string{"lambda", "invoke", "--function-name", name}, args...), answer)...)
		if err := json.Unmarshal([]byte(out), &meta); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(answer)
		if err != nil {
			t.Fatal(err)
		}
		return meta, string(b)
	}

	meta, payload := invoke("echo", "--payload", `{"a":1}`, "--log-type", "Tail", "--client-context", "eyJjdXN0b20iOnsiayI6InYifX0=")
	if payload != `{"event":{"a":1},"name":"echo","custom":{"k":"v"}}` || meta["ExecutedVersion"] != "$LATEST" || meta["LogResult"] == "" {
		t.Errorf("echo: %v %s", meta, payload)
	}
	meta, payload = invoke("arn:aws:lambda:us-east-1:123456789012:function:throws:live")
	if meta["FunctionError"] != "Unhandled" || !strings.HasPrefix(payload, `{"errorType":"RangeError","errorMessage":"no"`) {
		t.Errorf("throws: %v %s", meta, payload)
	}
	if meta, _ = invoke("later", "--invocation-type", "Event", "--payload", `{"n":7}`); meta["StatusCode"] != 202.0 {
		t.Errorf("Event: %v", meta)
	}
	s.WaitFor("later 7") // it throws, and nothing comes of that but a log line
	sub := subscribe(t, s.MQTT, "-t", "from/aws/#")
	run("iot-data", "publish", "--topic", "from/aws/1", "--qos", "1", "--retain", "--payload", "hello")
	sub.waitFor("from/aws/1 hello")
	if out := run("iot-data", "get-retained-message", "--topic", "from/aws/1", "--query", "payload"); strings.TrimSpace(out) != `"aGVsbG8="` {
		t.Errorf("get-retained-message: %s", out)
	}
}

// sdkScript uses AWS's SDK for JavaScript as a program outside would.
const sdkScript = `
import { createRequire } from 'node:module';
const require = createRequire(process.argv[3] + '/');
const iotdata = require('@aws-sdk/client-iot-data-plane'), lambda = require('@aws-sdk/client-lambda');
const endpoint = process.argv[2];
const iot = new iotdata.IoTDataPlaneClient({ endpoint }), fn = new lambda.LambdaClient({ endpoint });
const out = {};
await iot.send(new iotdata.PublishCommand({ topic: 'sdk//1', qos: 1, retain: true, payload: 'hi', contentType: 'text/plain', responseTopic: 'r',
  messageExpiry: 60, correlationData: 'AQI=', payloadFormatIndicator: 'UTF8_DATA', userProperties: JSON.stringify([{ a: 'b' }]) }));
const kept = await iot.send(new iotdata.GetRetainedMessageCommand({ topic: 'sdk//1' }));
out.kept = [Buffer.from(kept.payload).toString(), kept.qos, Buffer.from(kept.userProperties).toString()];
out.topics = (await iot.send(new iotdata.ListRetainedMessagesCommand({ maxResults: 5 }))).retainedTopics.map((t) => t.topic);
const connection = await iot.send(new iotdata.GetConnectionCommand({ clientId: 'listener', includeSocketInformation: true }));
out.connection = [connection.connected, connection.sourceIp];
out.filters = (await iot.send(new iotdata.ListSubscriptionsCommand({ clientId: 'listener' }))).subscriptions;
await iot.send(new iotdata.SendDirectMessageCommand({ clientId: 'listener', topic: 'direct', payload: 'you', confirmation: true, timeout: 10 }));
await iot.send(new iotdata.DeleteConnectionCommand({ clientId: 'listener', cleanSession: true }));
try { await iot.send(new iotdata.GetConnectionCommand({ clientId: 'nobody' })); } catch (e) { out.nobody = e.name; }
const r = await fn.send(new lambda.InvokeCommand({ FunctionName: 'throws', LogType: 'Tail' }));
out.throws = [r.FunctionError, JSON.parse(Buffer.from(r.Payload)).errorType, r.StatusCode];
const s = await fn.send(new lambda.InvokeWithResponseStreamCommand({ FunctionName: 'stream' }));
out.stream = '';
for await (const e of s.EventStream) {
  if (e.PayloadChunk) out.stream += Buffer.from(e.PayloadChunk.Payload).toString();
  if (e.InvokeComplete) out.complete = e.InvokeComplete.ErrorCode ?? 'ok';
}
try { await fn.send(new lambda.InvokeCommand({ FunctionName: 'nobody' })); } catch (e) { out.missing = [e.name, e.$metadata.httpStatusCode]; }
out.functions = (await fn.send(new lambda.ListFunctionsCommand({}))).Functions.map((f) => f.FunctionName);
out.dry = (await fn.send(new lambda.InvokeCommand({ FunctionName: 'echo', InvocationType: 'DryRun' }))).StatusCode;
console.log(JSON.stringify(out));
`

func TestJavaScriptSDK(t *testing.T) {
	node := testkit.Need(t, "node", "nodejs")
	modules := testkit.NeedFile(t, filepath.Join(testkit.Root(), "examples", "talkback", "node_modules"), "npm ci --prefix examples/talkback")
	s, endpoint, env := startDoors(t)
	sub := subscribe(t, s.MQTT, "-V", "mqttv5", "-i", "listener", "-q", "1", "-t", "sdk/#", "-F", "%t %p %C %R %E %D %P")
	script := filepath.Join(t.TempDir(), "sdk.mjs")
	if err := os.WriteFile(script, []byte(sdkScript), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := tool(t, env, node, script, endpoint, filepath.Dir(modules))
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	sameJSON(t, `{"kept":["hi",1,"[{\"a\":\"b\"}]"],"topics":["sdk//1"],"connection":[true,"127.0.0.1"],
		"filters":[{"topicFilter":"sdk/#","qos":1}],"nobody":"ResourceNotFoundException",
		"throws":["Unhandled","RangeError",200],"stream":"one two","complete":"ok","missing":["ResourceNotFoundException",404],
		"functions":["echo","later","stream","throws"],"dry":204}`, out)
	sub.waitFor("sdk//1 hi text/plain r 60 ")
	sub.waitFor("direct you")
}

// pythonCode is a handler that publishes with boto3, as it would on AWS.
const pythonCode = `
import boto3, json
iot = boto3.client('iot-data')
def lambda_handler(event, context):
    iot.publish(topic='from/python', qos=1, payload=json.dumps({'n': event['n'] + 1}))
    return 'done'
`

func TestPythonHandlerPublishes(t *testing.T) {
	python := pythonWith(t, "boto3", "python3-boto3")
	dir := t.TempDir()
	testkit.WriteFiles(t, dir, map[string]string{"code/lambda_function.py": pythonCode, "config.yaml": `
listen: {mqtt: 127.0.0.1:0}
functions:
  f: {runtime: python, path: code, timeout: 20s, init_timeout: 30s}
rules:
  - name: r
    sql: SELECT * FROM 'to/python'
    actions: [{lambda: {function: f}}]
`})
	// It is the emulator that looks for python3, on this PATH.
	s := testkit.Serve(t, binary.Path(t), filepath.Join(dir, "config.yaml"), "PATH="+filepath.Dir(python)+":"+os.Getenv("PATH"))
	sub := subscribe(t, s.MQTT, "-t", "from/python")
	publish(t, s.MQTT, "-q", "1", "-t", "to/python", "-m", `{"n":1}`)
	sub.waitFor(`from/python {"n": 2}`)
}

// pythonWith finds a python3 that has a module.
func pythonWith(t *testing.T, module, debianPackage string) string {
	t.Helper()
	for _, name := range []string{"python3", "/usr/bin/python3"} {
		path, err := exec.LookPath(name)
		if err == nil && exec.Command(path, "-c", "import "+module).Run() == nil {
			return path
		}
	}
	testkit.Missing(t, "the Python module "+module+" is missing: apt-get install "+debianPackage)
	return ""
}

// streamCode answers word by word, as a language model does.
const streamCode = `
exports.words = awslambda.streamifyResponse(async (event, out) => {
  for (const word of event.say.split(' ')) {
    out.write(word + ' ');
    await new Promise((r) => setTimeout(r, 5));
  }
  if (event.fail) throw new RangeError('no more');
  out.end();
});
exports.several = async (event) => ({ publish: event.topics.map((topic) => ({ topic, payload: topic.toUpperCase(), qos: 1 })) });
`

func TestStreamedAndSeveralReplies(t *testing.T) {
	testkit.Need(t, "node", "nodejs")
	dir := t.TempDir()
	testkit.WriteFiles(t, dir, map[string]string{"code/f.js": streamCode, "config.yaml": `
listen: {mqtt: 127.0.0.1:0}
functions:
  words: {runtime: nodejs, path: code, handler: f.words, timeout: 20s}
  several: {runtime: nodejs, path: code, handler: f.several, timeout: 20s}
rules:
  - name: say
    sql: SELECT * FROM 'say'
    actions: [{lambda: {function: words, reply: {topic: said, qos: 1, stream: true}}}]
  - name: fan
    sql: SELECT * FROM 'fan'
    actions: [{lambda: {function: several, reply: {format: messages}}}]
    errorAction: {republish: {topic: errors}}
`})
	s := testkit.Serve(t, binary.Path(t), filepath.Join(dir, "config.yaml"))
	sub := subscribe(t, s.MQTT, "-V", "mqttv5", "-q", "1", "-t", "said", "-t", "out/#", "-t", "errors", "-F", "%t [%p] %P")
	publish(t, s.MQTT, "-q", "1", "-t", "say", "-m", `{"say":"never gonna give"}`)
	for i, want := range []string{"[never ]", "[gonna ]", "[give ]"} {
		line := sub.waitFor("said " + want)
		if !strings.HasSuffix(strings.TrimSpace(line), "sequence:"+string(rune('0'+i))) {
			t.Errorf("piece %d: %s", i, line)
		}
	}
	sub.waitFor("sequence:3 end:ok")
	publish(t, s.MQTT, "-q", "1", "-t", "say", "-m", `{"say":"x","fail":true}`)
	line := sub.waitFor("sequence:1 end:error")
	if !strings.Contains(line, `"errorType":"RangeError"`) {
		t.Errorf("the end of a stream that broke: %s", line)
	}
	publish(t, s.MQTT, "-q", "1", "-t", "fan", "-m", `{"topics":["out/a","out/b"]}`)
	sub.waitFor("out/a [OUT/A]")
	sub.waitFor("out/b [OUT/B]")
	publish(t, s.MQTT, "-q", "1", "-t", "fan", "-m", `{"topics":["out/c","out/#"]}`)
	if line := sub.waitFor("errors ["); !strings.Contains(line, `publish[1]: topic \"out/#\"`) && !strings.Contains(line, "publish[1]: topic") {
		t.Errorf("the error action got %s", line)
	}
}
