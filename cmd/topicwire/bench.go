package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/term"

	"github.com/topicwire/topicwire/internal/bench"
	"github.com/topicwire/topicwire/internal/mqttclient"
)

// BenchCmd is the load generator: one command a scenario.
type BenchCmd struct {
	Throughput  benchThroughput  `cmd:"" help:"One publisher, one subscriber, as fast as they go."`
	Fanout      benchFanout      `cmd:"" help:"One publisher, many subscribers."`
	Fanin       benchFanin       `cmd:"" help:"Many publishers, one subscriber."`
	Pairs       benchPairs       `cmd:"" help:"Many pairs of publisher and subscriber, each on its own topic."`
	Latency     benchLatency     `cmd:"" help:"From publish to delivery at a fixed rate; stalls count for all that they delay."`
	Connections benchConnections `cmd:"" help:"Open many connections and leave them idle."`
	Request     benchRequest     `cmd:"" help:"Publish requests and await the answers."`
	Subs        benchSubs        `cmd:"" help:"Throughput beside many topic filters that do not match."`
	Retained    benchRetained    `cmd:"" help:"Have many messages retained, then subscribe to all."`
	Offline     benchOffline     `cmd:"" help:"Queue many messages for a client that is away, then let it return."`
	Compare     benchCompare     `cmd:"" help:"Run topicwire and another broker side by side."`
	Push        benchPush        `cmd:"" help:"Run topicwire and pushpin side by side: plain WebSockets in front of an HTTP origin."`
	Echo        benchEcho        `cmd:"" hidden:"" help:"What compare measures in the broker's place."`
	Bridge      benchBridge      `cmd:"" hidden:"" help:"What compare puts beside another broker to call a function."`
}

// Help is the example that --help shows.
func (*BenchCmd) Help() string {
	return `Examples:
  topicwire bench throughput -q 1 --pid $(pidof topicwire)
  topicwire bench fanout -L ws://localhost:8080/mqtt --subscribers 500
  topicwire bench compare --markdown

The load goes to any MQTT broker. Every message is numbered: losses, reorders and duplicates are
counted and said. The exit status is 3 if there were any.`
}

// exitFaulty says that messages were lost, reordered or doubled.
const exitFaulty = 3

// benchFlags are what every scenario knows.
type benchFlags struct {
	URL      string        `short:"L" name:"url" placeholder:"URL" help:"Broker as a URL: mqtt://, mqtts://, ws:// or wss://HOST:PORT/PATH."`
	Host     string        `short:"h" default:"localhost" placeholder:"HOST" help:"Broker (${default})."`
	Port     int           `short:"p" placeholder:"PORT" help:"Port (1883)."`
	Version  string        `short:"V" name:"protocol-version" placeholder:"VERSION" help:"mqttv311 (the default) or mqttv5."`
	Username *string       `short:"u" placeholder:"USER" help:"User name."`
	Password *string       `short:"P" name:"pw" placeholder:"PASSWORD" help:"Password."`
	CAFile   string        `name:"cafile" placeholder:"FILE" help:"Trust the certificate authorities in this PEM file; turns TLS on."`
	Insecure bool          `help:"Do not check that the certificate is for this host."`
	Duration time.Duration `default:"3s" help:"How long (${default})."`
	PID      int           `name:"pid" placeholder:"PID" help:"Process of the broker on this machine: reads its CPU time and memory."`
	JSON     bool          `name:"json" help:"Print the result as one line of JSON."`
}

// benchLoad are the flags of scenarios that send messages.
type benchLoad struct {
	Messages    int  `placeholder:"N" help:"Send that many messages per publisher instead of --duration."`
	PayloadSize int  `default:"128" placeholder:"BYTES" help:"Bytes of payload (${default})."`
	QoS         byte `short:"q" name:"qos" default:"0" placeholder:"QOS" help:"QoS of messages and subscriptions (${default})."`
	Window      int  `placeholder:"N" help:"Messages on their way per publisher (1000; with many clients 100)."`
}

// run measures and prints.
func (f *benchFlags) run(ctx context.Context, s *Streams, l *benchLoad, cfg bench.Config) error {
	as := clientFlags{URL: f.URL, Host: f.Host, Port: f.Port, Version: f.Version, CAFile: f.CAFile, Insecure: f.Insecure}
	var err error
	if cfg.Version, err = as.version(mqttclient.V311); err != nil {
		return err
	}
	if cfg.Target, cfg.TLS, err = as.place(); err != nil {
		return err
	}
	cfg.Username = f.Username
	if f.Password != nil {
		cfg.Password = []byte(*f.Password)
	}
	cfg.Duration, cfg.PID = f.Duration, f.PID
	cfg.Messages, cfg.PayloadSize, cfg.QoS, cfg.Window = l.Messages, l.PayloadSize, l.QoS, l.Window
	done := func() {}
	if file, ok := s.Err.(*os.File); ok && term.IsTerminal(int(file.Fd())) {
		cfg.Progress, done = progress(s.Err)
	}
	r, err := bench.Run(ctx, cfg)
	done()
	switch {
	case errors.Is(err, context.Canceled):
		return exitError{code: exitInterrupted}
	case errors.Is(err, bench.ErrConfig):
		return exitError{code: 2, msg: "topicwire: " + err.Error()}
	case err != nil:
		return as.fail(cfg.Target, err)
	}
	if err := f.print(s.Out, r); err != nil {
		return err
	}
	if !r.OK() {
		return exitError{code: exitFaulty}
	}
	return nil
}

// place is the server and how to encrypt the way to it.
func (f *clientFlags) place() (mqttclient.Target, *tls.Config, error) {
	t, err := f.target()
	if err != nil {
		return t, nil, err
	}
	c, err := f.tlsConfig(&t)
	return t, c, err
}

func (f *benchFlags) print(w io.Writer, r *bench.Result) error {
	if f.JSON {
		return json.NewEncoder(w).Encode(r)
	}
	return r.Write(w)
}

// progress shows a live line on a terminal; done clears it.
func progress(w io.Writer) (show func(bench.Progress), done func()) {
	show = func(p bench.Progress) {
		_, _ = fmt.Fprintf(w, "\r\x1b[K%4.1f s  %d sent, %d received", p.Elapsed.Seconds(), p.Sent, p.Received)
	}
	return show, func() { _, _ = fmt.Fprint(w, "\r\x1b[K") }
}
