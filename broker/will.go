package broker

import (
	"time"

	"github.com/topicwire/topicwire/broker/auth"
	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/message"
)

// will is a will message: what a client wants published when it is gone without
// having said goodbye (MQTT 5, section 3.1.2.5).
type will struct {
	message *message.Message
	of      *auth.Principal // whose it is; nil after a restart, which knows it no more
	delay   time.Duration
	timer   *entry // while it waits; nil if it waits for the end of the session
}

// willCause says how a connection has ended, as far as its will is concerned.
type willCause byte

const (
	willNone     willCause = iota // the client said goodbye: no will
	willLost                      // the connection ended in any other way
	willResumed                   // another connection resumes the session
	willReplaced                  // another connection starts a new session
)

func willTakeOver(anew bool) willCause {
	if anew {
		return willReplaced
	}
	return willResumed
}

// keepWill hands the will of a client that has just connected to the store, so that
// it is published even if the server goes before the client.
func (b *Broker) keepWill(c *connection) {
	if w := c.will; w != nil {
		b.store.Append(store.Change{Kind: store.WillPut, Client: c.origin.ClientID, Will: &store.Will{Message: w.message, Delay: w.delay}})
	}
}

// startWill decides what becomes of a connection's will: nothing, it is due now, or
// it waits for its delay with the client, which is locked.
func (b *Broker) startWill(cl *client, c *connection, cause willCause) (due []*will) {
	w := c.will
	c.will = nil
	if w == nil {
		return nil
	}
	delay, withSession := w.delay, false
	if lasts := time.Duration(cl.expiry) * time.Second; cl.expiry != forever && delay >= lasts {
		delay, withSession = lasts, true // the end of the session comes first, and brings it: see endSession
	}
	switch {
	case cause != willNone && (delay == 0 || cause == willReplaced):
		return []*will{w}
	case cause == willNone || cause == willResumed: // [MQTT-3.1.3-9]
		b.store.Append(store.Change{Kind: store.WillDelete, Client: cl.id})
		return nil
	}
	at := time.Now().Add(delay)
	b.store.Append(store.Change{Kind: store.WillPut, Client: cl.id, Will: &store.Will{Message: w.message, Delay: w.delay, At: at}})
	if withSession {
		cl.will = w
		return nil
	}
	b.delayWill(cl, w, at)
	return nil
}

// delayWill lets a will wait until at.
func (b *Broker) delayWill(cl *client, w *will, at time.Time) {
	cl.will = w
	w.timer = b.schedule.at(at, func() {
		cl.mu.Lock()
		isDue := !cl.gone && cl.will == w
		if isDue {
			cl.will = nil
		}
		b.clients.release(cl)
		if isDue {
			b.publishWills([]*will{w})
		}
	})
}

// dropWill takes away the will that waits, which is not to be published; the client is
// locked.
func (b *Broker) dropWill(cl *client) {
	b.takeWaitingWill(cl)
	b.store.Append(store.Change{Kind: store.WillDelete, Client: cl.id})
}

// takeWaitingWill takes the will that waits, to be published; the client is locked.
func (b *Broker) takeWaitingWill(cl *client) *will {
	w := cl.will
	cl.will = nil
	if w.timer != nil {
		b.schedule.cancel(w.timer)
	}
	return w
}

// willRetry is how long a will waits that the store does not take now.
const willRetry = time.Second

// publishWills publishes wills that are due, like any other message: through Accept.
// The store forgets them after that and not before, so that none is lost in between.
// Call it with no client locked.
func (b *Broker) publishWills(due []*will) {
	for _, w := range due {
		published := *w.message // which the store may still hold
		m := &published
		if r, why := b.mayNotPublish(w.of, m.Topic, m.Retain); w.of != nil && r != reasonSuccess { // policies may have changed
			b.metrics.refusedPublishes.Inc()
			b.log.Warn().Str("client", m.From.ClientID).Str("topic", m.Topic).Msg("a will was refused: " + why)
			continue
		}
		m.Received = time.Now() // the expiry interval begins with the publication
		b.capExpiry(m)
		_, err := b.route(b.life(), m, nil) // nobody waits for an acknowledgement
		if err != nil && b.store.Err() != nil {
			// There is nobody who would send it again.
			b.schedule.after(willRetry, func() { b.publishWills([]*will{w}) })
			continue
		}
		b.store.Append(store.Change{Kind: store.WillDelete, Client: m.From.ClientID, Will: &store.Will{Message: w.message}})
		if err != nil {
			b.metrics.refusedPublishes.Inc()
			b.log.Warn().Err(err).Str("client", m.From.ClientID).Str("topic", m.Topic).Msg("a will was refused")
			continue
		}
		b.metrics.wills.Inc()
	}
}
