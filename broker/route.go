package broker

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/topicwire/topicwire/message"
)

// Refused is why the broker itself does not take a message.
type Refused struct {
	Reason byte // MQTT 5 reason code
	Text   string
}

// Error says why.
func (e *Refused) Error() string { return "broker: " + e.Text }

// ReasonCode is the MQTT 5 reason code.
func (e *Refused) ReasonCode() byte { return e.Reason }

func refuse(r reason, format string, args ...any) *Refused {
	return &Refused{Reason: byte(r), Text: fmt.Sprintf(format, args...)}
}

// Accept takes a message over into the rules before it is delivered. An error
// refuses the publish; if it has a method ReasonCode() byte, that is the MQTT 5
// reason code. The message is read-only from then on.
type Accept func(ctx context.Context, m *message.Message) (Pending, error)

// Pending is an acceptance that is not durable yet. Then calls back exactly once:
// with nil when it is, or with the reason why it cannot be. A nil Pending is durable.
type Pending interface{ Then(func(error)) }

// waits is what an acknowledgement has to wait for.
type waits struct {
	pending Pending // of Accept
	store   bool    // the store has changes of this message
}

func (w waits) count() int {
	n := 0
	if w.pending != nil {
		n++
	}
	if w.store {
		n++
	}
	return n
}

// route is the way every message takes, wherever it comes from: Accept, the retained
// message, the fan-out. from is the subscriber that published it, nil if none did.
func (b *Broker) route(ctx context.Context, m *message.Message, from *subscriber) (waits, error) {
	if m.QoS > 0 && b.refuseWhenFull && !b.roomFor(m, from) {
		return waits{}, refuse(reasonQuotaExceeded, "the queue of a subscriber to %.200q is full", m.Topic)
	}
	if m.Retain {
		if err := b.retainedTooMany(m); err != nil {
			return waits{}, err
		}
	}
	if m.QoS > 0 {
		if err := b.store.Err(); err != nil && b.needsStore(m, from) {
			return waits{}, err
		}
	}
	var w waits
	if accept := b.accept.Load(); accept != nil {
		p, err := (*accept)(ctx, m)
		if err != nil {
			return waits{}, err
		}
		w.pending = p
	}
	if strings.HasPrefix(m.Topic, basicIngest) {
		return w, nil // for a rule alone
	}
	if keep := b.keep.Load(); keep != nil {
		if delivered := (*keep)(m); delivered != nil {
			defer delivered()
		}
	}
	if m.Retain {
		w.store = b.retain(m)
	}
	if b.fanOut(m, from) {
		w.store = true
	}
	if m.QoS == 2 && from != nil && from.session.Durable() {
		w.store = true // its packet identifier
	}
	return w, nil
}

// needsStore reports whether the acknowledgement of a message would have to wait for
// the store.
func (b *Broker) needsStore(m *message.Message, from *subscriber) bool {
	if m.Retain || m.QoS == 2 && from != nil && from.session.Durable() {
		return true
	}
	found := b.index.Match(m.Topic)
	for e := range found.Subscribers.All() {
		if e.QoS > 0 && e.Subscriber.session.Durable() {
			return true
		}
	}
	for i := range found.Groups {
		for e := range found.Groups[i].Members.All() {
			if e.QoS > 0 && e.Subscriber.session.Durable() {
				return true
			}
		}
	}
	return false
}

// retainedTooMany is why a message may not be retained; nil if it may.
func (b *Broker) retainedTooMany(m *message.Message) error {
	if len(m.Payload) == 0 {
		return nil
	}
	before := b.retained.Get(m.Topic, m.Received)
	if before == nil && b.retained.Len() >= b.limits.MaxRetained {
		return refuse(reasonQuotaExceeded, "there are already %d retained messages", b.limits.MaxRetained)
	}
	if rate := b.limits.RetainedRatePerTopic; rate > 0 && before != nil && m.Received.Sub(before.Received).Seconds() < 1/rate {
		return refuse(reasonQuotaExceeded, "more than %v retained messages a second to %.200q", rate, m.Topic)
	}
	if !b.rates.retained.take(m.Received) {
		return refuse(reasonQuotaExceeded, "more than %v retained messages a second", b.limits.RetainedRate)
	}
	return nil
}

// publish routes a message and, if it has QoS 1 or 2, waits until it is durable.
func (b *Broker) publish(ctx context.Context, m *message.Message, from *subscriber) error {
	b.capExpiry(m)
	w, err := b.route(ctx, m, from)
	n := w.count()
	if err != nil || n == 0 || m.QoS == 0 {
		return err
	}
	done := make(chan error, n)
	if w.pending != nil {
		w.pending.Then(func(err error) { done <- err })
	}
	if w.store {
		b.store.Sync(func(err error) { done <- err })
	}
	for range n {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("broker: a message to %.200q could not be kept: %w", m.Topic, err)
			}
		case <-ctx.Done():
			return fmt.Errorf("broker: a message to %.200q is not durable yet: %w", m.Topic, ctx.Err())
		}
	}
	return nil
}

// capExpiry cuts the message expiry interval to the limit.
func (b *Broker) capExpiry(m *message.Message) {
	if most := b.limits.MaxMessageExpiry; most > 0 && m.Props.HasExpiry {
		m.Props.Expiry = min(m.Props.Expiry, uint32(most/time.Second))
	}
}
