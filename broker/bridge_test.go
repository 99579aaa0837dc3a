package broker_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/testkit"
)

// mosquitto, as it comes, bridges to us in every version of MQTT: both brokers have what
// is published at either, retained messages are retained, and nothing goes round.
func TestMosquittosBridge(t *testing.T) {
	program := testkit.Need(t, "mosquitto", "mosquitto")
	pub, sub := testkit.Need(t, "mosquitto_pub", "mosquitto-clients"), testkit.Need(t, "mosquitto_sub", "mosquitto-clients")
	for _, version := range []string{"mqttv31", "mqttv311", "mqttv50"} {
		t.Run(version, func(t *testing.T) {
			s := serve(t, setup{})
			watch := s.connect(5, "watch")
			watch.subscribe("x/#", 0)
			watch.subscribe("$SYS/broker/connection/+/state", 0)

			dir := t.TempDir()
			socket, conf := filepath.Join(dir, "s"), filepath.Join(dir, "conf")
			text := fmt.Sprintf("user root\nlistener 0 %s\nallow_anonymous true\nconnection to\naddress %s\nremote_clientid bridge\nbridge_protocol_version %s\ntopic # both 1\n",
				socket, s.Addrs()[0], version)
			if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			mosquitto := exec.Command(program, "-c", conf)
			var output strings.Builder
			mosquitto.Stdout, mosquitto.Stderr = &output, &output
			if err := mosquitto.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				_ = mosquitto.Process.Kill()
				_ = mosquitto.Wait()
				if t.Failed() {
					t.Log(output.String())
				}
			})
			watch.wantMessage("$SYS/broker/connection/bridge/state", "1")
			watch.quiet()

			s.connect(5, "pub").publish("x/ours", "from here", retain)
			watch.wantMessage("x/ours", "from here")
			if out, err := exec.CommandContext(t.Context(), pub, "--unix", socket, "-t", "x/theirs", "-m", "from there", "-q", "1", "-r").CombinedOutput(); err != nil {
				t.Fatalf("mosquitto_pub: %v\n%s", err, out)
			}
			watch.wantMessage("x/theirs", "from there")
			out, err := exec.CommandContext(t.Context(), sub, "--unix", socket, "-t", "x/ours", "-C", "1", "-W", "10", "-F", "%r %p").CombinedOutput()
			if err != nil || string(out) != "1 from here\n" && string(out) != "0 from here\n" {
				t.Errorf("mosquitto_sub: %v, %q", err, out)
			}
			late := s.connect(5, "late")
			late.subscribe("x/#", 0)
			for range 2 {
				if got := late.wantAny(); !got.FixedHeader.Retain {
					t.Errorf("%s is not retained", got.TopicName)
				}
			}
			watch.quiet() // nothing has come back
		})
	}
}
