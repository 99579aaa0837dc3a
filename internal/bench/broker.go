package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// ErrNoBroker says that a broker's program is not installed.
var ErrNoBroker = errors.New("is not installed")

// Broker is a broker's process that we started, listening on loopback.
type Broker struct {
	Name    string            // program and version
	TCP, WS mqttclient.Target // WS.Scheme is empty if it has no WebSocket listener
	PID     int

	bridge *Broker // a process that belongs to it; nil = none
	cmd    *exec.Cmd
	output *tail
	exited chan struct{}
	err    error // of Wait; set before exited is closed
}

// Start limits and the time a broker gets for each.
const (
	startTries  = 10
	startWithin = 15 * time.Second
	stopWithin  = 10 * time.Second
)

// StartMosquitto starts the broker of that name with its files in dir: anonymous, TCP_NODELAY set (its
// default holds small packets back for 40 ms), queues unlimited, a TCP and a WebSocket listener on
// free ports. core pins it to one processor core; -1 does not. An error wraps ErrNoBroker when
// it is not installed.
func StartMosquitto(ctx context.Context, dir string, core int) (*Broker, error) {
	program, err := exec.LookPath("mosquitto")
	if err != nil {
		if program, err = exec.LookPath("/usr/sbin/mosquitto"); err != nil {
			return nil, fmt.Errorf("mosquitto %w: install it, on Debian with: apt-get install mosquitto", ErrNoBroker)
		}
	}
	for tries := 1; ; tries++ {
		b, err := startMosquitto(ctx, program, dir, core)
		if err == nil || tries == startTries || ctx.Err() != nil {
			return b, err
		}
		// Somebody may have taken a port that was free a moment ago; where thousands of
		// connections come and go that happens several times in a row.
	}
}

func startMosquitto(ctx context.Context, program, dir string, core int) (*Broker, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "mosquitto.conf")
	text := fmt.Sprintf(`listener %d 127.0.0.1
listener %d 127.0.0.1
protocol websockets
allow_anonymous true
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 1000
persistence false
log_type error
`, ports[0], ports[1])
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	b := &Broker{
		Name: "mosquitto " + mosquittoVersion(ctx, program),
		TCP:  mqttclient.Target{Scheme: "mqtt", Host: "127.0.0.1", Port: strconv.Itoa(ports[0])},
		WS:   mqttclient.Target{Scheme: "ws", Host: "127.0.0.1", Port: strconv.Itoa(ports[1]), Path: "/mqtt"},
	}
	return b, b.start(ctx, core, exec.Command(program, "-c", conf)) //nolint:gosec,noctx // stopped by Stop, with SIGTERM
}

func mosquittoVersion(ctx context.Context, program string) string {
	out, _ := exec.CommandContext(ctx, program, "-h").Output()
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimPrefix(line, "mosquitto version ")
}

// StartTopicwire starts the given topicwire program with its files in dir, listening on
// free ports, with no rules and its store in memory. core as in StartMosquitto.
func StartTopicwire(ctx context.Context, program, dir string, core int) (*Broker, error) {
	return startTopicwire(ctx, program, dir, core, "")
}

// startTopicwire starts topicwire with more in its configuration.
func startTopicwire(ctx context.Context, program, dir string, core int, more string) (*Broker, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	conf := filepath.Join(dir, "topicwire.yaml")
	text := fmt.Sprintf("listen:\n  mqtt: 127.0.0.1:%d\n  http: 127.0.0.1:%d\nstore:\n  dir: memory\nlog:\n  level: warn\n", ports[0], ports[1]) + more
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		return nil, err
	}
	out, _ := exec.CommandContext(ctx, program, "version").Output()
	version := append(strings.Fields(string(out)), "", "")[1] // of "topicwire VERSION ..."
	b := &Broker{
		Name: strings.TrimSpace("topicwire " + version),
		TCP:  mqttclient.Target{Scheme: "mqtt", Host: "127.0.0.1", Port: strconv.Itoa(ports[0])},
		WS:   mqttclient.Target{Scheme: "ws", Host: "127.0.0.1", Port: strconv.Itoa(ports[1]), Path: "/mqtt"},
	}
	return b, b.start(ctx, core, exec.Command(program, "serve", "--config", conf)) //nolint:gosec,noctx // stopped by Stop, with SIGTERM
}

// freePorts finds ports that nobody listens on now.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.ListenTCP("tcp4", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // only now, so that the ports differ
		_, port, err := net.SplitHostPort(l.Addr().String())
		if err != nil {
			return nil, err
		}
		p, err := strconv.Atoi(port)
		if err != nil {
			return nil, err
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// launch runs cmd.
func (b *Broker) launch(core int, cmd *exec.Cmd) error {
	b.cmd, b.output, b.exited = cmd, &tail{}, make(chan struct{})
	cmd.Stdout, cmd.Stderr = b.output, b.output
	if err := startPinned(cmd, core); err != nil {
		return fmt.Errorf("start %s: %w", cmd.Path, err)
	}
	b.PID = cmd.Process.Pid
	go func() {
		b.err = cmd.Wait()
		close(b.exited)
	}()
	return nil
}

// pids are the processes whose CPU time counts.
func (b *Broker) pids() []int {
	pids := []int{b.PID}
	if b.bridge != nil {
		pids = append(pids, b.bridge.PID)
	}
	return pids
}

// start runs cmd and waits until both listeners take connections.
func (b *Broker) start(ctx context.Context, core int, cmd *exec.Cmd) error {
	if err := b.launch(core, cmd); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	for _, t := range []mqttclient.Target{b.TCP, b.WS} {
		if err := b.await(ctx, t.Address()); err != nil {
			_ = b.Stop()
			return err
		}
	}
	return nil
}

func (b *Broker) await(ctx context.Context, address string) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		select {
		case <-tick.C:
		case <-b.exited:
			return fmt.Errorf("%s ended at once (%w):\n%s", b.Name, b.err, b.output)
		case <-ctx.Done():
			return fmt.Errorf("%s does not listen on %s: %w\n%s", b.Name, address, err, b.output)
		}
	}
}

// Stop ends the process, with SIGTERM and, if that does not help, with SIGKILL, and
// waits for it. The error says how it ended if that was not our doing.
func (b *Broker) Stop() error {
	if b.bridge != nil { // first: it would complain about a broker that goes
		if err := b.bridge.Stop(); err != nil {
			bridge := b.bridge
			b.bridge = nil
			return errors.Join(fmt.Errorf("%s: %w", bridge.Name, err), b.Stop())
		}
	}
	if b.cmd == nil || b.cmd.Process == nil {
		return nil
	}
	select {
	case <-b.exited:
		return fmt.Errorf("%s ended during the run (%w):\n%s", b.Name, b.err, b.output)
	default:
	}
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-b.exited:
	case <-time.After(stopWithin):
		_ = b.cmd.Process.Kill()
		<-b.exited
	}
	return nil
}

// tail keeps the last part of what a process prints.
type tail struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// Write keeps the end of everything written.
func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.buf.Write(b)
	if extra := t.buf.Len() - 4096; extra > 0 {
		t.buf.Next(extra)
	}
	return len(b), nil
}

// String is what was kept.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.buf.String()
}
