package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
	"github.com/topicwire/topicwire/internal/pushpin"
)

// StartPushpin starts Debian's pushpin with its files in dir, on free ports of loopback, with its limits
// raised, since as it is shipped it drops what is more than 2,500 messages a second. An error wraps
// ErrNoBroker when it is not installed.
func StartPushpin(ctx context.Context, dir, origin string) (*PushServer, error) {
	ports, err := freePorts(2)
	if err != nil {
		return nil, err
	}
	cmd, err := pushpin.Command(pushpin.Config{
		Dir: dir, Origin: origin, Clients: ports[0], Publish: ports[1],
		MaxConnections: 50_000, MessageRate: 1_000_000, MessageHWM: 1_000_000,
	})
	if errors.Is(err, pushpin.ErrMissing) {
		return nil, fmt.Errorf("%w: %w", ErrNoBroker, err)
	} else if err != nil {
		return nil, err
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
	return s, s.begin(ctx, cmd)
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
