package e2e

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// serverless-offline as a Lambda endpoint. Its modules take 279 MB and more than a minute to
// install, so make test leaves it out; CI runs make foreign, which installs them and says
// where they are. What was seen of it is also what the tests in bridge/function answer with.
func TestServerlessOffline(t *testing.T) {
	modules := os.Getenv("TOPICWIRE_FOREIGN")
	if modules == "" {
		t.Skip("make foreign runs this")
	}
	node := testkit.Need(t, "node", "nodejs")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	_ = l.Close() // it takes no listener, and no port 0

	dir := t.TempDir()
	testkit.WriteFiles(t, dir, map[string]string{
		"serverless.yml": `
service: shop
frameworkVersion: "3"
provider: {name: aws, runtime: nodejs20.x, region: eu-central-1}
plugins: [serverless-offline]
functions:
  echo: {handler: f.echo}
  throws: {handler: f.throws}
`,
		"f.js": `
exports.echo = async (event, context) => ({ event, topic: context.clientContext?.custom?.topic });
exports.throws = async () => { throw new RangeError('no'); };
`,
	})
	if err := os.Symlink(modules, filepath.Join(dir, "node_modules")); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(node, "node_modules/serverless/bin/serverless.js", "offline", "--lambdaPort", port, "--httpPort", "0", "--host", "127.0.0.1")
	cmd.Dir = dir
	cmd.Env = append(doorEnv(t), "SLS_TELEMETRY_DISABLED=1", "SLS_NOTIFICATIONS_MODE=off")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out testkit.Output
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
	})
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	if _, err := out.WaitFor(ctx, "shop-dev-throws"); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}

	s := testkit.Start(t, binary.Path(t), strings.ReplaceAll(`
listen: {mqtt: 127.0.0.1:0}
functions:
  echo: {lambda: "arn:aws:lambda:eu-central-1:123456789012:function:shop-dev-echo", endpoint: "ENDPOINT"}
  throws: {lambda: shop-dev-throws, endpoint: "ENDPOINT"}
rules:
  - {name: e, sql: "SELECT * FROM 'e/+'", actions: [{lambda: {function: echo, reply: {topic: answers}}}]}
  - {name: t, sql: "SELECT * FROM 't'", actions: [{lambda: {function: throws}}], errorAction: {republish: {topic: errors}}}
`, "ENDPOINT", "http://127.0.0.1:"+port), "AWS_ACCESS_KEY_ID=x", "AWS_SECRET_ACCESS_KEY=y")
	sub := subscribe(t, s.MQTT, "-t", "answers", "-t", "errors")
	publish(t, s.MQTT, "-q", "1", "-t", "e/1", "-m", `{"a":1}`)
	sub.waitFor(`answers {"event":{"a":1},"topic":"e/1"}`)
	publish(t, s.MQTT, "-q", "1", "-t", "t", "-m", `{}`)
	if line := sub.waitFor("errors {"); !strings.Contains(line, `Error: no`) {
		t.Errorf("the error action got %s", line)
	}
}
