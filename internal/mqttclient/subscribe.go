package mqttclient

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
)

// Subscribe subscribes and waits for SUBACK. The reason codes are in the order of the
// filters; the error is a *ReasonError for the first that was refused.
func (c *Client) Subscribe(ctx context.Context, s *Subscribe) ([]Reason, error) {
	t := &Token{client: c, done: make(chan struct{})}
	if err := c.request(ctx, t, &s.PacketID, s); err != nil {
		return nil, err
	}
	filters := make([]string, len(s.Subscriptions))
	for i := range s.Subscriptions {
		filters[i] = s.Subscriptions[i].Filter
	}
	return c.reasons(ctx, t, SUBACK, filters)
}

// SubscribeTo subscribes to filters, all with one QoS.
func (c *Client) SubscribeTo(ctx context.Context, qos byte, filters ...string) error {
	s := &Subscribe{}
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, Subscription{Filter: f, QoS: qos})
	}
	_, err := c.Subscribe(ctx, s)
	return err
}

// Unsubscribe ends subscriptions and waits for UNSUBACK. MQTT 3.1.1 has no reason codes.
func (c *Client) Unsubscribe(ctx context.Context, u *Unsubscribe) ([]Reason, error) {
	t := &Token{client: c, done: make(chan struct{})}
	if err := c.request(ctx, t, &u.PacketID, u); err != nil {
		return nil, err
	}
	return c.reasons(ctx, t, UNSUBACK, u.Filters)
}

func (c *Client) reasons(ctx context.Context, t *Token, kind Type, filters []string) ([]Reason, error) {
	p, err := t.wait(ctx)
	if err != nil {
		return nil, err
	}
	a, ok := p.(*Suback)
	if !ok || a.Kind != kind {
		return nil, fmt.Errorf("%w: %s instead of %s", ErrProtocol, p.Type(), kind)
	}
	if len(a.Reasons) != len(filters) && (kind == SUBACK || c.opts.Version == V5) { // [MQTT-3.9.3-1]
		return a.Reasons, fmt.Errorf("%w: %d reason codes for %d topic filters", ErrProtocol, len(a.Reasons), len(filters))
	}
	for i, r := range a.Reasons {
		if r.Failed() {
			return a.Reasons, &ReasonError{Packet: kind, Version: c.opts.Version, Code: r, Text: a.Props.ReasonString, Filter: filters[i]}
		}
	}
	return a.Reasons, nil
}

// ErrNoResponseTopic says that a request over MQTT 3.1.1 names no response topic.
var ErrNoResponseTopic = errors.New("MQTT 3.1.1 cannot carry a response topic: name the one on which the answer will come")

// Request publishes p and waits for the answer on p.Props.ResponseTopic. With MQTT 5 a
// missing Response Topic and missing Correlation Data are invented, and an answer with other
// Correlation Data is not ours. Messages that are no answer are dropped, so a client
// makes one request at a time and serves nothing else meanwhile.
func (c *Client) Request(ctx context.Context, p *Publish) (*Publish, error) {
	topic := p.Props.ResponseTopic
	switch {
	case topic != "":
	case c.opts.Version != V5:
		return nil, ErrNoResponseTopic
	default:
		topic = "reply/" + rand.Text()
		p.Props.ResponseTopic = topic
	}
	if p.Props.CorrelationData == nil && c.opts.Version == V5 {
		p.Props.CorrelationData = []byte(rand.Text())
	}
	if err := c.SubscribeTo(ctx, p.QoS, topic); err != nil {
		return nil, err
	}
	if err := c.Publish(ctx, p); err != nil {
		return nil, err
	}
	for {
		m, err := c.Receive(ctx)
		if err != nil {
			return nil, err
		}
		foreign := m.Props.CorrelationData != nil && !bytes.Equal(m.Props.CorrelationData, p.Props.CorrelationData)
		if m.Topic == topic && !m.Retain && !foreign {
			return m, nil
		}
	}
}
