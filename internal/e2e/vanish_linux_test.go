package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/topicwire/topicwire/internal/mqttclient"
	"github.com/topicwire/topicwire/internal/testkit"
)

// far is another host, as far as the network is concerned: a name space of its own with a
// cable to ours.
type far struct {
	t           *testing.T
	ip          string // the command
	name, cable string
	here        string // our address on the cable
}

// newFar makes one. It takes root, which CI is.
func newFar(t *testing.T) *far {
	t.Helper()
	if os.Getuid() != 0 {
		testkit.Missing(t, "a network cannot be made: run the test as root")
	}
	n := rand.Uint32() // the kernel takes its time to take such a network down
	f := &far{t: t, ip: testkit.Need(t, "ip", "iproute2"), name: fmt.Sprint("tw", n), cable: fmt.Sprint("tw", n)}
	net := fmt.Sprintf("169.254.%d.", 1+n%250)
	f.here = net + "1"
	f.run("netns", "add", f.name)
	t.Cleanup(func() { // and the cable with it
		if err := exec.Command(f.ip, "netns", "delete", f.name).Run(); err != nil {
			t.Error(err)
		}
	})
	f.run("link", "add", f.cable, "type", "veth", "peer", "name", "eth0", "netns", f.name)
	f.run("address", "add", f.here+"/30", "dev", f.cable)
	f.run("link", "set", f.cable, "up")
	f.run("-n", f.name, "address", "add", net+"2/30", "dev", "eth0")
	f.plugIn()
	return f
}

func (f *far) run(args ...string) {
	f.t.Helper()
	if r := testkit.Command(f.t, nil, f.ip, args...); r.Code != 0 {
		f.t.Fatalf("ip %s: %s", strings.Join(args, " "), r.Stderr)
	}
}

func (f *far) plugIn() { f.t.Helper(); f.run("-n", f.name, "link", "set", "eth0", "up") }

// pullOut takes the other host from the network: nothing of it is heard any more.
func (f *far) pullOut() { f.t.Helper(); f.run("-n", f.name, "link", "set", "eth0", "down") }

const farPassword = "over the hills"

// serve starts a server that listens on the cable.
func (f *far) serve() *testkit.Server {
	f.t.Helper()
	dir := f.t.TempDir()
	if r := testkit.Command(f.t, strings.NewReader(farPassword+"\n"), binary.Path(f.t), "passwd", filepath.Join(dir, "passwords"), "ada"); r.Code != 0 {
		f.t.Fatal(r.Stderr)
	}
	testkit.WriteFiles(f.t, dir, map[string]string{"config.yaml": `
listen: {mqtt: "` + f.here + `:0"}
auth:
  methods: [{password: {file: passwords}}]
  policies:
    all: {Version: "2012-10-17", Statement: [{Effect: Allow, Action: "iot:*", Resource: "*"}]}
  attach: [{policies: all, everybody: true}]
`})
	return testkit.Serve(f.t, binary.Path(f.t), filepath.Join(dir, "config.yaml"))
}

// farClient is the program's own client, on the other host.
type farClient struct {
	f        *far
	cmd      *exec.Cmd
	out, err testkit.Output
}

// subscribe subscribes there, in a session that is kept.
func (f *far) subscribe(s *testkit.Server, id, filter string, more ...string) *farClient {
	f.t.Helper()
	host, port, err := net.SplitHostPort(s.MQTT)
	if err != nil {
		f.t.Fatal(err)
	}
	args := append([]string{
		"netns", "exec", f.name, binary.Path(f.t), "sub", "-d", "-V", "5", "-h", host, "-p", port, "-u", "ada", "-P", farPassword,
		"-i", id, "-c", "-x", "3600", "-q", "1", "-t", filter,
	}, more...)
	c := &farClient{f: f, cmd: exec.Command(f.ip, args...)}
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.err
	if err := c.cmd.Start(); err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(c.end)
	c.await(&c.err, func(line string) bool { return strings.Contains(line, "SUBACK") })
	return c
}

func (c *farClient) end() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

func (c *farClient) await(o *testkit.Output, match func(string) bool) {
	c.f.t.Helper()
	ctx, cancel := context.WithTimeout(c.f.t.Context(), testkit.Patience)
	defer cancel()
	if _, err := o.Wait(ctx, match); err != nil {
		c.f.t.Fatalf("the client on the other host: %v\n%s%s", err, &c.out, &c.err)
	}
}

