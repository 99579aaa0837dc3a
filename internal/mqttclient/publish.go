package mqttclient

import (
	"context"
	"errors"
	"fmt"
)

// ErrNoID says that all 65,535 packet identifiers are in use.
var ErrNoID = errors.New("no packet identifier is free")

// Token stands for the server's answer to one packet of ours.
type Token struct {
	client *Client
	done   chan struct{}
	answer Packet // *Ack or *Suback; nil if none was expected or came
	slot   bool   // holds a slot of the window
}

// Wait waits for the answer. It returns the reason code, and a *ReasonError when that
// is a failure; for QoS 0, which has no answer, 0 at once.
func (t *Token) Wait(ctx context.Context) (Reason, error) {
	p, err := t.wait(ctx)
	if err != nil {
		return 0, err
	}
	a, ok := p.(*Ack)
	if !ok {
		return 0, nil
	}
	if a.Reason.Failed() {
		return a.Reason, &ReasonError{Packet: a.Kind, Version: t.client.opts.Version, Code: a.Reason, Text: a.Props.ReasonString}
	}
	return a.Reason, nil
}

func (t *Token) wait(ctx context.Context) (Packet, error) {
	select {
	case <-t.done:
		return t.answer, nil
	default:
	}
	select {
	case <-t.done:
		return t.answer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-t.client.done:
		return nil, t.client.err
	}
}

// Publish sends a message and waits until the server has taken it over: PUBACK for QoS 1,
// PUBCOMP for QoS 2; QoS 0 is only queued for writing. It sets p.PacketID.
func (c *Client) Publish(ctx context.Context, p *Publish) error {
	t, err := c.PublishAsync(ctx, p)
	if err != nil {
		return err
	}
	_, err = t.Wait(ctx)
	return err
}

// PublishAsync queues a message for writing, once the window of unacknowledged
// messages has room, and returns without waiting for the answer. It sets p.PacketID.
func (c *Client) PublishAsync(ctx context.Context, p *Publish) (*Token, error) {
	if p.QoS > 2 {
		return nil, fmt.Errorf("QoS %d does not exist: use 0, 1 or 2", p.QoS)
	}
	t := &Token{client: c, done: make(chan struct{})}
	if p.QoS == 0 {
		close(t.done)
		return t, c.send(ctx, p)
	}
	select {
	case c.quota <- struct{}{}: // [MQTT-4.9.0-1]
		t.slot = true
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.done:
		return nil, c.err
	}
	return t, c.request(ctx, t, &p.PacketID, p)
}

// request sends p under a free packet identifier and files t for its answer.
func (c *Client) request(ctx context.Context, t *Token, id *uint16, p Packet) error {
	n, err := c.reserve(t)
	if err != nil {
		if t.slot {
			<-c.quota
		}
		return err
	}
	*id = n
	if err = c.send(ctx, p); err != nil {
		c.resolve(n, nil)
	}
	return err
}

// reserve takes the next free packet identifier for t. [MQTT-2.2.1-3]
func (c *Client) reserve(t *Token) (uint16, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for range 65535 {
		c.nextID++
		if c.nextID == 0 {
			c.nextID = 1
		}
		if c.pending[c.nextID] == nil {
			c.pending[c.nextID] = t
			return c.nextID, nil
		}
	}
	return 0, ErrNoID
}

// resolve gives an answer to whoever waits for it. One that nobody waits for is
// ignored: it may belong to a packet of an earlier connection.
func (c *Client) resolve(id uint16, answer Packet) {
	c.mu.Lock()
	t := c.pending[id]
	delete(c.pending, id)
	c.mu.Unlock()
	if t == nil {
		return
	}
	t.answer = answer
	close(t.done)
	if t.slot {
		<-c.quota
	}
}
