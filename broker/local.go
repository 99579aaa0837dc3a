package broker

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/topics"
	"github.com/topicwire/topicwire/message"
)

// ErrFilter says that a topic filter cannot be subscribed to in this process.
var ErrFilter = errors.New("broker: not a topic filter")

// LocalOptions say what a local subscriber is.
type LocalOptions struct {
	// Receive gets every message that matches one of the subscriptions, once, on the
	// goroutine of whoever publishes: it must not wait. shared is nil for the first
	// local subscriber that gets a message and then holds what that one left there: an
	// encoding, for instance, that others need too.
	Receive func(m *message.Message, shared *any)
	// May is asked before a delivery whether messages of a topic may be received; nil
	// allows all.
	May func(topic string) bool
	// Signals asks for what PublishLocal sends too.
	Signals bool
}

// Local is a subscriber in this process: it stands in the same index as MQTT clients
// and gets the same messages in the same order. It has no session: what is published
// while nothing is subscribed is not for it. Its methods may be called at any time.
type Local struct {
	b *Broker
	s *subscriber
}

// local is what a subscriber has instead of a session.
type local struct{ LocalOptions }

// NewLocal makes a local subscriber without subscriptions. Close it in the end.
func (b *Broker) NewLocal(o LocalOptions) *Local {
	return &Local{b: b, s: &subscriber{local: &local{o}}}
}

// Subscribe adds a topic filter; one that is there already stays. With retained, the
// retained messages that match are received before Subscribe returns, possibly beside
// newer ones.
func (l *Local) Subscribe(filter string, retained bool) error {
	_, _, shared := message.SplitShare(filter)
	if err := message.ValidateFilter(filter); err != nil {
		return fmt.Errorf("%w: %w", ErrFilter, err)
	}
	if shared {
		return fmt.Errorf("%w: %.200q is a shared subscription", ErrFilter, filter)
	}
	if !fits(filter, &l.b.limits) {
		return fmt.Errorf("%w: %.200q is longer or has more levels than the limits allow", ErrFilter, filter)
	}
	l.s.mu.Lock()
	if l.s.ended {
		l.s.mu.Unlock()
		return ErrNotServing
	}
	l.b.index.Subscribe(filter, l.s, topics.Option{})
	l.s.mu.Unlock()
	if retained {
		l.replay(filter)
	}
	return nil
}

// Unsubscribe takes a filter away and reports whether it was there.
func (l *Local) Unsubscribe(filter string) bool { return l.b.index.Unsubscribe(filter, l.s) }

// Close takes all subscriptions away. A message that is being delivered at the moment
// may still be received.
func (l *Local) Close() {
	l.s.mu.Lock()
	l.s.ended = true
	l.s.mu.Unlock()
	l.b.index.UnsubscribeAll(l.s)
}

// replay hands over the retained messages of a filter.
func (l *Local) replay(filter string) {
	cursor := l.b.retained.Match(filter)
	var some [16]*message.Message
	for {
		n := cursor.Next(time.Now(), some[:])
		for _, m := range some[:n] {
			var shared any
			l.s.local.receive(m, &shared)
		}
		if n < len(some) {
			return
		}
	}
}

// receive gives the subscriber its message.
func (l *local) receive(m *message.Message, shared *any) session.Outcome {
	if l.May != nil && !l.May(m.Topic) {
		return session.Gone
	}
	l.Receive(m, shared)
	return session.Sent
}

// PublishLocal hands a message to the local subscribers of its topic that have asked for
// signals, and to nobody else: no client, no rule, no retained message.
func (b *Broker) PublishLocal(m *message.Message) error {
	if err := message.ValidateTopic(m.Topic); err != nil {
		return refuse(reasonTopicInvalid, "%v", err)
	}
	if strings.HasPrefix(m.Topic, basicIngest) {
		return nil
	}
	if w := b.watch.Load(); w != nil {
		(*w)(m)
	}
	var shared any
	for e := range b.index.Match(m.Topic).Subscribers.All() {
		if l := e.Subscriber.local; l != nil && l.Signals {
			l.receive(m, &shared)
		}
	}
	return nil
}

// Subscribers is how many subscriptions a message to topic would find at the moment,
// those in this process included. A shared subscription counts as one.
func (b *Broker) Subscribers(topic string) int {
	found := b.index.Match(topic)
	return found.Subscribers.Len() + len(found.Groups)
}

// Keep is asked before a message is delivered, after the rules have taken it, whether
// it is kept for later readers. A result that is not nil is called when it has been
// delivered. Messages that are kept are delivered one after the other, in the order in
// which they were kept, if Keep sees to it that only one is between the two calls.
type Keep func(m *message.Message) (delivered func())

// Keep sets the func that keeps messages. Call it before Serve.
func (b *Broker) Keep(k Keep) { b.keep.Store(&k) }

// Watch makes f see every message before it is delivered, on the goroutine of whoever
// publishes; nil ends that. There is one watcher at a time.
func (b *Broker) Watch(f func(m *message.Message)) {
	if f == nil {
		b.watch.Store(nil)
		return
	}
	b.watch.Store(&f)
}
