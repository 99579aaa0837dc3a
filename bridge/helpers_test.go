package bridge_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/topicwire/topicwire/bridge"
	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/function"
	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is a Publisher as small as can be: it hands what is published to the bridge,
// as the real one does, and keeps it.
type broker struct {
	bridge *bridge.Bridge
	fail   error

	mu        sync.Mutex
	published []*message.Message
	arrived   chan *message.Message // nil: nobody waits
}

func newBroker() *broker { return &broker{arrived: make(chan *message.Message, 100_000)} }

func (p *broker) Publish(ctx context.Context, m *message.Message) error {
	if p.fail != nil {
		return p.fail
	}
	p.mu.Lock()
	p.published = append(p.published, m)
	p.mu.Unlock()
	p.arrived <- m
	_, err := p.bridge.Accept(ctx, m)
	return err
}

func (p *broker) all() []*message.Message {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.published)
}

// next waits for the next published message.
func (p *broker) next(tb testing.TB) *message.Message {
	tb.Helper()
	return receive(tb, p.arrived, "published message")
}

// patience ends a test that waits for what never comes.
const patience = 30 * time.Second

func receive[T any](tb testing.TB, c <-chan T, what string) (v T) {
	tb.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		tb.Fatalf("still no %s after %s", what, patience)
	}
	return v
}

// invoke is a function as small as can be.
type invoke func(ctx context.Context, payload []byte) ([]byte, error)

func (f invoke) Invoke(ctx context.Context, payload []byte) ([]byte, error) { return f(ctx, payload) }

// functions is a bridge.Functions of functions in this process.
type functions map[string]invoke

func (f functions) Lookup(name string) (function.Function, error) {
	if g, ok := f[name]; ok {
		return g, nil
	}
	return nil, fmt.Errorf("%w: %q is not among %v", function.ErrNotFound, name, slices.Sorted(maps.Keys(f)))
}
func (functions) Resolve(name string) string { return name }
func (functions) Poster() *function.Poster   { return function.NewPoster() }
func (functions) Capacity(string) (int, time.Time) {
	return 8, time.Time{}
}

func echo(_ context.Context, payload []byte) ([]byte, error) { return payload, nil }

func returns(answer string) invoke {
	return func(context.Context, []byte) ([]byte, error) { return []byte(answer), nil }
}

func throws(err error) invoke {
	return func(context.Context, []byte) ([]byte, error) { return nil, err }
}

var errThrown = &function.Error{Type: "TypeError", Message: "x is not a function"}

// rule makes a rule of a statement and actions.
func rule(name, sql string, actions ...action.Config) bridge.RuleConfig {
	return bridge.RuleConfig{Definition: rules.Definition{Name: name, SQL: sql}, Actions: actions}
}

func withError(r bridge.RuleConfig, a action.Config) bridge.RuleConfig {
	r.ErrorAction = &a
	return r
}

func lambda(name string) action.Config {
	return action.Config{Lambda: &action.LambdaConfig{Function: name}}
}

// once makes an action one that is tried once.
func once(a action.Config) action.Config {
	a.Retry = &action.RetryConfig{MaxAttempts: 1}
	return a
}

func lambdaReply(name, topic string) action.Config {
	return action.Config{Lambda: &action.LambdaConfig{Function: name, Reply: &action.ReplyConfig{Topic: topic}}}
}

func republish(topic string) action.Config {
	return action.Config{Republish: &action.RepublishConfig{Topic: topic, QoS: "1"}}
}

func compile(tb testing.TB, f bridge.Functions, configs ...bridge.RuleConfig) *bridge.Program {
	tb.Helper()
	p, err := bridge.Compile(configs, f)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}

func newBridge(tb testing.TB, o bridge.Options) *bridge.Bridge {
	tb.Helper()
	b, err := bridge.New(context.Background(), o)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// start makes a bridge that runs until the test ends, or until stop.
func start(tb testing.TB, o bridge.Options, p *bridge.Program) (b *bridge.Bridge, out *broker, stop func() error) {
	tb.Helper()
	out = newBroker()
	if o.Publisher == nil {
		o.Publisher = out
	}
	b = newBridge(tb, o)
	out.bridge = b
	b.Load(p)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- b.Run(ctx) }()
	var once sync.Once
	var err error
	stop = func() error {
		once.Do(func() { cancel(); err = <-ended })
		return err
	}
	tb.Cleanup(func() {
		if err := stop(); err != nil && !tb.Failed() {
			tb.Error(err)
		}
	})
	return b, out, stop
}

func msg(topic, payload string) *message.Message {
	return &message.Message{
		Topic: topic, Payload: []byte(payload), QoS: 1, Received: time.Now(),
		From: message.Origin{ClientID: "device-1", Via: message.ViaMQTT},
	}
}

func accept(tb testing.TB, b *bridge.Bridge, m *message.Message) {
	tb.Helper()
	if err := tryAccept(b, m); err != nil {
		tb.Fatal(err)
	}
}

func tryAccept(b *bridge.Bridge, m *message.Message) error {
	pending, err := b.Accept(context.Background(), m)
	if err != nil || pending == nil {
		return err
	}
	stored := make(chan error, 1)
	pending.Then(func(err error) { stored <- err })
	return <-stored
}

// events collects what is observed.
type events struct {
	mu   sync.Mutex
	list []bridge.Event
}

func (e *events) observe(event bridge.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	event.Rules = slices.Clone(event.Rules)
	e.list = append(e.list, event)
}

// lines are the events in short.
func (e *events) lines() []string {
	e.mu.Lock()
	defer e.mu.Unlock()
	lines := []string{}
	for _, v := range e.list {
		s := string(v.Stage) + " " + v.Message.Topic
		if len(v.Rules) > 0 {
			s += " [" + strings.Join(v.Rules, " ") + "]"
		}
		for _, part := range []string{v.Rule, v.Action, v.Target} {
			if part != "" {
				s += " " + part
			}
		}
		if v.ReplyTopic != "" {
			s += " -> " + v.ReplyTopic
		}
		if v.Err != nil {
			s += ": " + v.Err.Error()
		}
		lines = append(lines, s)
	}
	return lines
}

var errDown = errors.New("connection refused")

// lockedBuffer takes a log that many write.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
