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

	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules"
	"github.com/topicwire/topicwire/rules/sql"
)

// RulesEvalCmd runs one statement or template over one message and prints what comes
// out, byte for byte. It exits with 0 if the message matched, 1 if it did not, and 2
// if the statement or template is refused.
type RulesEvalCmd struct {
	Version         string   `default:"2016-03-23" placeholder:"V" help:"Version of AWS IoT SQL: 2016-03-23, 2015-10-08 or beta."`
	Topic           *string  `placeholder:"T" help:"Topic the message was published to, a Basic Ingest prefix included. Without it, any FROM matches."`
	ClientID        *string  `name:"client-id" placeholder:"C" help:"MQTT client identifier of the publisher. Without it, the message did not come over MQTT."`
	Principal       string   `placeholder:"P" help:"What the publisher authenticated as."`
	SourceIP        string   `name:"source-ip" placeholder:"IP" help:"Network address of the publisher."`
	Rule            string   `placeholder:"NAME" help:"Name of the rule. A Basic Ingest topic must name it."`
	UserProperty    []string `sep:"none" placeholder:"K=V" help:"MQTT 5 user property; may be repeated."`
	ContentType     string   `placeholder:"S" help:"MQTT 5 content type."`
	ResponseTopic   string   `placeholder:"S" help:"MQTT 5 response topic."`
	CorrelationData *string  `placeholder:"TEXT" help:"MQTT 5 correlation data."`
	PayloadFormat   string   `enum:"utf8,bytes,unset" default:"unset" placeholder:"utf8|bytes" help:"MQTT 5 payload format indicator."`
	Payload         *string  `xor:"payload" required:"" placeholder:"TEXT" help:"Payload of the message."`
	PayloadFile     *string  `xor:"payload" required:"" placeholder:"FILE" help:"File that holds the payload; - for standard input."`
	Template        *string  `placeholder:"TEMPLATE" help:"Substitution template to fill in, instead of a statement."`
	SQL             *string  `arg:"" optional:"" name:"sql" help:"Statement to run."`
}

// Help shows the command at work.
func (*RulesEvalCmd) Help() string {
	return `Example:
  topicwire rules eval --topic plant/7/data --payload '{"t":31}' "SELECT t, topic(2) AS site FROM 'plant/+/data' WHERE t > 30"`
}

// The exit statuses of rules eval beside 0.
const (
	evalNoMatch = 1
	evalRefused = 2
)

// Run evaluates. Warnings about the statement go to standard error.
func (c *RulesEvalCmd) Run(ctx context.Context, s *Streams) error {
	m, err := c.message(s.In)
	if err != nil {
		return exitError{evalRefused, "topicwire: " + err.Error()}
	}
	var out []byte
	var warnings []*sql.Error
	switch {
	case c.Template != nil && c.SQL != nil:
		err = exitError{evalRefused, "topicwire: give a statement or --template, not both"}
	case c.Template != nil:
		out, warnings, err = c.render(ctx, m)
	case c.SQL != nil:
		out, warnings, err = c.evaluate(ctx, m)
	default:
		err = exitError{evalRefused, "topicwire: give a statement, or a template with --template"}
	}
	for _, w := range warnings {
		fmt.Fprintf(s.Err, "warning: %v\n", w)
	}
	if err != nil {
		return err
	}
	_, err = s.Out.Write(out)
	return err
}

// render fills the template in.
func (c *RulesEvalCmd) render(ctx context.Context, m *message.Message) ([]byte, []*sql.Error, error) {
	t, err := sql.CompileTemplate(*c.Template, sql.Version(c.Version), nil)
	if err != nil {
		return nil, nil, refused(err)
	}
	in := sql.NewInput(m, evalEnv{})
	defer in.Release()
	out, err := t.Render(ctx, in)
	if err != nil {
		return nil, t.Warnings(), exitError{evalNoMatch, "topicwire: " + err.Error()}
	}
	return []byte(out), t.Warnings(), nil
}

// evaluate runs the statement if the topic is one of the rule's.
func (c *RulesEvalCmd) evaluate(ctx context.Context, m *message.Message) ([]byte, []*sql.Error, error) {
	p, err := sql.Compile(*c.SQL, sql.Version(c.Version))
	if err != nil {
		return nil, nil, refused(err)
	}
	if c.Topic != nil && !takes(p, c.Rule, *c.Topic) {
		return nil, p.Warnings(), exitError{code: evalNoMatch}
	}
	in := sql.NewInput(m, evalEnv{})
	defer in.Release()
	out, matched, err := p.Run(ctx, in)
	switch {
	case err != nil:
		return nil, p.Warnings(), exitError{evalNoMatch, "topicwire: " + err.Error()}
	case !matched:
		return nil, p.Warnings(), exitError{code: evalNoMatch}
	}
	return append([]byte(nil), out...), p.Warnings(), nil
}

func refused(err error) error { return exitError{evalRefused, err.Error()} }

// takes reports whether a rule runs for a topic. A Basic Ingest topic runs the rule
// that it names, whatever its FROM says. AWS differs from MQTT in one place: a/# does
// not match a.
func takes(p *sql.Program, rule, topic string) bool {
	if name, ok := rules.Ingested(topic); ok {
		return rule == "" || rule == name
	}
	filter, ok := p.Filter()
	if !ok {
		return false
	}
	return message.Match(filter, topic) && message.Levels(topic) >= message.Levels(filter)
}

// message builds the message that the flags describe.
func (c *RulesEvalCmd) message(stdin io.Reader) (*message.Message, error) {
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
func (c *RulesEvalCmd) payload(stdin io.Reader) ([]byte, error) {
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

// evalEnv is the world around a statement on the command line: a clock and nothing
// that could be called.
type evalEnv struct{}

// errNoFunctions says why aws_lambda() fails here.
var errNoFunctions = errors.New("rules eval calls no functions")

func (evalEnv) Now() time.Time { return time.Now() }

// AccountID stands for the account, as local emulators of AWS have it.
func (evalEnv) AccountID() string { return "000000000000" }

func (evalEnv) Invoke(context.Context, string, []byte) ([]byte, error) { return nil, errNoFunctions }

// Descriptors reads a FileDescriptorSet from the local file BUCKET/KEY.
func (evalEnv) Descriptors(_ context.Context, bucket, key string) ([]byte, error) {
	return os.ReadFile(strings.TrimSuffix(bucket, "/") + "/" + key)
}
