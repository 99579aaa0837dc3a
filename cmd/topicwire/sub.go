package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
	"github.com/topicwire/topicwire/message"
)

// receiveFlags say how received messages are printed; sub and request share them.
type receiveFlags struct {
	Timeout   float64 `short:"W" placeholder:"SECONDS" help:"Give up after that long."`
	Verbose   bool    `short:"v" help:"Print the topic before the payload."`
	NoNewline bool    `short:"N" name:"no-eol" help:"Print no line end after a payload."`
	Format    string  `short:"F" placeholder:"FORMAT" help:"Print each message so: %t topic, %p payload, %x hex, %q QoS, %r retain, %l length, %I time, %U seconds, %j and %J JSON; see below."`
	JSON      bool    `name:"json" xor:"out" help:"Print each message as one line of JSON."`
}

// SubCmd subscribes, as mosquitto_sub does.
type SubCmd struct {
	clientFlags
	receiveFlags
	Topics         []string `short:"t" name:"topic" sep:"none" placeholder:"FILTER" help:"Topic filter to subscribe to; may be repeated."`
	Unsubscribe    []string `short:"U" sep:"none" placeholder:"FILTER" help:"Topic filter to unsubscribe from, in a session that was kept; may be repeated."`
	FilterOut      []string `short:"T" sep:"none" placeholder:"FILTER" help:"Do not print messages that match; may be repeated."`
	Count          int      `short:"C" placeholder:"N" help:"End after that many messages."`
	NoRetained     bool     `short:"R" name:"no-retain" help:"Do not print messages that were retained."`
	RetainedOnly   bool     `help:"Print only retained messages, and end with the first other one."`
	ExitSubscribed bool     `short:"E" name:"exit-after-sub" help:"End when the subscriptions are acknowledged."`
}

// Help is the example that --help shows.
func (*SubCmd) Help() string {
	return `Examples:
  topicwire sub -t 'hello/#' -v
  topicwire sub -L ws://localhost:8080/mqtt -t 'hello/+/reply' --json
  topicwire sub -t sensors/1 -C 1 -W 5 -F '%I %t %p'

` + formatHelp + `

The exit status is 0 after -C messages or an interrupt, 27 when -W has passed, the server's
reason code when it refuses the connection, and 1 otherwise.`
}

// Run prints messages until it has enough.
func (c *SubCmd) Run(ctx context.Context, s *Streams) error {
	o, err := c.options(mqttclient.V311, s)
	if err != nil {
		return err
	}
	if len(c.Topics) == 0 && o.Target.Topic != "" {
		c.Topics = []string{o.Target.Topic}
	}
	if len(c.Topics) == 0 && len(c.Unsubscribe) == 0 {
		return usageError("no topic filter to subscribe to: give -t FILTER")
	}
	for _, t := range slices.Concat(c.Topics, c.Unsubscribe, c.FilterOut) {
		if err := message.ValidateFilter(t); err != nil {
			return usageError("%v", err)
		}
	}
	out, err := c.printer(s.Out)
	if err != nil {
		return err
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	err = c.run(ctx, o, out, s)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return c.fail(o.Target, err)
}

// limit ends the context when -W has passed.
func (f *receiveFlags) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	if f.Timeout <= 0 {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, time.Duration(f.Timeout*float64(time.Second)), errTimedOut)
}

// reconnectAfter is how long sub waits before it connects again.
const reconnectAfter = time.Second

// run connects, and again whenever the connection is lost later on.
func (c *SubCmd) run(ctx context.Context, o mqttclient.Options, out *printer, s *Streams) error {
	left := c.Count
	for first := true; ; first = false {
		client, err := c.open(ctx, o)
		if err == nil {
			err = c.receive(ctx, client, out, &left)
			if !errors.Is(err, mqttclient.ErrLost) {
				_ = client.Disconnect(context.WithoutCancel(ctx), nil)
				return err
			}
			_ = client.Close()
		} else if first {
			return err
		}
		if !c.Quiet {
			_, _ = fmt.Fprintf(s.Err, "topicwire: %s; connecting again in %v\n", explain(o.Target, err), reconnectAfter)
		}
		select {
		case <-time.After(reconnectAfter):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// errSeenAll ends receive when what was asked for has been printed.
var errSeenAll = errors.New("seen all")

func (c *SubCmd) receive(ctx context.Context, client *mqttclient.Client, out *printer, left *int) error {
	if err := c.subscribe(ctx, client); err != nil || c.ExitSubscribed {
		return err
	}
	for {
		m, err := client.Receive(ctx)
		if err != nil {
			return err
		}
		if err := c.message(m, out, left); err != nil {
			if errors.Is(err, errSeenAll) {
				return nil
			}
			return err
		}
	}
}

func (c *SubCmd) message(m *mqttclient.Publish, out *printer, left *int) error {
	if c.RetainedOnly && !m.Retain {
		return errSeenAll
	}
	if c.NoRetained && m.Retain || c.filteredOut(m.Topic) {
		return nil
	}
	if err := out.message(m); err != nil {
		return err
	}
	if *left--; *left == 0 {
		return errSeenAll
	}
	return nil
}

func (c *SubCmd) subscribe(ctx context.Context, client *mqttclient.Client) error {
	if len(c.Unsubscribe) > 0 {
		u := &mqttclient.Unsubscribe{Filters: c.Unsubscribe}
		if err := c.Properties.apply("unsubscribe", &u.Props); err != nil {
			return err
		}
		if _, err := client.Unsubscribe(ctx, u); err != nil {
			return err
		}
	}
	if len(c.Topics) == 0 {
		return nil
	}
	sub := &mqttclient.Subscribe{}
	if err := c.Properties.apply("subscribe", &sub.Props); err != nil {
		return err
	}
	for _, t := range c.Topics {
		sub.Subscriptions = append(sub.Subscriptions, mqttclient.Subscription{Filter: t, QoS: c.QoS})
	}
	_, err := client.Subscribe(ctx, sub)
	return err
}

func (c *SubCmd) filteredOut(topic string) bool {
	for _, f := range c.FilterOut {
		if message.Match(f, topic) {
			return true
		}
	}
	return false
}
