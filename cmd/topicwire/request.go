package main

import (
	"context"
	"errors"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// RequestCmd publishes a request and prints the answer, as mosquitto_rr does.
type RequestCmd struct {
	clientFlags
	receiveFlags
	Topic     string  `short:"t" placeholder:"TOPIC" help:"Topic of the request."`
	Response  string  `short:"e" name:"response-topic" placeholder:"TOPIC" help:"Topic of the answer; with MQTT 5 one is invented if you give none."`
	Message   *string `short:"m" placeholder:"TEXT" help:"The request."`
	File      string  `short:"f" placeholder:"FILE" help:"Send the content of a file as the request."`
	StdinFile bool    `short:"s" help:"Send standard input as the request."`
	Null      bool    `short:"n" name:"null-message" help:"Send an empty request."`
	Retain    bool    `short:"r" help:"Have the request retained."`
}

// Help is the example that --help shows.
func (*RequestCmd) Help() string {
	return `Examples:
  topicwire request -t hello/ada -m '{"n":1}'
  topicwire request -t hello/ada -e hello/ada/reply -m '{"n":1}' -W 5 --json

` + formatHelp + `

The exit status is 0 after the answer, 27 when -W has passed without one, the server's reason
code when it refuses the connection, and 1 otherwise.`
}

// Run publishes the request with a Response Topic and prints the answer.
func (c *RequestCmd) Run(ctx context.Context, s *Streams) error {
	o, err := c.options(mqttclient.V5, s)
	if err != nil {
		return err
	}
	if c.Topic == "" {
		c.Topic = o.Target.Topic
	}
	asPub := PubCmd{
		clientFlags: c.clientFlags, Topic: c.Topic, Message: c.Message, File: c.File,
		StdinFile: c.StdinFile, Null: c.Null, Retain: c.Retain, Repeat: 1,
	}
	m, err := asPub.message(s)
	if err != nil {
		return err
	}
	if err := c.Properties.apply("publish", &m.Props); err != nil {
		return err
	}
	if c.Response != "" {
		m.Props.ResponseTopic = c.Response
	}
	if m.Props.ResponseTopic == "" && o.Version != mqttclient.V5 {
		return usageError("MQTT 3.1.1 carries no response topic: say where the answer will come with -e TOPIC, or use -V mqttv5")
	}
	out, err := c.printer(s.Out)
	if err != nil {
		return err
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	err = c.ask(ctx, o, m, out)
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if errors.Is(err, errTimedOut) && !c.Quiet {
		return exitError{code: exitTimeout, msg: "topicwire: timed out: no answer on " + m.Props.ResponseTopic}
	}
	return c.fail(o.Target, err)
}

func (c *RequestCmd) ask(ctx context.Context, o mqttclient.Options, m *mqttclient.Publish, out *printer) error {
	client, err := c.open(ctx, o)
	if err != nil {
		return err
	}
	answer, err := client.Request(ctx, m)
	if err == nil {
		err = out.message(answer)
	}
	_ = client.Disconnect(context.WithoutCancel(ctx), nil)
	return err
}
