package bench

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// pushpinInternal is the part of pushpin's configuration that names its internal sockets, as Debian
// installs it.
const pushpinInternal = "/usr/lib/pushpin/internal.conf"

// StartPushpin starts Debian's pushpin with its files in dir, on free ports of loopback: with a zurl of
// its own and its limits raised, since as it is shipped it drops what is more than 2,500 messages a
// second. An error wraps ErrNoBroker when it is not installed.
func StartPushpin(ctx context.Context, dir, origin string) (*PushServer, error) {
	for _, program := range []string{"pushpin", "condure", "zurl"} {
		if _, err := exec.LookPath(program); err != nil {
			return nil, fmt.Errorf("%s %w: on Debian, apt-get install pushpin brings it", program, ErrNoBroker)
		}
	}
	internal, err := os.ReadFile(pushpinInternal)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("pushpin as Debian packages it %w: there is no %s", ErrNoBroker, pushpinInternal)
	} else if err != nil {
		return nil, err
	}
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	// Debian runs one zurl for the machine; ours is our own.
	internal = bytes.ReplaceAll(internal, []byte("ipc:///var/run/zurl/"), []byte("ipc://{rundir}/{ipc_prefix}"))
	for name, text := range map[string][]byte{
		"internal.conf": internal,
		"routes":        []byte("* " + origin + ",over_http\n"),
		"pushpin.conf":  pushpinConf(dir, ports[0], ports[1]),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			return nil, err
		}
	}
	for _, folder := range []string{"run", "log"} {
		if err := os.Mkdir(filepath.Join(dir, folder), 0o700); err != nil {
			return nil, err
		}
	}
	s := &PushServer{
		Path:    pushPath,
		Publish: fmt.Sprintf("http://127.0.0.1:%d/publish", ports[1]),
		Broker: &Broker{
			Name: firstLine(ctx, "pushpin", "--version"),
			TCP:  mqttclient.Target{Scheme: "mqtt", Host: "127.0.0.1", Port: strconv.Itoa(ports[0])},
			WS:   mqttclient.Target{Scheme: "mqtt", Host: "127.0.0.1", Port: strconv.Itoa(ports[1])},
		},
	}
	return s, s.begin(ctx, exec.Command("pushpin", "--config", filepath.Join(dir, "pushpin.conf"))) //nolint:gosec,noctx // stopped by Stop, with SIGTERM
}

func pushpinConf(dir string, port, publish int) []byte {
	return fmt.Appendf(nil, `[global]
include=%[1]s/internal.conf
rundir=%[1]s/run
ipc_prefix=bench-
port_offset=0
[runner]
services=condure,zurl,pushpin-proxy,pushpin-handler
http_port=127.0.0.1:%[2]d
logdir=%[1]s/log
log_level=1
client_buffer_size=8192
client_maxconn=50000
condure_bin=condure
zurl_bin=zurl
[proxy]
routesfile=%[1]s/routes
sig_iss=pushpin
sig_key=changeme
updates_check=off
[handler]
push_in_http_addr=127.0.0.1
push_in_http_port=%[3]d
push_in_http_max_headers_size=10000
push_in_http_max_body_size=1000000
message_rate=1000000
message_hwm=1000000
message_wait=5000
connection_subscription_max=20
`, dir, port, publish)
}

func firstLine(ctx context.Context, program string, args ...string) string {
	out, _ := exec.CommandContext(ctx, program, args...).Output() //nolint:gosec // one of the programs that are compared
	line, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(line)
}

// begin starts the server and waits until the origin answers through it: pushpin listens some time
// before its processes have found one another, and a connection that comes in between hangs.
func (s *PushServer) begin(ctx context.Context, cmd *exec.Cmd) error {
	if err := s.start(ctx, -1, cmd); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		try, done := context.WithTimeout(ctx, time.Second)
		c, err := dialPush(try, s.TCP.Address(), s.Path, "", 512)
		done()
		if err == nil {
			return c.Close()
		}
		if ctx.Err() != nil {
			_ = s.Stop()
			return fmt.Errorf("%s does not reach the origin: %w\n%s", s.Name, err, s.output)
		}
		<-tick.C
	}
}

// Stop ends the server and what it has started.
func (s *PushServer) Stop() error {
	own := children(s.PID)
	err := s.Broker.Stop()
	for _, pid := range own {
		if _, gone := readUsage(pid); gone != nil {
			continue // as it should be; but a parent that had to be killed leaves them
		}
		if p, found := os.FindProcess(pid); found == nil {
			_ = p.Kill()
		}
	}
	return err
}
