package broker

import (
	"context"
	"fmt"
	"time"

	"github.com/topicwire/topicwire/broker/session"
	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/broker/topics"
)

// restore takes up what the store has kept: sessions with subscriptions and queues,
// retained messages, wills. Sessions whose time has passed meanwhile end now.
func (b *Broker) restore(ctx context.Context) error {
	err := b.store.Load(ctx, func(c store.Change) error { //nolint:contextcheck // what it schedules runs in the broker's life, not in this call
		b.restoreChange(&c)
		return nil
	})
	if err != nil {
		return fmt.Errorf("broker: what the store has kept could not be loaded: %w", err)
	}
	now := time.Now()
	for _, cl := range b.clients.list() {
		cl.mu.Lock()
		b.resumeReplays(cl)
		if cl.sub != nil && cl.expiry != forever && cl.expires == nil {
			b.expireAt(cl, now.Add(time.Duration(cl.expiry)*time.Second)) //nolint:contextcheck // runs later
		}
		cl.mu.Unlock()
	}
	return nil
}

func (b *Broker) restoreChange(c *store.Change) {
	switch c.Kind {
	case store.RetainedPut:
		b.retained.Set(c.Delivery.Message)
		return
	case store.RetainedDelete:
		b.retained.Delete(c.Topic)
		return
	default:
	}
	cl := b.clients.acquire(c.Client)
	defer b.clients.release(cl)
	switch c.Kind {
	case store.SessionPut:
		b.restoreSession(cl, c)
	case store.SubscriptionPut:
		if cl.sub != nil {
			cl.sub.subs[c.Filter] = optionOf(c.Subscription)
			if c.Subscription.Replaying {
				cl.sub.replaying = append(cl.sub.replaying, c.Filter)
			}
			b.index.Subscribe(c.Filter, cl.sub, optionOf(c.Subscription))
		}
	case store.WillPut:
		at := c.Will.At
		if at.IsZero() { // its client was connected when the server went
			at = time.Now().Add(c.Will.Delay)
		}
		b.delayWill(cl, &will{message: c.Will.Message}, at)
	default:
		if cl.sub != nil {
			cl.sub.session.Restore(c)
		}
	}
}

// resumeReplays begins those replays anew that the end of the server has cut short. It
// is called when all retained messages are there.
func (b *Broker) resumeReplays(cl *client) {
	if cl.sub == nil {
		return
	}
	for _, filter := range cl.sub.replaying {
		b.replay(cl.sub, filter, cl.sub.subs[filter])
	}
	cl.sub.replaying = nil
}

func (b *Broker) restoreSession(cl *client, c *store.Change) {
	if cl.sub == nil {
		cl.sub = &subscriber{client: cl, subs: map[string]topics.Option{}, session: session.New(cl.id, b.sessions, true)}
	}
	cl.expiry, cl.owner = c.Session.Expiry, c.Session.Principal
	if c.Session.Left.IsZero() {
		cl.sub.session.Interrupted()
	}
	if cl.expiry != forever && !c.Session.Left.IsZero() {
		b.expireAt(cl, c.Session.Left.Add(time.Duration(cl.expiry)*time.Second))
	}
}
