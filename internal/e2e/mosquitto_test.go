package e2e

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/topicwire/topicwire/internal/testkit"
)

// hostPort splits an address into mosquitto's -h and -p.
func hostPort(t *testing.T, address string) []string {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return []string{"-h", host, "-p", port}
}

// rr sends a request with mosquitto_rr and returns the answer.
func rr(t *testing.T, address string, args ...string) testkit.Result {
	t.Helper()
	command := testkit.Need(t, "mosquitto_rr", "mosquitto-clients")
	return testkit.Command(t, nil, command, append(hostPort(t, address), args...)...)
}

// sameJSON compares two JSON documents by their values.
func sameJSON(t *testing.T, want, got string) {
	t.Helper()
	var w, g any
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("%q: %v", want, err)
	}
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Fatalf("not JSON: %q: %v", got, err)
	}
	if diff := cmp.Diff(w, g); diff != "" {
		t.Error(diff)
	}
}

// subscriber runs mosquitto_sub until the test ends.
type subscriber struct {
	t   *testing.T
	out *testkit.Output
}

// subscribe starts mosquitto_sub and waits until its subscription stands: it publishes
// a marker to a topic of its own until the subscriber prints it.
func subscribe(t *testing.T, address string, args ...string) *subscriber {
	t.Helper()
	sub := testkit.Need(t, "mosquitto_sub", "mosquitto-clients")
	s := &subscriber{t: t, out: &testkit.Output{}}
	args = append(append(hostPort(t, address), "-d", "-v"), args...)
	cmd := exec.Command(sub, args...)
	cmd.Stdout, cmd.Stderr = s.out, s.out
	// mosquitto_sub buffers its output by the block unless a line is all it may hold.
	if stdbuf, err := exec.LookPath("stdbuf"); err == nil {
		cmd = exec.Command(stdbuf, append([]string{"-oL", sub}, args...)...)
		cmd.Stdout, cmd.Stderr = s.out, s.out
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		// One whose broker refuses it hears no signal.
		stuck := time.AfterFunc(2*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		stuck.Stop()
	})
	s.waitFor("Subscribed (mid: 1)")
	return s
}

func (s *subscriber) waitFor(text string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), testkit.Patience)
	defer cancel()
	line, err := s.out.WaitFor(ctx, text)
	if err != nil {
		s.t.Fatalf("%v\n%s", err, s.out)
	}
	return line
}

func publish(t *testing.T, address string, args ...string) {
	t.Helper()
	command := testkit.Need(t, "mosquitto_pub", "mosquitto-clients")
	if r := testkit.Command(t, nil, command, append(hostPort(t, address), args...)...); r.Code != 0 {
		t.Fatalf("mosquitto_pub %v: exit status %d: %s", args, r.Code, r.Stderr)
	}
}

// The line that the README and the ready message give people to paste.
func TestDefaultConfigurationAnswersARequest(t *testing.T) {
	s := serveDefault(t)
	r := rr(t, s.MQTT, "-V", "mqttv5", "-t", "hello/ada", "-e", "hello/ada/reply", "-m", `{"n":1}`, "-W", "20")
	if r.Code != 0 {
		t.Fatalf("exit status %d: %s", r.Code, r.Stderr)
	}
	sameJSON(t, `{"greeting":"Hello, ada!","name":"ada","message":{"n":1}}`, r.Stdout)
}

func TestReplyGoesToTheResponseTopicWhereThereIsOne(t *testing.T) {
	s := serveDefault(t)
	r := rr(t, s.MQTT, "-V", "mqttv5", "-t", "hello/ada", "-e", "somewhere/else", "-m", `{"n":1}`, "-W", "20")
	sameJSON(t, `{"greeting":"Hello, ada!","name":"ada","message":{"n":1}}`, r.Stdout)
}

