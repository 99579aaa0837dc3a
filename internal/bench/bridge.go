package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// RequestTopic is where the requests of a comparison go.
const RequestTopic = "bench/request"

// StartFunction starts a broker together with what calls an HTTP function, by its URL,
// with every message to RequestTopic, and sends the answer to the Response Topic.
type StartFunction func(ctx context.Context, dir string, core int, url string) (*Broker, error)

// StartTopicwireFunction starts the given topicwire program with one rule and one
// function: nothing else is needed.
func StartTopicwireFunction(ctx context.Context, program, dir string, core int, url string) (*Broker, error) {
	return startTopicwire(ctx, program, dir, core, fmt.Sprintf(`functions:
  echo: {http: %q, concurrency: 64}
rules:
  bench:
    sql: SELECT * FROM '%s'
    actions: [{lambda: {function: echo}}]
`, url, RequestTopic))
}

// StartMosquittoBridge starts mosquitto and, beside it on the same core, a bridge as one
// would write it: a process of its own, which is this program with the arguments of
// bridge, that takes messages over MQTT, calls the function and publishes the answer.
func StartMosquittoBridge(ctx context.Context, program, dir string, core int, url string) (*Broker, error) {
	b, err := StartMosquitto(ctx, dir, core)
	if err != nil {
		return nil, err
	}
	b.Name += " and a bridge"
	b.bridge = &Broker{Name: "the bridge"}
	cmd := exec.Command(program, "bench", "bridge", "-L", b.TCP.String(), "--function", url) //nolint:gosec,noctx // stopped by Stop, with SIGTERM
	if err = b.bridge.launch(core, cmd); err == nil {
		err = b.bridge.awaitOutput(ctx, bridgeReady)
	}
	if err != nil {
		_ = b.Stop()
		return nil, err
	}
	return b, nil
}

// bridgeReady is what Bridge says when it takes messages.
const bridgeReady = "bridge ready"

// awaitOutput waits until the process has printed text.
func (b *Broker) awaitOutput(ctx context.Context, text string) error {
	ctx, cancel := context.WithTimeout(ctx, startWithin)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !strings.Contains(b.output.String(), text) {
		select {
		case <-tick.C:
		case <-b.exited:
			return fmt.Errorf("%s ended at once (%w):\n%s", b.Name, b.err, b.output)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready: %w\n%s", b.Name, ctx.Err(), b.output)
		}
	}
	return nil
}

// Bridge is what topicwire is compared to: a client of any broker that POSTs each
// message to a URL and publishes the answer, at QoS 1, with up to 64 calls at a time.
// It returns when ctx ends.
func Bridge(ctx context.Context, target mqttclient.Target, url string, out io.Writer) error {
	c, err := mqttclient.Open(ctx, mqttclient.Options{Target: target, Inflight: 1000, ClientID: "bridge"})
	if err != nil {
		return err
	}
	defer func() { _ = c.Close() }()
	if err := c.SubscribeTo(ctx, 1, RequestTopic); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out, bridgeReady); err != nil {
		return err
	}
	transport := &http.Transport{MaxIdleConns: 64, MaxIdleConnsPerHost: 64}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport}
	g, calls := errgroup.WithContext(ctx)
	g.SetLimit(64)
	for {
		m, err := c.Receive(ctx)
		if err != nil {
			waited := g.Wait()
			if ctx.Err() != nil {
				return nil // it was told to end
			}
			return errors.Join(err, waited)
		}
		g.Go(func() error { return bridged(calls, c, client, url, m) })
	}
}

// bridged calls the function with one message and publishes the answer.
func bridged(ctx context.Context, c *mqttclient.Client, client *http.Client, url string, m *mqttclient.Publish) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(m.Payload))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close() //nolint:errcheck // it was read
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	_, err = c.PublishAsync(ctx, &mqttclient.Publish{
		Topic: m.Props.ResponseTopic, Payload: answer, QoS: 1,
		Props: mqttclient.Properties{CorrelationData: m.Props.CorrelationData},
	})
	return err
}

// echoFunction serves an HTTP function that gives back what it gets, in this process,
// and returns its URL. It shares a core with the generator, so it does no more than it
// must: net/http's server would be the slowest part of the whole path.
func echoFunction(ctx context.Context) (url string, stop func(), err error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	var wg sync.WaitGroup
	ctx, cancel := context.WithCancel(ctx)
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return // closed
			}
			wg.Go(func() {
				defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
				defer conn.Close() //nolint:errcheck // it is over
				echoRequests(conn)
			})
		}
	})
	return "http://" + l.Addr().String() + "/", func() {
		cancel()
		_ = l.Close()
		wg.Wait()
	}, nil
}

// echoRequests answers the requests of one connection until it ends.
func echoRequests(conn net.Conn) {
	r := bufio.NewReader(conn)
	var body, out []byte
	for {
		req, err := http.ReadRequest(r)
		if err != nil || req.ContentLength < 0 || req.ContentLength > 1<<20 {
			return
		}
		body = slices.Grow(body[:0], int(req.ContentLength))[:req.ContentLength]
		if _, err := io.ReadFull(req.Body, body); err != nil {
			return
		}
		out = fmt.Appendf(out[:0], "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n", len(body))
		if _, err := conn.Write(append(out, body...)); err != nil {
			return
		}
	}
}
