// Package bench loads an MQTT broker and measures it: any broker, over TCP, TLS or
// WebSocket. It is a library; the command line prints what it finds.
//
// The generator has to cost far less than what it measures. So a message is a prebuilt
// packet with a number stamped into it, many go out in one write, what comes back is
// looked at in the read buffer without decoding, and nothing is allocated for a
// message. Every payload begins with publisher, number and time: so losses, reorders and
// duplicates are counted for each pair of publisher and subscriber, and said, whatever
// the speed.
//
// Two kinds of load: a closed loop, in which each publisher keeps at most Window messages
// on their way (sent and not yet acknowledged and delivered), measures what a
// broker can do; an open loop at a fixed Rate measures latency from the moment
// at which each message was due, so that a stall of the broker counts for every message that it
// held up (no coordinated omission).
package bench

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// Scenario names what is measured.
type Scenario string

// The scenarios.
const (
	Throughput  Scenario = "throughput"  // one publisher, one subscriber, one topic
	FanOut      Scenario = "fanout"      // one publisher, Subscribers subscribers
	FanIn       Scenario = "fanin"       // Publishers publishers, one subscriber
	Pairs       Scenario = "pairs"       // Publishers pairs, each with its own topic
	Latency     Scenario = "latency"     // throughput in an open loop at Rate
	Subs        Scenario = "subs"        // throughput beside Count other topic filters
	Connections Scenario = "connections" // Count idle connections
	Request     Scenario = "request"     // publish and await the answer, Inflight at a time
	Retained    Scenario = "retained"    // Count retained messages, then one subscription to all
	Offline     Scenario = "offline"     // Count messages queued for a session while it is away
)

// ErrConfig says that a Config makes no sense.
var ErrConfig = errors.New("cannot run this")

// Config is one run. Zero values are replaced as the fields say.
type Config struct {
	Scenario Scenario
	Target   mqttclient.Target
	TLS      *tls.Config
	Version  mqttclient.Version // 0: V311; request always uses V5
	Username *string
	Password []byte

	Duration    time.Duration // of the load; 0 is 3 s; unused if Messages is set
	Messages    int           // messages per publisher instead of a Duration
	PayloadSize int           // bytes, at least 20; 0 is 128
	QoS         byte          // of messages and subscriptions
	Publishers  int           // 0 is 1, in fanin and pairs 50
	Subscribers int           // 0 is 1, in fanout 200
	Window      int           // messages on their way per publisher; 0 is 1000, with many clients 100
	Rate        float64       // messages per second of all publishers together; 0 is a closed loop, in latency 2000
	Count       int           // connections, filters, retained or queued messages; 0 is 5000, 50000, 20000, 20000
	Inflight    int           // requests on their way; 0 is 1
	// Topic and ResponseTopic of the requests. Empty: the generator answers them itself from another connection.
	Topic, ResponseTopic string

	PID    int   // the broker's process, on this machine; 0: its CPU time and memory are not read
	beside []int // processes that count with it
	// Progress, if set, is told twice a second how far the run is.
	Progress func(Progress)
}

// Progress is how far a run has come.
type Progress struct {
	Elapsed        time.Duration
	Sent, Received uint64
}

// stallAfter is how long nothing must happen before messages on their way count as lost.
const stallAfter = time.Second

// quietAfter is how long nothing must arrive, once all is sent, before what is missing
// counts as lost.
const quietAfter = 3 * time.Second

// maxWindow keeps the packet identifiers on their way apart: there are 65,535.
const maxWindow = 32000

// defaults fills in zero values and refuses what cannot be run.
func (c *Config) defaults() error {
	pick := func(v *int, def int) {
		if *v <= 0 {
			*v = def
		}
	}
	publishers, subscribers, window, count := 1, 1, 1000, 0
	switch c.Scenario {
	case Throughput, Retained, Offline, Request, Subs, Connections:
		count = map[Scenario]int{Subs: 50000, Connections: 5000, Retained: 20000, Offline: 20000}[c.Scenario]
	case FanOut:
		subscribers, window = 200, 100
	case FanIn, Pairs:
		publishers, window = 50, 100
	case Latency:
		if c.Rate <= 0 {
			c.Rate = 2000
		}
	default:
		return fmt.Errorf("%w: there is no scenario %q", ErrConfig, c.Scenario)
	}
	if c.Duration <= 0 {
		c.Duration = 3 * time.Second
	}
	if c.Version == 0 {
		c.Version = mqttclient.V311
	}
	pick(&c.PayloadSize, 128)
	pick(&c.Publishers, publishers)
	pick(&c.Subscribers, subscribers)
	pick(&c.Window, window)
	pick(&c.Count, count)
	pick(&c.Inflight, 1)
	if c.Scenario == Pairs {
		c.Subscribers = c.Publishers
	}
	return c.check()
}

func (c *Config) check() error {
	switch {
	case c.QoS > 2:
		return fmt.Errorf("%w: QoS %d does not exist", ErrConfig, c.QoS)
	case c.PayloadSize < stampSize:
		return fmt.Errorf("%w: a payload needs at least %d bytes for its number and time", ErrConfig, stampSize)
	case c.Window > maxWindow:
		return fmt.Errorf("%w: a window of more than %d messages would use packet identifiers twice", ErrConfig, maxWindow)
	case c.Scenario == Offline && c.QoS == 0:
		return fmt.Errorf("%w: a broker may drop QoS 0 messages for an absent client; use QoS 1 or 2", ErrConfig)
	case c.Topic != "" && c.Scenario != Request:
		return fmt.Errorf("%w: only request takes a topic", ErrConfig)
	}
	return nil
}
