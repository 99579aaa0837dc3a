package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/topicwire/topicwire/internal/app"
	"github.com/topicwire/topicwire/internal/config"
	"github.com/topicwire/topicwire/message"
)

// MessageFlags describe one message on the command line.
type MessageFlags struct {
	Topic           *string  `placeholder:"T" help:"Topic the message was published to, a Basic Ingest prefix included. Without it, any FROM matches."`
	ClientID        *string  `name:"client-id" placeholder:"C" help:"MQTT client identifier of the publisher. Without it, the message did not come over MQTT."`
	Principal       string   `placeholder:"P" help:"What the publisher authenticated as."`
	SourceIP        string   `name:"source-ip" placeholder:"IP" help:"Network address of the publisher."`
	UserProperty    []string `sep:"none" placeholder:"K=V" help:"MQTT 5 user property; may be repeated."`
	ContentType     string   `placeholder:"S" help:"MQTT 5 content type."`
	ResponseTopic   string   `placeholder:"S" help:"MQTT 5 response topic."`
	CorrelationData *string  `placeholder:"TEXT" help:"MQTT 5 correlation data."`
	PayloadFormat   string   `enum:"utf8,bytes,unset" default:"unset" placeholder:"utf8|bytes" help:"MQTT 5 payload format indicator."`
	Payload         *string  `xor:"payload" placeholder:"TEXT" help:"Payload of the message."`
	PayloadFile     *string  `xor:"payload" placeholder:"FILE" help:"File that holds the payload; - for standard input."`
}

// message builds the message that the flags describe.
func (c *MessageFlags) message(stdin io.Reader) (*message.Message, error) {
	m := &message.Message{
		From:     message.Origin{Principal: c.Principal, Via: message.ViaHTTP},
		Props:    message.Properties{ContentType: c.ContentType, ResponseTopic: c.ResponseTopic},
		Received: time.Now(),
	}
	if c.Topic != nil {
		m.Topic = *c.Topic
	}
	if c.ClientID != nil {
		m.From.ClientID, m.From.Via = *c.ClientID, message.ViaMQTT
	}
	if c.SourceIP != "" {
		addr, err := netip.ParseAddr(c.SourceIP)
		if err != nil {
			return nil, fmt.Errorf("--source-ip: %w", err)
		}
		m.From.Addr = netip.AddrPortFrom(addr, 0)
	}
	if c.CorrelationData != nil {
		m.Props.Correlation = []byte(*c.CorrelationData)
	}
	switch c.PayloadFormat {
	case "utf8":
		m.Props.Format = message.FormatUTF8
	case "bytes":
		m.Props.Format = message.FormatBytes
	}
	for _, p := range c.UserProperty {
		k, v, ok := strings.Cut(p, "=")
		if !ok {
			return nil, fmt.Errorf("--user-property %q: expected KEY=VALUE", p)
		}
		m.Props.User = append(m.Props.User, message.UserProperty{Key: k, Value: v})
	}
	var err error
	m.Payload, err = c.payload(stdin)
	return m, err
}

// payload reads the payload from where the flags say.
func (c *MessageFlags) payload(stdin io.Reader) ([]byte, error) {
	switch {
	case c.Payload != nil:
		return []byte(*c.Payload), nil
	case c.PayloadFile == nil:
		return nil, errors.New("give --payload or --payload-file")
	case *c.PayloadFile == "-":
		return io.ReadAll(stdin)
	}
	return os.ReadFile(*c.PayloadFile)
}

// offlineEnv is the world around a statement on the command line: a clock and nothing
// that could be called.
type offlineEnv struct {
	command     string           // what it is for, in errors
	now         time.Time        // the clock's if zero
	descriptors *app.Descriptors // of the configuration; nil without one
}

// envOf is the world around the rules of a configuration.
func envOf(cfg *config.Config, command string) offlineEnv {
	e := offlineEnv{command: command, descriptors: new(app.Descriptors)}
	e.descriptors.Load(cfg)
	return e
}

// Now is the time given, or the clock's.
func (e offlineEnv) Now() time.Time {
	if e.now.IsZero() {
		return time.Now()
	}
	return e.now
}

// AccountID stands for the account, as local emulators of AWS have it.
func (offlineEnv) AccountID() string { return "000000000000" }

// Invoke says why aws_lambda() fails here.
func (e offlineEnv) Invoke(context.Context, string, []byte) ([]byte, error) {
	return nil, fmt.Errorf("%s calls no functions", e.command)
}

// Descriptors reads a FileDescriptorSet as the server would or, without a configuration,
// from the local file BUCKET/KEY.
func (e offlineEnv) Descriptors(ctx context.Context, bucket, key string) ([]byte, error) {
	if e.descriptors != nil {
		return e.descriptors.Find(ctx, bucket, key)
	}
	return os.ReadFile(strings.TrimSuffix(bucket, "/") + "/" + key)
}
