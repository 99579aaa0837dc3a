package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/topicwire/topicwire/internal/testkit"
)

// handler is the folder of a handler for API Gateway WebSocket APIs.
func handler(name string) string {
	return filepath.Join(testkit.Root(), "internal", "e2e", "testdata", "apigateway", name)
}

// A handler written for API Gateway with AWS's own client for @connections runs unchanged, and
// npm ws sees what it would see there.
func TestAPIGatewayNode(t *testing.T) {
	node := testkit.Need(t, "node", "nodejs")
	for _, m := range []string{"ws", "@aws-sdk/client-apigatewaymanagementapi"} {
		testkit.NeedFile(t, filepath.Join(testkit.Root(), "internal", "e2e", "node_modules", m), "run make deps")
	}
	s := testkit.Start(t, binary.Path(t), fmt.Sprintf(`
listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}
functions:
  chat: {runtime: nodejs, path: %s, timeout: 20s, concurrency: 1}
routes:
  - path: /dev
    mode: apigateway
    function: chat
    apigateway:
      routes:
        $default: {response: true}
        post: {response: true}
        look: {response: true}
        left: {response: true}
        event:
        kick:
        crash:
`, handler("node")))
	r := testkit.Command(t, nil, node, handler("clients.mjs"), "ws://"+s.HTTP+"/dev")
	if r.Code != 0 {
		t.Fatalf("exit status %d:\n%s", r.Code, r.Stderr)
	}
	sameJSON(t, `{
		"wrong": [401, "Unauthorized"],
		"crashed": [502, "{\"message\": \"Internal server error\", \"connectionId\":\"\", \"requestId\":\"\"}"],
		"protocol": "chat.v1",
		"keys": "requestContext body isBase64Encoded routeKey messageId eventType extendedRequestId requestTime messageDirection stage connectedAt requestTimeEpoch identity requestId domainName connectionId apiId",
		"posted": "sent", "heard": "hi",
		"look": {"age": true, "ip": "127.0.0.1"},
		"unknown": "default got {\"action\":\"never heard of\"}",
		"plain": "default got plain text",
		"fails": "{\"message\": \"Internal server error\", \"connectionId\":\"\", \"requestId\":\"\"}",
		"kicked": [1000, "Connection Closed Normally"],
		"left": [[true, 1000, "Connection Closed Normally"]],
		"gone": "GoneException 410",
		"binary": 1003
	}`, r.Stdout)
}

// ask sends a message and returns the answer.
func ask(t *testing.T, ws *websocket.Conn, message string) string {
	t.Helper()
	if err := ws.WriteMessage(websocket.TextMessage, []byte(message)); err != nil {
		t.Fatal(err)
	}
	return hear(t, ws)
}

func hear(t *testing.T, ws *websocket.Conn) string {
	t.Helper()
	_ = ws.SetReadDeadline(time.Now().Add(testkit.Patience))
	_, b, err := ws.ReadMessage()
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func connectWS(t *testing.T, address string) *websocket.Conn {
	t.Helper()
	ws, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+address, nil)
	if err != nil {
		t.Fatalf("%v: %v", err, resp)
	}
	t.Cleanup(func() { _ = ws.Close() })
	return ws
}