func TestMQTT311GetsItsReplyOnTheRulesTopic(t *testing.T) {
	s := serveDefault(t)
	sub := subscribe(t, s.MQTT, "-V", "mqttv311", "-t", "hello/+/reply")
	publish(t, s.MQTT, "-V", "mqttv311", "-t", "hello/bob", "-m", `{"n":2}`, "-q", "1")
	line := sub.waitFor("hello/bob/reply {")
	sameJSON(t, `{"greeting":"Hello, bob!","name":"bob","message":{"n":2}}`, strings.TrimPrefix(line, "hello/bob/reply "))
}

func TestEveryQoSAndVersionReachesASubscriber(t *testing.T) {
	s := testkit.Start(t, binary.Path(t), "listen: {mqtt: 127.0.0.1:0}\n")
	for _, version := range []string{"mqttv311", "mqttv5"} {
		for _, qos := range []string{"0", "1", "2"} {
			t.Run(version+"/qos"+qos, func(t *testing.T) {
				topic := fmt.Sprintf("t/%s/%s", version, qos)
				sub := subscribe(t, s.MQTT, "-V", version, "-q", qos, "-t", topic)
				publish(t, s.MQTT, "-V", version, "-q", qos, "-t", topic, "-m", "payload")
				sub.waitFor(topic + " payload")
			})
		}
	}
}

func TestRetainedMessageIsGivenToALaterSubscriber(t *testing.T) {
	s := testkit.Start(t, binary.Path(t), "listen: {mqtt: 127.0.0.1:0}\n")
	publish(t, s.MQTT, "-t", "r/1", "-m", "kept", "-r", "-q", "1")
	subscribe(t, s.MQTT, "-t", "r/#").waitFor("r/1 kept")
}

// certificate writes a self-signed certificate for 127.0.0.1 and returns its serial
// number, by which a test tells one from the other.
func certificate(t *testing.T, dir string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "topicwire test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	// Replaced by renaming, as certificate managers do it.
	for name, block := range map[string]*pem.Block{
		"server.key": {Type: "PRIVATE KEY", Bytes: der},
		"server.pem": {Type: "CERTIFICATE", Bytes: cert},
	} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path+".new", pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTLSAndItsCertificateChange(t *testing.T) {
	dir := t.TempDir()
	certificate(t, dir, 1)
	testkit.WriteFiles(t, dir, map[string]string{"config.yaml": `
listen:
  mqtts: 127.0.0.1:0
  https: 127.0.0.1:0
  tls: {cert: server.pem, key: server.key}
`})
	s := testkit.Serve(t, binary.Path(t), filepath.Join(dir, "config.yaml"))
	ca := filepath.Join(dir, "server.pem")

	sub := subscribe(t, s.MQTTS, "--cafile", ca, "-V", "mqttv5", "-t", "tls/#")
	publish(t, s.MQTTS, "--cafile", ca, "-V", "mqttv311", "-q", "1", "-t", "tls/1", "-m", "over TLS")
	sub.waitFor("tls/1 over TLS")

	certificate(t, dir, 2)
	s.WaitFor("certificate reloaded")
	// The new certificate is its own authority: only a server that shows it is trusted.
	publish(t, s.MQTTS, "--cafile", ca, "-q", "1", "-t", "tls/2", "-m", "with the new one")
	sub.waitFor("tls/2 with the new one") // and the connection made before lives on

	// MQTT over WebSocket over TLS, on the HTTPS listener.
	wss := testkit.Command(t, nil, binary.Path(t), "pub", "-L", "wss://"+s.HTTPS+"/mqtt", "--cafile", ca, "-q", "1", "-t", "tls/3", "-m", "over wss")
	if wss.Code != 0 {
		t.Errorf("wss: exit status %d: %s", wss.Code, wss.Stderr)
	}
	sub.waitFor("tls/3 over wss")

	health := testkit.Command(t, nil, testkit.Need(t, "curl", "curl"), "--silent", "--show-error", "--cacert", ca, "https://"+s.HTTPS+"/healthz")
	sameJSON(t, `{"status":"ok"}`, health.Stdout)
}