// receives waits for the messages first to last, and no others before them.
func (c *farClient) receives(first, last int) {
	c.f.t.Helper()
	c.await(&c.out, func(line string) bool { return strings.HasPrefix(line, fmt.Sprint(last, " ")) })
	for i, line := range c.out.Lines() {
		if !strings.HasPrefix(line, fmt.Sprint(first+i, " ")) {
			c.f.t.Fatalf("message %.10q in place of %d", line, first+i)
		}
	}
}

// near connects a client on this host.
func (f *far) near(s *testkit.Server, id, filter string) *mqttclient.Client {
	f.t.Helper()
	target, err := mqttclient.ParseURL("mqtt://" + s.MQTT)
	if err != nil {
		f.t.Fatal(err)
	}
	user := "ada"
	c, err := mqttclient.Open(f.t.Context(), mqttclient.Options{Target: target, ClientID: id, Username: &user, Password: []byte(farPassword)})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	if filter != "" {
		if _, err := c.Subscribe(f.t.Context(), &mqttclient.Subscribe{Subscriptions: []mqttclient.Subscription{{Filter: filter, QoS: 1}}}); err != nil {
			f.t.Fatal(err)
		}
	}
	return c
}

// publishNumbers publishes the numbers first to last, each when the one before is
// acknowledged, with so many bytes behind them.
func publishNumbers(ctx context.Context, c *mqttclient.Client, topic string, first, last, size int) error {
	ctx, cancel := context.WithTimeout(ctx, testkit.Patience)
	defer cancel()
	for n := first; n <= last; n++ {
		if err := c.Publish(ctx, &mqttclient.Publish{Topic: topic, QoS: 1, Payload: fmt.Appendf(nil, "%d %s", n, strings.Repeat("x", size))}); err != nil {
			return err
		}
	}
	return nil
}

// A client's host vanishes from the network without a word: its keep alive ends the
// connection, its will is published, its session goes on, and when it is back it gets
// what it has missed, what was under way when it vanished included.
func TestHostThatVanishes(t *testing.T) {
	f := newFar(t)
	s := f.serve()
	watcher := f.near(s, "watcher", "will/#")
	publisher := f.near(s, "publisher", "")
	send := func(first, last int) {
		t.Helper()
		if err := publishNumbers(t.Context(), publisher, "to/lamp", first, last, 0); err != nil {
			t.Fatal(err)
		}
	}
	lamp := f.subscribe(s, "lamp", "to/lamp", "-k", "1", "--will-topic", "will/lamp", "--will-payload", "gone", "--will-qos", "1")
	send(1, 20)
	lamp.receives(1, 20)

	f.pullOut()
	send(21, 50)
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	will, err := watcher.Receive(ctx)
	if err != nil || will.Topic != "will/lamp" || string(will.Payload) != "gone" {
		t.Fatalf("the will: %v, %v", will, err)
	}
	send(51, 80)
	lamp.end()
	lamp.receives(1, 20)

	f.plugIn()
	f.subscribe(s, "lamp", "to/lamp").receives(21, 80)
}

// A subscriber at the end of a slow line holds up neither the publisher nor the others,
// and gets everything in the end.
func TestSlowLine(t *testing.T) {
	f := newFar(t)
	tc := testkit.Need(t, "tc", "iproute2")
	line := func(args ...string) {
		t.Helper()
		if r := testkit.Command(t, nil, tc, args...); r.Code != 0 {
			t.Fatalf("tc %s: %s", strings.Join(args, " "), r.Stderr)
		}
	}
	s := f.serve()
	slow := f.subscribe(s, "slow", "all")
	line("qdisc", "add", "dev", f.cable, "root", "tbf", "rate", "256kbit", "burst", "4kb", "latency", "100ms")
	quick := f.near(s, "quick", "all")
	publisher := f.near(s, "publisher", "")
	const messages = 300
	published := make(chan error, 1)
	go func() { published <- publishNumbers(t.Context(), publisher, "all", 1, messages, 4096) }() // 37 seconds of the line
	ctx, cancel := context.WithTimeout(t.Context(), testkit.Patience)
	defer cancel()
	for n := 1; n <= messages; n++ {
		m, err := quick.Receive(ctx)
		if err != nil || !strings.HasPrefix(string(m.Payload), fmt.Sprint(n, " ")) {
			t.Fatalf("in place of message %d: %v, %v", n, m, err)
		}
	}
	if err := <-published; err != nil {
		t.Fatal(err)
	}
	if n := len(slow.out.Lines()); n == messages {
		t.Error("the line is not slow")
	} else {
		t.Logf("%d of %d have come over the slow line", n, messages)
	}
	line("qdisc", "del", "dev", f.cable, "root")
	slow.receives(1, messages)
}
