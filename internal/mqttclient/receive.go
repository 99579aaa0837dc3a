package mqttclient

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// read decodes the next packet.
func (c *Client) read() (Packet, error) {
	first, body, err := c.in.Next()
	if err != nil {
		return nil, err
	}
	p, err := Decode(c.opts.Version, first, body)
	if err != nil {
		return nil, err
	}
	c.trace(false, p)
	return p, nil
}

// receive handles packets until the connection ends, and returns why.
func (c *Client) receive() error {
	for {
		p, err := c.read()
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return ErrLost
		}
		if err == nil {
			err = c.handle(p)
		}
		if err != nil {
			return err
		}
	}
}

func (c *Client) handle(p Packet) error {
	switch p := p.(type) {
	case *Publish:
		return c.arrived(p)
	case *Ack:
		return c.acknowledged(p)
	case *Suback:
		c.resolve(p.PacketID, p)
		return nil
	case *Ping:
		c.awaiting.Store(false)
		return nil
	case *Disconnect:
		if p.Kind == DISCONNECT && c.opts.Version == V5 {
			return &ReasonError{Packet: DISCONNECT, Version: V5, Code: p.Reason, Text: p.Props.ReasonString}
		}
	}
	return fmt.Errorf("%w: an unexpected %s", ErrProtocol, p.Type())
}

// arrived queues a message for Receive. One that QoS 2 has delivered already is only
// acknowledged again. [MQTT-4.3.3-10]
func (c *Client) arrived(p *Publish) error {
	if p.QoS == 2 {
		c.mu.Lock()
		again := c.seen[p.PacketID]
		c.seen[p.PacketID] = true
		c.mu.Unlock()
		if again {
			return c.reply(&Ack{Kind: PUBREC, PacketID: p.PacketID})
		}
	}
	select {
	case c.messages <- p:
		return nil
	default:
	}
	c.stalled.Store(true)
	defer c.stalled.Store(false)
	c.awaiting.Store(false)
	select {
	case c.messages <- p:
		return nil
	case <-c.done:
		return ErrClosed
	}
}

// reply sends an acknowledgement from the reader, which must not be kept waiting by
// a server that does not read while it writes to us: the writer's limit is 64 KB of them.
func (c *Client) reply(a *Ack) error {
	return c.queue(nil, a)
}

func (c *Client) acknowledged(a *Ack) error {
	switch a.Kind {
	default:
	case PUBREL:
		c.mu.Lock()
		known := c.seen[a.PacketID]
		delete(c.seen, a.PacketID)
		c.mu.Unlock()
		done := &Ack{Kind: PUBCOMP, PacketID: a.PacketID}
		if !known && c.opts.Version == V5 && !c.connack.SessionPresent {
			done.Reason = 0x92
		}
		return c.reply(done)
	case PUBREC:
		if !a.Reason.Failed() { // [MQTT-4.3.3-4]
			return c.reply(&Ack{Kind: PUBREL, PacketID: a.PacketID})
		}
	}
	c.resolve(a.PacketID, a)
	return nil
}

// Receive returns the next message and acknowledges it, unless the client acknowledges by hand.
// What has arrived before the connection ended is still returned; after that
// comes the reason of its end. The caller owns the message.
func (c *Client) Receive(ctx context.Context) (*Publish, error) {
	select {
	case m := <-c.messages:
		return c.taken(m)
	default:
	}
	select {
	case m := <-c.messages:
		return c.taken(m)
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-c.done:
		select {
		case m := <-c.messages:
			return c.taken(m)
		default:
			return nil, c.err
		}
	}
}

func (c *Client) taken(m *Publish) (*Publish, error) {
	if !c.opts.ManualAck {
		_ = c.Ack(m, 0) // when the connection is gone the server will send it again
	}
	return m, nil
}

// Ack acknowledges a received message with PUBACK or PUBREC and the reason code, which
// only MQTT 5 carries. For QoS 0 it does nothing.
func (c *Client) Ack(m *Publish, r Reason) error {
	kind := PUBACK
	switch m.QoS {
	case 0:
		return nil
	case 2:
		kind = PUBREC
		if r.Failed() { // the server does not send PUBREL then
			c.mu.Lock()
			delete(c.seen, m.PacketID)
			c.mu.Unlock()
		}
	}
	return c.reply(&Ack{Kind: kind, PacketID: m.PacketID, Reason: r})
}
