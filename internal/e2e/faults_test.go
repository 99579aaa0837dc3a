package e2e

import (
	"net"
	"os"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// faulty is a Node function that does what the message asks, and a rule that sends its
// failures to errors/faulty.
const faulty = `
listen: {mqtt: 127.0.0.1:0}
functions:
  faulty: {runtime: nodejs, path: ., handler: index.handler, timeout: 2s}
  missing: {runtime: nodejs, path: ., handler: nowhere.handler}
rules:
  - name: faulty
    sql: SELECT * FROM 'faulty'
    actions: [{lambda: {function: faulty, reply: {topic: answers}}}]
    errorAction: {republish: {topic: errors/faulty}}
  - name: missing
    sql: SELECT * FROM 'missing'
    actions: [{lambda: {function: missing}}]
    errorAction: {republish: {topic: errors/missing}}
`

const faultyHandler = `
exports.handler = async (event) => {
  switch (event.do) {
    case "throw": throw new TypeError("thrown on purpose");
    case "exit": process.exit(3);
    case "hang": return new Promise(() => setInterval(() => {}, 1000));
    case "garbage": process.stdout.write(Buffer.from([0, 255, 10, 13, 27]).toString("latin1")); return "printed";
    case "big": return "x".repeat(5 * 1024 * 1024);
    case "bigger": return "x".repeat(7 * 1024 * 1024);
    default: return "fine";
  }
};
`

func TestFaultyFunctions(t *testing.T) {
	testkit.Need(t, "node", "nodejs")
	dir := t.TempDir()
	testkit.WriteFiles(t, dir, map[string]string{"config.yaml": faulty, "index.js": faultyHandler})
	s := testkit.Serve(t, binary.Path(t), dir+"/config.yaml")
	errors := subscribe(t, s.MQTT, "-t", "errors/#")
	answers := subscribe(t, s.MQTT, "-t", "answers", "-F", "%t %l %.40p")

	for _, c := range []struct{ do, failure string }{
		{"throw", "thrown on purpose"},
		{"exit", "Runtime exited with error: exit status 3"},
		{"hang", "Task timed out after 2.00 seconds"},
		{"bigger", "exceeded maximum allowed payload size"},
	} {
		publish(t, s.MQTT, "-q", "1", "-t", "faulty", "-m", `{"do":"`+c.do+`"}`)
		line := errors.waitFor(c.failure)
		if !strings.Contains(line, `"ruleName":"faulty"`) || !strings.Contains(line, `"failedAction":"LambdaAction"`) {
			t.Errorf("%s: not AWS's document: %s", c.do, line)
		}
		// The next invocation works.
		publish(t, s.MQTT, "-q", "1", "-t", "faulty", "-m", `{"do":"nothing"}`)
		answers.waitFor(`answers 6 "fine"`)
	}
	publish(t, s.MQTT, "-q", "1", "-t", "faulty", "-m", `{"do":"garbage"}`)
	answers.waitFor(`"printed"`)
	publish(t, s.MQTT, "-q", "1", "-t", "faulty", "-m", `{"do":"big"}`)
	answers.waitFor(`answers 5242882 `)
	publish(t, s.MQTT, "-q", "1", "-t", "missing", "-m", `{}`)
	errors.waitFor(`Runtime.ImportModuleError`)
}

func TestRuleThatFeedsItselfIsStopped(t *testing.T) {
	s := testkit.Start(t, binary.Path(t), `
listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}
rules:
  - name: loop
    sql: SELECT n + 1 AS n FROM 'loop'
    actions: [{republish: {topic: loop, qos: 1}}]
`)
	sub := subscribe(t, s.MQTT, "-t", "loop")
	publish(t, s.MQTT, "-q", "1", "-t", "loop", "-m", `{"n":0}`)
	sub.waitFor(`loop {"n":8}`)
	s.WaitFor("hops")
	publish(t, s.MQTT, "-q", "1", "-t", "loop", "-m", `{"n":100}`)
	sub.waitFor(`loop {"n":108}`)
	for _, line := range sub.out.Lines() {
		if strings.Contains(line, `{"n":9}`) {
			t.Error("a ninth hop was made")
		}
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, listener := range []string{"mqtt", "http"} {
		dir := t.TempDir()
		testkit.WriteFiles(t, dir, map[string]string{"config.yaml": "listen: {" + listener + ": " + l.Addr().String() + "}\n"})
		r := testkit.Command(t, nil, binary.Path(t), "serve", "--config", dir+"/config.yaml")
		if r.Code != 1 || !strings.Contains(r.Stderr, l.Addr().String()+" is in use by another program") {
			t.Errorf("%s: exit status %d: %s", listener, r.Code, r.Stderr)
		}
	}
}

// A runtime that is not there: the functions that need it say what to install, the
// others run.
func TestMissingRuntime(t *testing.T) {
	python := testkit.Need(t, "python3", "python3")
	dir := t.TempDir()
	testkit.WriteFiles(t, dir, map[string]string{
		"config.yaml": `
listen: {mqtt: 127.0.0.1:0}
functions:
  node: {runtime: nodejs, path: ., handler: index.handler}
  python: {runtime: python, path: ., handler: app.handler}
rules:
  - name: node
    sql: SELECT * FROM 'node'
    actions: [{lambda: {function: node}}]
    errorAction: {republish: {topic: errors}}
  - name: python
    sql: SELECT * FROM 'python'
    actions: [{lambda: {function: python, reply: {topic: answers}}}]
`,
		"index.js": "exports.handler = async () => 1;\n",
		"app.py":   "def handler(event, context):\n    return 'runs'\n",
	})
	// A PATH with nothing on it but Python itself: what is called python3 may be a script.
	real := testkit.Command(t, nil, python, "-c", "import sys; print(sys.executable)")
	path := t.TempDir()
	if err := os.Symlink(strings.TrimSpace(real.Stdout), path+"/python3"); err != nil {
		t.Fatal(err)
	}
	s := testkit.Serve(t, binary.Path(t), dir+"/config.yaml", "PATH="+path)
	errors := subscribe(t, s.MQTT, "-t", "errors")
	answers := subscribe(t, s.MQTT, "-t", "answers")
	publish(t, s.MQTT, "-q", "1", "-t", "node", "-m", `{}`)
	if line := errors.waitFor("install"); !strings.Contains(line, "node") {
		t.Errorf("the error does not name what to install: %s", line)
	}
	publish(t, s.MQTT, "-q", "1", "-t", "python", "-m", `{}`)
	answers.waitFor(`answers "runs"`)
}
