package bench

import (
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// echoReady is what Echo says, with its address after it, when it takes connections.
const echoReady = "echo ready on "

// Echo listens on a free port of loopback and gives back what it reads, until ctx ends. It is
// what a broker cannot be faster than: two changes of process and nothing else.
func Echo(ctx context.Context, out io.Writer) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	if _, err := fmt.Fprintln(out, echoReady+l.Addr().String()); err != nil {
		return err
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil // it was told to end
			}
			return err
		}
		wg.Go(func() {
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			defer conn.Close()                                                   //nolint:errcheck // it is over
			_, _ = io.Copy(struct{ io.Writer }{conn}, struct{ io.Reader }{conn}) // plain: no splice
		})
	}
}

// StartEcho starts the given program with the arguments of its echo, pinned to core.
func StartEcho(ctx context.Context, program string, core int) (*Broker, error) {
	b := &Broker{Name: "the echo"}
	err := b.launch(core, exec.Command(program, "bench", "echo")) //nolint:noctx // stopped by Stop, with SIGTERM
	if err == nil {
		err = b.awaitOutput(ctx, echoReady)
	}
	if err != nil {
		_ = b.Stop()
		return nil, err
	}
	_, address, _ := strings.Cut(strings.TrimSpace(b.output.String()), echoReady)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		_ = b.Stop()
		return nil, fmt.Errorf("the echo said %q: %w", address, err)
	}
	b.TCP = mqttclient.Target{Scheme: "mqtt", Host: host, Port: port}
	return b, nil
}

// The floor is the median of so many round trips, after some to warm up.
const (
	floorTrips  = 5000
	floorWarmUp = 500
)

// roundTrips is the median time in µs that payload bytes take to an echo and back, one at a time.
func roundTrips(ctx context.Context, address string, payload int) (float64, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return 0, err
	}
	defer conn.Close() //nolint:errcheck // nothing is lost
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	_ = conn.SetDeadline(time.Now().Add(answerWithin))
	latency, b := newHistogram(), make([]byte, payload)
	for i := range floorWarmUp + floorTrips {
		sent := time.Now()
		if _, err := conn.Write(b); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(conn, b); err != nil {
			return 0, err
		}
		if i >= floorWarmUp {
			_ = latency.RecordValue(time.Since(sent).Nanoseconds())
		}
	}
	return quanta(latency).P50, nil
}

// measureFloor adds one measurement of the floor, if there is an echo.
func (c *Comparison) measureFloor(ctx context.Context, config *CompareConfig, core int) error {
	if config.Echo == nil {
		return nil
	}
	b, err := config.Echo(ctx, core)
	if err != nil {
		return err
	}
	p50, err := roundTrips(ctx, b.TCP.Address(), echoPayload)
	if stopped := b.Stop(); err == nil {
		err = stopped
	}
	c.Floor = append(c.Floor, p50)
	return err
}
