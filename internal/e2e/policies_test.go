package e2e

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// guarded is a configuration with two users; more is what ada may do besides.
func guarded(more string) string {
	return `
listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}
auth:
  methods: [{password: {file: users}}]
  policies:
    own: policies/own.json
    watch:
      Statement:
        - {Effect: Allow, Action: [iot:Connect, iot:Subscribe, iot:Receive], Resource: "*"}
        - {Sid: NoSecrets, Effect: Deny, Action: iot:Receive, Resource: "topic/*/secret"}
    more: {Statement: [` + more + `]}
  attach:
    - {policies: [own, more], user: ada}
    - {policies: watch, user: bob}
rules:
  - name: presence
    sql: SELECT clientId, eventType FROM '$aws/events/presence/+/ada-1'
    actions: [{republish: {topic: presence/ada, qos: 1}}]
`
}

const ownPolicy = `{
  "Version": "2012-10-17",
  "Statement": [
    {"Effect": "Allow", "Action": "iot:Connect", "Resource": "arn:aws:iot:us-east-1:123456789012:client/${topicwire:Username}-*"},
    {"Effect": "Allow", "Action": ["iot:Publish", "iot:Receive"], "Resource": "arn:aws:iot:us-east-1:123456789012:topic/dt/${iot:ClientId}/*"},
    {"Effect": "Allow", "Action": "iot:Subscribe", "Resource": "arn:aws:iot:us-east-1:123456789012:topicfilter/dt/${iot:ClientId}/*"}
  ]
}`

// Policies over the real program with mosquitto's clients: what is allowed and what is
// not, a change that reaches clients that are connected, lifecycle events in a rule, and
// the same answers from `topicwire why`.
func TestPolicies(t *testing.T) {
	bin := binary.Path(t)
	dir := t.TempDir()
	config := filepath.Join(dir, "config.yaml")
	testkit.WriteFiles(t, dir, map[string]string{"config.yaml": guarded(`{Effect: Deny, Action: iot:Publish, Resource: nothing}`), "policies/own.json": ownPolicy})
	for _, user := range []string{"ada", "bob"} {
		if r := testkit.Command(t, strings.NewReader("pw\n"), bin, "passwd", filepath.Join(dir, "users"), user); r.Code != 0 {
			t.Fatalf("passwd: %s%s", r.Stdout, r.Stderr)
		}
	}
	if r := testkit.Command(t, nil, bin, "check", "--config", config); r.Code != 1 || !strings.Contains(r.Stderr, `"nothing" is no resource`) {
		t.Errorf("check: %d %s", r.Code, r.Stderr)
	}
	testkit.WriteFiles(t, dir, map[string]string{"config.yaml": guarded(`{Effect: Allow, Action: iot:RetainPublish, Resource: topic/dt/ada-1/state}`)})
	s := testkit.Serve(t, bin, config)

	bob := subscribe(t, s.MQTT, "-u", "bob", "-P", "pw", "-i", "bob-1", "-t", "#", "-q", "1")
	ada := subscribe(t, s.MQTT, "-V", "5", "-u", "ada", "-P", "pw", "-i", "ada-1", "-t", "dt/ada-1/#", "-q", "1")
	bob.waitFor(`presence/ada {"clientId":"ada-1","eventType":"connected"}`)

	pub := testkit.Need(t, "mosquitto_pub", "mosquitto-clients")
	try := func(client string, args ...string) testkit.Result {
		t.Helper()
		return testkit.Command(t, nil, pub, append(hostPort(t, s.MQTT), append([]string{"-V", "5", "-d", "-u", "ada", "-P", "pw", "-i", client, "-q", "1"}, args...)...)...)
	}
	try("ada-2", "-t", "dt/ada-2/x", "-m", "own")
	bob.waitFor("dt/ada-2/x own")
	try("ada-2", "-t", "dt/ada-2/secret", "-m", "hidden") // which bob may not receive
	try("ada-2", "-t", "dt/ada-1/x", "-m", "another's")
	s.WaitFor("iot:Publish on topic/dt/ada-1/x is denied: no statement of policies own, more allows it")
	if r := try("eve", "-t", "dt/eve/x", "-m", "x"); r.Code == 0 {
		t.Errorf("a client identifier that the policy does not allow is let in: %s", r.Stdout)
	}
	try("ada-2", "-t", "dt/ada-2/x", "-m", "last")
	bob.waitFor("dt/ada-2/x last")
	for _, text := range []string{"hidden", "another's"} {
		if strings.Contains(bob.out.String(), text) {
			t.Errorf("bob has got %q", text)
		}
	}
	for line, code := range map[string]int{
		"--client ada-1 --user ada --publish dt/ada-1/x":     0,
		"--client ada-2 --user ada --publish dt/ada-1/x":     1,
		"--client bob-1 --user bob --receive dt/x/secret":    1,
		"--client ada-1 --user ada --subscribe dt/ada-1/#":   0,
		"--client ada-1 --user ada --publish a --retain":     1,
		"--client eve --user ada --connect":                  1,
		"--client + --user bob --connect --subscribe dt/+/x": 0,
	} {
		if r := testkit.Command(t, nil, bin, append([]string{"why", "--config", config}, strings.Fields(line)...)...); r.Code != code {
			t.Errorf("why %s: status %d, want %d: %s%s", line, r.Code, code, r.Stdout, r.Stderr)
		}
	}

	// From now on ada may not be connected.
	if err := os.WriteFile(config, []byte(guarded(`{Sid: Gone, Effect: Deny, Action: iot:Connect, Resource: "*"}`)), 0o600); err != nil {
		t.Fatal(err)
	}
	s.WaitFor("iot:Connect on client/ada-1 is denied by statement 1 (Gone) of policy more")
	bob.waitFor(`presence/ada {"clientId":"ada-1","eventType":"disconnected"}`)
	if r := try("ada-2", "-t", "dt/ada-2/x", "-m", "late"); r.Code == 0 {
		t.Errorf("let in: %s", r.Stdout)
	}
	_ = ada
}

// Profiles and metrics over HTTP: for this machine.
func TestOperatorsDoors(t *testing.T) {
	s := testkit.Start(t, binary.Path(t), "listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}\n")
	client := http.Client{Timeout: testkit.Patience}
	status := func(path, host string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.HTTP+path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = host
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer answer.Body.Close()
		return answer.StatusCode
	}
	for path, want := range map[string]int{"/metrics": 200, "/debug/pprof/": 200, "/debug/pprof/heap": 200} {
		if got := status(path, s.HTTP); got != want {
			t.Errorf("%s: %d, want %d", path, got, want)
		}
		if got := status(path, "rebound.example"); got == 200 {
			t.Errorf("%s opens to a web page whose name resolves to loopback", path)
		}
	}
}
