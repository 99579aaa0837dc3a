package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPubSendsEverySource(t *testing.T) {
	b, at := mosquitto(t)
	file := filepath.Join(t.TempDir(), "message")
	if err := os.WriteFile(file, []byte("from a file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tests := map[string]struct {
		stdin string
		args  []string
		want  []string
	}{
		"-m":             {args: []string{"-m", "text"}, want: []string{"text"}},
		"-m negative":    {args: []string{"-m", "-5"}, want: []string{"-5"}},
		"-m empty":       {args: []string{"-m", ""}, want: []string{""}},
		"-n":             {args: []string{"-n"}, want: []string{""}},
		"-f":             {args: []string{"-f", file}, want: []string{"from a file\n"}},
		"-s":             {stdin: "a\nb\n", args: []string{"-s"}, want: []string{"a\nb\n"}},
		"-l":             {stdin: "a\n\nb", args: []string{"-l"}, want: []string{"a", "", "b"}},
		"-l -q 1":        {stdin: "a\nb\n", args: []string{"-l", "-q", "1"}, want: []string{"a", "b"}},
		"-l -q 2 -V 5":   {stdin: "a\nb\n", args: []string{"-l", "-q", "2", "-V", "5"}, want: []string{"a", "b"}},
		"--repeat":       {args: []string{"-m", "x", "--repeat", "3"}, want: []string{"x", "x", "x"}},
		"--repeat-delay": {args: []string{"-m", "x", "--repeat", "2", "--repeat-delay", "0.01"}, want: []string{"x", "x"}},
		"-L ws":          {args: []string{"-L", b.WS.String(), "-m", "x", "-q", "2"}, want: []string{"x"}},
		"-L mqtt":        {args: []string{"-L", b.TCP.String(), "-m", "x", "-V", "mqttv5"}, want: []string{"x"}},
		"-q1 -r":         {args: []string{"-q1", "-r", "-m", "x"}, want: []string{"x"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			topic := "every/" + strings.NewReplacer("+", "", "#", "").Replace(name)
			finish := subscribed(t, append(at, "-t", topic, "-q", "2", "-F", "[%p]", "-C", fmt.Sprint(len(tt.want)))...)
			code, _, stderr := command(t, tt.stdin, append(append([]string{"pub", "-t", topic}, at...), tt.args...)...)
			if code != 0 || stderr != "" {
				t.Fatalf("pub: status %d, %s", code, stderr)
			}
			want := "[" + strings.Join(tt.want, "]\n[") + "]\n"
			if code, out, _ := finish(); code != 0 || out != want {
				t.Errorf("sub: status %d, %q; want %q", code, out, want)
			}
		})
	}
}

func TestPubPropertiesAndWill(t *testing.T) {
	_, at := mosquitto(t)
	finish := subscribed(t, append(at, "-V", "5", "-t", "p", "-C", "1", "-F", "%C|%D|%P|%R|%F|%E")...)
	code, _, stderr := command(t, "", append([]string{
		"pub", "-t", "p", "-m", "x",
		"-D", "publish", "content-type", "text/plain", "-D", "publish", "user-property", "k", "v", "-D", "publish", "user-property", "k", "w=1",
		"-D", "publish", "correlation-data", "id", "-D", "publish", "response-topic", "r", "-D", "publish", "payload-format-indicator", "1",
		"-D", "publish", "message-expiry-interval", "100", "-D", "connect", "session-expiry-interval", "0", "-x", "5",
		"--will-topic", "w", "--will-payload", "gone", "--will-qos", "1", "--will-retain", "-D", "will", "will-delay-interval", "1", "-k", "10",
	}, at...)...)
	if code != 0 {
		t.Fatalf("pub: status %d, %s", code, stderr)
	}
	if _, out, _ := finish(); out != "text/plain|id|k:v k:w=1|r|1|100\n" {
		t.Errorf("got %q", out)
	}
}

func TestClientRefusals(t *testing.T) {
	dead := []string{"-h", "127.0.0.1", "-p", "1"} // nothing listens on port 1
	tests := map[string]struct {
		args []string
		code int
		want string
	}{
		"no server":        {append([]string{"pub", "-t", "a", "-m", "b"}, dead...), 1, "connection refused: nothing listens on 127.0.0.1:1; start the server with topicwire serve"},
		"no server, sub":   {append([]string{"sub", "-t", "a"}, dead...), 1, "connection refused: nothing listens on 127.0.0.1:1"},
		"no server, rr":    {append([]string{"request", "-t", "a", "-m", "b"}, dead...), 1, "connection refused"},
		"no server, ws":    {[]string{"pub", "-L", "ws://127.0.0.1:1/mqtt", "-t", "a", "-m", "b"}, 1, "connection refused: nothing listens on 127.0.0.1:1"},
		"quiet":            {append([]string{"pub", "--quiet", "-t", "a", "-m", "b"}, dead...), 1, ""},
		"no topic":         {[]string{"pub", "-m", "b"}, 1, "no topic to publish to: give -t TOPIC"},
		"no filter":        {[]string{"sub"}, 1, "no topic filter to subscribe to: give -t FILTER"},
		"no message":       {[]string{"pub", "-t", "a"}, 1, "say what to send with one of -m TEXT, -f FILE, -l, -s or -n"},
		"two messages":     {[]string{"pub", "-t", "a", "-m", "b", "-n"}, 1, "say what to send with one of"},
		"wildcard":         {[]string{"pub", "-t", "a/+", "-m", "b"}, 1, "contains a wildcard"},
		"bad filter":       {[]string{"sub", "-t", "a#"}, 1, "misplaced wildcard"},
		"MQTT 3.1":         {[]string{"pub", "-t", "a", "-m", "b", "-V", "mqttv31"}, 1, "MQTT 3.1 (-V mqttv31) is not supported: use mqttv311 or mqttv5"},
		"version":          {[]string{"sub", "-t", "a", "-V", "6"}, 1, "-V 6 is no MQTT version"},
		"-D with 3.1.1":    {[]string{"pub", "-t", "a", "-m", "b", "-V", "311", "-D", "publish", "content-type", "x"}, 1, "-D needs MQTT 5"},
		"-D unknown":       {[]string{"pub", "-t", "a", "-m", "b", "-D", "publish", "colour", "x"}, 2, `property "colour" is not one that a client sends`},
		"-D command":       {[]string{"pub", "-t", "a", "-m", "b", "-D", "paint", "content-type", "x"}, 2, `"paint" is no command`},
		"-D number":        {[]string{"pub", "-t", "a", "-m", "b", "-D", "publish", "message-expiry-interval", "soon"}, 2, `takes a number from 0 to 4294967295, not "soon"`},
		"QoS":              {[]string{"pub", "-t", "a", "-m", "b", "-q", "3"}, 1, "QoS is 0, 1 or 2"},
		"-c without -i":    {[]string{"sub", "-t", "a", "-c"}, 1, "-c needs a client identifier: give -i ID"},
		"-i and -I":        {[]string{"sub", "-t", "a", "-i", "a", "-I", "b"}, 1, "give -i or -I, not both"},
		"-x":               {[]string{"sub", "-t", "a", "-x", "soon"}, 1, "-x soon: give seconds"},
		"will":             {[]string{"sub", "-t", "a", "--will-payload", "x"}, 1, "a will needs --will-topic"},
		"URL":              {[]string{"sub", "-t", "a", "-L", "http://h"}, 1, "use mqtt://, mqtts://, ws:// or wss://"},
		"cert without TLS": {[]string{"sub", "-t", "a", "--cert", "x", "--key", "y"}, 1, "are for TLS"},
		"CA file":          {[]string{"sub", "-t", "a", "--cafile", "/does/not/exist"}, 1, "no such file"},
		"-e with 3.1.1":    {[]string{"request", "-t", "a", "-m", "b", "-V", "311"}, 1, "say where the answer will come with -e TOPIC"},
		"format":           {[]string{"sub", "-t", "a", "-F", "%z"}, 1, "there is no %z"},
		"format's end":     {[]string{"sub", "-t", "a", "-F", "x%"}, 1, "ends within"},
		"escape":           {[]string{"sub", "-t", "a", "-F", `\q`}, 1, `there is no escape \q`},
		"bench, no server": {append([]string{"bench", "throughput"}, dead...), 1, "connection refused: nothing listens on 127.0.0.1:1"},
		"bench, payload":   {[]string{"bench", "throughput", "--payload-size", "3"}, 2, "a payload needs at least 20 bytes"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			code, out, err := command(t, "", tt.args...)
			if code != tt.code || !strings.Contains(err, tt.want) || (tt.want == "") != (err == "") || out != "" {
				t.Errorf("status %d, want %d; stdout %q; stderr %q, want %q", code, tt.code, out, err, tt.want)
			}
		})
	}
}
