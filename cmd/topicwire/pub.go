package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
	"github.com/topicwire/topicwire/message"
)

// PubCmd publishes, as mosquitto_pub does.
type PubCmd struct {
	clientFlags
	Topic       string  `short:"t" placeholder:"TOPIC" help:"Topic to publish to."`
	Message     *string `short:"m" placeholder:"TEXT" help:"The message."`
	File        string  `short:"f" placeholder:"FILE" help:"Send the content of a file as the message."`
	StdinLines  bool    `short:"l" name:"stdin-line" help:"Send each line of standard input as a message."`
	StdinFile   bool    `short:"s" help:"Send standard input as the message."`
	Null        bool    `short:"n" name:"null-message" help:"Send an empty message."`
	Retain      bool    `short:"r" help:"Have the message retained."`
	Repeat      int     `default:"1" placeholder:"N" help:"Send the message that many times (${default})."`
	RepeatDelay float64 `placeholder:"SECONDS" help:"Wait between two of them."`
}

// Help is the example that --help shows.
func (*PubCmd) Help() string {
	return `Examples:
  topicwire pub -t hello/ada -m '{"n":1}'
  topicwire pub -L ws://localhost:8080/mqtt -t hello/ada -m '{"n":1}' -q 1
  tail -f sensor.log | topicwire pub -t sensors/1 -l -q 1
  topicwire pub -t hello/ada -m hi -D publish response-topic ada/answers

The exit status is 0 when the server has taken over every message, the server's reason code
when it refuses the connection, and 1 otherwise.`
}

// Run publishes and waits until the server has taken over what was published.
func (c *PubCmd) Run(ctx context.Context, s *Streams) error {
	o, err := c.options(mqttclient.V311, s)
	if err != nil {
		return err
	}
	if c.Topic == "" {
		c.Topic = o.Target.Topic
	}
	m, err := c.message(s)
	if err != nil {
		return err
	}
	if err := c.Properties.apply("publish", &m.Props); err != nil {
		return err
	}
	client, err := c.open(ctx, o)
	if err != nil {
		return c.fail(o.Target, err)
	}
	p := &publishing{client: client, pending: make(chan *mqttclient.Token, 1000), failed: make(chan error, 1)}
	go p.await(ctx)
	if c.StdinLines {
		err = p.lines(ctx, s.In, m)
	} else {
		err = p.repeat(ctx, m, c.Repeat, time.Duration(c.RepeatDelay*float64(time.Second)))
	}
	close(p.pending)
	if refused := <-p.failed; err == nil {
		err = refused
	}
	bye := &mqttclient.Disconnect{}
	if e := c.Properties.apply("disconnect", &bye.Props); err == nil {
		err = e
	}
	if e := client.Disconnect(ctx, bye); err == nil {
		err = e
	}
	if ctx.Err() != nil {
		return exitError{code: exitInterrupted} // not everything was sent
	}
	return c.fail(o.Target, err)
}

// open connects within the time that a person waits for it.
func (f *clientFlags) open(ctx context.Context, o mqttclient.Options) (*mqttclient.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, connectWithin)
	defer cancel()
	return mqttclient.Open(ctx, o)
}

// message is what the flags say to send; its payload is empty with -l.
func (c *PubCmd) message(s *Streams) (*mqttclient.Publish, error) {
	p := &mqttclient.Publish{Topic: c.Topic, QoS: c.QoS, Retain: c.Retain}
	given := digit(c.Message != nil) + digit(c.File != "") + digit(c.StdinLines) + digit(c.StdinFile) + digit(c.Null)
	if c.Topic == "" {
		return nil, usageError("no topic to publish to: give -t TOPIC")
	}
	if err := message.ValidateTopic(c.Topic); err != nil {
		return nil, usageError("-t: %v", err)
	}
	if given != 1 {
		return nil, usageError("say what to send with one of -m TEXT, -f FILE, -l, -s or -n")
	}
	if c.Repeat < 1 || c.RepeatDelay < 0 {
		return nil, usageError("--repeat is at least 1, --repeat-delay at least 0")
	}
	var err error
	switch {
	case c.Message != nil:
		p.Payload = []byte(*c.Message)
	case c.File != "":
		p.Payload, err = os.ReadFile(c.File)
	case c.StdinFile:
		p.Payload, err = io.ReadAll(s.In)
	}
	if err != nil {
		return nil, usageError("cannot read the message: %v", err)
	}
	return p, nil
}

// publishing sends without waiting for each answer; await looks at them.
type publishing struct {
	client  *mqttclient.Client
	pending chan *mqttclient.Token
	failed  chan error // the first refusal, or nil, once pending is closed and empty
}

func (p *publishing) await(ctx context.Context) {
	var first error
	for t := range p.pending {
		if _, err := t.Wait(ctx); err != nil && first == nil {
			first = err
		}
	}
	p.failed <- first
}

func (p *publishing) send(ctx context.Context, m mqttclient.Publish) error {
	t, err := p.client.PublishAsync(ctx, &m)
	if err != nil {
		return err
	}
	p.pending <- t
	return nil
}

func (p *publishing) repeat(ctx context.Context, m *mqttclient.Publish, n int, delay time.Duration) error {
	for i := range n {
		if i > 0 && delay > 0 {
			select {
			case <-time.After(delay):
			case <-p.client.Done():
				return p.client.Err()
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if err := p.send(ctx, *m); err != nil {
			return err
		}
	}
	return nil
}

// lines sends each line of r; the last needs no line end. Reading cannot be interrupted,
// so it goes on in a goroutine that the program's end takes with it.
func (p *publishing) lines(ctx context.Context, r io.Reader, m *mqttclient.Publish) error {
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 64)
	quit := make(chan struct{})
	defer close(quit)
	go func() {
		defer close(read)
		in := bufio.NewReaderSize(r, 64<<10)
		for {
			text, err := in.ReadBytes('\n')
			if n := len(text); n > 0 && text[n-1] == '\n' {
				text = text[:n-1]
			} else if n == 0 && err != nil {
				text = nil
			}
			select {
			case read <- line{text, err}:
			case <-quit:
				return
			}
			if err != nil {
				return
			}
		}
	}()
	for {
		select {
		case l := <-read:
			if l.err == nil || len(l.text) > 0 {
				m.Payload = l.text
				if err := p.send(ctx, *m); err != nil {
					return err
				}
			}
			if errors.Is(l.err, io.EOF) {
				return nil
			}
			if l.err != nil {
				return fmt.Errorf("read standard input: %w", l.err)
			}
		case <-p.client.Done():
			return p.client.Err()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
