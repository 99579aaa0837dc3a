package broker_test

import (
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/internal/testkit"
)

// mosquittoTopics are what mosquitto 2.0.11 publishes under $SYS/broker/.
const mosquittoTopics = `
bytes/received bytes/sent
clients/active clients/connected clients/disconnected clients/expired clients/inactive clients/maximum clients/total
heap/current heap/maximum
load/bytes/received/15min load/bytes/received/1min load/bytes/received/5min
load/bytes/sent/15min load/bytes/sent/1min load/bytes/sent/5min
load/connections/15min load/connections/1min load/connections/5min
load/messages/received/15min load/messages/received/1min load/messages/received/5min
load/messages/sent/15min load/messages/sent/1min load/messages/sent/5min
load/publish/dropped/15min load/publish/dropped/1min load/publish/dropped/5min
load/publish/received/15min load/publish/received/1min load/publish/received/5min
load/publish/sent/15min load/publish/sent/1min load/publish/sent/5min
load/sockets/15min load/sockets/1min load/sockets/5min
messages/received messages/sent messages/stored
publish/bytes/received publish/bytes/sent
publish/messages/dropped publish/messages/received publish/messages/sent
shared_subscriptions/count store/messages/bytes store/messages/count subscriptions/count
uptime version`

// Every topic that mosquitto has is there, seen with mosquitto's own client.
func TestSYSHasMosquittosTopics(t *testing.T) {
	sub := testkit.Need(t, "mosquitto_sub", "mosquitto-clients")
	s := serve(t, setup{limits: broker.Limits{SysInterval: time.Second}})
	s.connect(4, "c").publish("a", "x") // the server is running
	want := append(strings.Fields(mosquittoTopics), "retained messages/count")
	// And messages/inflight, which mosquitto has not.
	host, port, _ := strings.Cut(s.Addrs()[0].String(), ":")
	out, err := exec.CommandContext(t.Context(), sub, "-h", host, "-p", port, "-t", "$SYS/#", "-F", "%t",
		"--retained-only", "-W", "10", "-C", strconv.Itoa(len(want)+1)).Output()
	if err != nil {
		t.Fatalf("mosquitto_sub: %v, after\n%s", err, out)
	}
	var got []string
	for topic := range strings.Lines(string(out)) {
		got = append(got, strings.TrimPrefix(strings.TrimSpace(topic), "$SYS/broker/"))
	}
	for _, topic := range want {
		if !slices.Contains(got, topic) {
			t.Errorf("$SYS/broker/%s is missing", topic)
		}
	}
}

// The topics say what has happened.
func TestSYSTopics(t *testing.T) {
	s := serve(t, setup{limits: broker.Limits{SysInterval: time.Second}})
	s.raw(4) // not a client yet
	p := s.connect(4, "p")
	p.publish("a", "12345", retain)
	p.subscribe("$share/g/x", 0)
	p.subscribe("$SYS/broker/#", 0)
	want := map[string]string{ // after the second round
		"clients/connected": "1", "subscriptions/count": "2", "shared_subscriptions/count": "1",
		"publish/messages/received": "1", "publish/bytes/received": "5",
		"messages/received": "4", // CONNECT, PUBLISH, two SUBSCRIBE
		"bytes/received":    "64",
	}
	moves := map[string]bool{"load/sockets/1min": true, "load/connections/1min": true, "load/bytes/sent/1min": true, "messages/sent": true}
	for rounds := 0; len(want)+len(moves) > 0; {
		got := p.want(packets.Publish)
		name := got.TopicName[len("$SYS/broker/"):]
		if name == "uptime" {
			if rounds++; rounds > 10 {
				t.Fatalf("missing: %v %v", want, moves)
			}
		}
		if want[name] == string(got.Payload) {
			delete(want, name)
		}
		if v := string(got.Payload); v != "0" && v != "0.00" {
			delete(moves, name)
		}
	}
}
