package main

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/bench"
	"github.com/topicwire/topicwire/internal/mqttclient"
)

// echo answers one request after the other: the payload goes back, to the Response Topic
// where there is one.
func echo(t *testing.T, target mqttclient.Target) {
	t.Helper()
	c, err := mqttclient.Open(t.Context(), mqttclient.Options{Target: target})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SubscribeTo(t.Context(), 2, "ask/#"); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			m, err := c.Receive(t.Context())
			if err != nil {
				return
			}
			topic := m.Props.ResponseTopic
			if topic == "" {
				topic = "answer/" + m.Topic
			}
			_ = c.Publish(t.Context(), &mqttclient.Publish{
				Topic: topic, Payload: append([]byte("re: "), m.Payload...), QoS: m.QoS,
				Props: mqttclient.Properties{CorrelationData: m.Props.CorrelationData},
			})
		}
	}()
	t.Cleanup(func() {
		_ = c.Close()
		<-done
	})
}

func TestRequest(t *testing.T) {
	b, at := mosquitto(t)
	echo(t, b.TCP)
	tests := map[string]struct {
		args []string
		want string
	}{
		"invented topic": {[]string{"-t", "ask/1", "-m", "hi"}, "re: hi\n"},
		"-e":             {[]string{"-t", "ask/1", "-m", "hi", "-e", "my/answer", "-v", "-q", "1"}, "my/answer re: hi\n"},
		"-e, 3.1.1":      {[]string{"-t", "ask/1", "-m", "hi", "-e", "answer/ask/1", "-V", "311"}, "re: hi\n"},
		"-n -F":          {[]string{"-t", "ask/1", "-n", "-F", "%p|%q", "-q", "2"}, "re: |2\n"},
		"websocket":      {[]string{"-L", b.WS.String(), "-t", "ask/1", "-m", "hi"}, "re: hi\n"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, out, err := command(t, "", append(append([]string{"request", "-W", "10"}, at...), tt.args...)...)
			if code != 0 || out != tt.want {
				t.Errorf("status %d, %q, want %q\n%s", code, out, tt.want, err)
			}
		})
	}
	if code, out, err := command(t, "", append([]string{"request", "-t", "nobody", "-m", "x", "-W", "0.1", "-e", "r"}, at...)...); code != 27 || out != "" || !strings.Contains(err, "timed out: no answer on r") {
		t.Errorf("nobody answers: status %d, %q, %q", code, out, err)
	}
	if _, err := exec.LookPath("mosquitto_rr"); err == nil { // ours answers theirs as well
		if out := tool(t, "mosquitto_rr", append(at, "-V", "mqttv5", "-t", "ask/1", "-e", "their/answer", "-m", "hi")...); out != "re: hi\n" {
			t.Errorf("mosquitto_rr prints %q", out)
		}
	}
}

func TestBenchCommand(t *testing.T) {
	_, at := mosquitto(t)
	code, out, err := command(t, "", append([]string{"bench", "throughput", "-q", "1", "--messages", "500", "--json"}, at...)...)
	var r bench.Result
	if e := json.Unmarshal([]byte(out), &r); e != nil || code != 0 || r.Received != 500 || r.QoS != 1 {
		t.Errorf("status %d, %v: %s%s", code, e, out, err)
	}
	code, out, err = command(t, "", append([]string{"bench", "fanout", "--subscribers", "3", "--messages", "100"}, at...)...)
	if code != 0 || !strings.Contains(out, "300 of 300") || !strings.Contains(out, "nothing lost") {
		t.Errorf("status %d: %s%s", code, out, err)
	}
	for _, s := range []string{"throughput", "fanout", "fanin", "pairs", "latency", "connections", "request", "subs", "retained", "offline", "compare"} {
		if code, out, err := command(t, "", "bench", s, "--help"); code != 0 || !strings.Contains(out, "Usage: topicwire bench "+s) {
			t.Errorf("help of %s: status %d, %s%s", s, code, out, err)
		}
	}
}