// A chat room with no DynamoDB: a handler with aws-lambda-go's events puts connections into a
// room, which is a topic; messages go from client to client, and to and from MQTT.
func TestAPIGatewayRoom(t *testing.T) {
	s := testkit.Start(t, binary.Path(t), fmt.Sprintf(`
listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}
functions:
  chat: {runtime: go, path: %s}
rules:
  - name: seen
    sql: SELECT text FROM 'rooms/+' WHERE action = 'say'
    actions: [{republish: {topic: seen}}]
routes:
  - path: /dev
    mode: apigateway
    function: chat
    apigateway:
      routes:
        join: {response: true}
        say: {publish: "rooms/${request.body.room}"}
`, handler("golang")))
	if _, resp, err := websocket.DefaultDialer.DialContext(t.Context(), "ws://"+s.HTTP+"/dev", nil); err == nil || resp.StatusCode != http.StatusForbidden {
		t.Errorf("without a name: %v", resp)
	}
	mqtt := subscribe(t, s.MQTT, "-t", "rooms/+", "-t", "seen")
	ada, bob := connectWS(t, s.HTTP+"/dev?name=ada"), connectWS(t, s.HTTP+"/dev?name=bob")
	for _, ws := range []*websocket.Conn{ada, bob} {
		if got := ask(t, ws, `{"action":"join","room":"r1"}`); got != "joined r1" {
			t.Errorf("got %s", got)
		}
	}
	const hi = `{"action":"say","room":"r1","text":"hi"}`
	if got := ask(t, ada, hi); got != hi {
		t.Errorf("ada got %s", got)
	}
	if got := hear(t, bob); got != hi {
		t.Errorf("bob got %s", got)
	}
	mqtt.waitFor("rooms/r1 " + hi)
	sameJSON(t, `{"text":"hi"}`, strings.TrimPrefix(mqtt.waitFor("seen {"), "seen "))
	publish(t, s.MQTT, "-t", "rooms/r1", "-m", "from a device")
	for _, ws := range []*websocket.Conn{ada, bob} {
		if got := hear(t, ws); got != "from a device" {
			t.Errorf("got %s", got)
		}
	}
	_ = bob.NetConn().Close()
	s.WaitFor("gone:")
}

// AWS's command line reaches @connections, and so does MQTT.
func TestAPIGatewayManagementByCommandLine(t *testing.T) {
	aws := testkit.Need(t, "aws", "awscli")
	s := testkit.Start(t, binary.Path(t), `
listen: {mqtt: 127.0.0.1:0, http: 127.0.0.1:0}
routes:
  - path: /dev
    mode: apigateway
    apigateway: {routes: {join: {subscribe: [all]}}}
`)
	ws := connectWS(t, s.HTTP+"/dev")
	var refused struct{ Message, ConnectionID string }
	if err := json.Unmarshal([]byte(ask(t, ws, `{"action":"no such route"}`)), &refused); err != nil || refused.Message != "Forbidden" {
		t.Fatalf("%+v, %v", refused, err)
	}
	manage := func(command, id string, more ...string) testkit.Result {
		return testkit.Command(t, nil, "env", append([]string{
			"AWS_ACCESS_KEY_ID=a", "AWS_SECRET_ACCESS_KEY=b", "AWS_DEFAULT_REGION=eu-central-1",
			aws, "apigatewaymanagementapi", command, "--endpoint-url", "http://" + s.HTTP + "/dev", "--connection-id", id,
		}, more...)...)
	}
	data := filepath.Join(t.TempDir(), "data")
	testkit.WriteFiles(t, filepath.Dir(data), map[string]string{"data": "hello"})
	if r := manage("post-to-connection", refused.ConnectionID, "--data", "fileb://"+data); r.Code != 0 {
		t.Errorf("exit status %d: %s", r.Code, r.Stderr)
	}
	if got := hear(t, ws); got != "hello" {
		t.Errorf("got %s", got)
	}
	publish(t, s.MQTT, "-t", "@connections/"+refused.ConnectionID, "-m", "over MQTT")
	if got := hear(t, ws); got != "over MQTT" {
		t.Errorf("got %s", got)
	}
	if r := manage("get-connection", refused.ConnectionID); r.Code != 0 || !strings.Contains(strings.ToLower(r.Stdout), `"connectedat"`) {
		t.Errorf("exit status %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := manage("get-connection", "nobody="); r.Code == 0 || !strings.Contains(r.Stderr, "GoneException") {
		t.Errorf("exit status %d: %s%s", r.Code, r.Stdout, r.Stderr)
	}
}
