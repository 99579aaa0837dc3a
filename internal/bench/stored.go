package bench

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/topicwire/topicwire/internal/mqttclient"
)

// cleanupTime bounds what a run does to leave nothing behind in the broker.
const cleanupTime = 10 * time.Second

// runRetained stores Count retained messages, each on a topic of its own, and
// subscribes to all of them.
func runRetained(ctx context.Context, c *Config, r *Result) error {
	base := newBase()
	topic := func(i int) string { return fmt.Sprintf("%s/device%d/state", base, i) }
	m, err := startMeter(c)
	if err != nil {
		return err
	}
	if err := store(ctx, c, r, topic, true); err != nil {
		return err
	}
	defer clearRetained(context.WithoutCancel(ctx), c, topic)
	l, err := connect(ctx, c, linkOptions{})
	if err != nil {
		return err
	}
	defer l.goodbye()
	seen := make([]bool, c.Count)
	err = collect(ctx, c, r, l, func() error { return l.request(c.QoS, base+"/+/state") }, func(n uint64) {
		if seen[n] {
			r.Duplicate++
		}
		seen[n] = true // their order is the broker's own
	})
	if err != nil {
		return err
	}
	for _, ok := range seen {
		if !ok {
			r.Lost++
		}
	}
	return m.stop(r)
}

// request sends a SUBSCRIBE whose SUBACK collect reads among the messages.
func (l *link) request(qos byte, filter string) error {
	s := &mqttclient.Subscribe{PacketID: 1, Subscriptions: []mqttclient.Subscription{{Filter: filter, QoS: qos}}}
	b, err := s.Append(nil, l.version)
	if err == nil {
		_, err = l.Write(b)
	}
	return err
}

// runOffline queues Count messages for a session whose client is away, lets the
// client return, and looks at what it gets.
func runOffline(ctx context.Context, c *Config, r *Result) error {
	base := newBase()
	away := linkOptions{clientID: "bench-" + base[len("bench/"):], persist: true}
	l, err := connect(ctx, c, away)
	if err != nil {
		return err
	}
	if err := l.subscribe(c.QoS, base); err != nil {
		_ = l.Close()
		return err
	}
	l.goodbye()
	defer func() { // a clean start discards the session
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanupTime)
		defer cancel()
		if l, err := connect(ctx, c, linkOptions{clientID: away.clientID}); err == nil {
			l.goodbye()
		}
	}()
	m, err := startMeter(c)
	if err != nil {
		return err
	}
	if err := store(ctx, c, r, func(int) string { return base }, false); err != nil {
		return err
	}
	begin := time.Now()
	if l, err = connect(ctx, c, away); err != nil {
		return err
	}
	defer l.goodbye()
	var s sequence
	if err := collect(ctx, c, r, l, func() error { return nil }, s.add); err != nil {
		return err
	}
	r.Lost, r.Reordered, r.Duplicate = s.lost(uint64(c.Count)), s.reordered, s.duplicates
	if r.Received == 0 {
		r.took(time.Since(begin))
	}
	return m.stop(r)
}

// store publishes Count numbered messages and awaits every acknowledgement.
func store(ctx context.Context, c *Config, r *Result, topic func(int) string, retain bool) error {
	client, err := mqttclient.Open(ctx, clientOptions(c))
	if err != nil {
		return err
	}
	defer func() { _ = client.Disconnect(ctx, nil) }()
	var sent atomic.Uint64
	defer watch(c, func() (uint64, uint64) { return sent.Load(), 0 })()
	begin := time.Now()
	tokens := make([]*mqttclient.Token, c.Count)
	for i := range tokens {
		payload := make([]byte, c.PayloadSize)
		stamp{seq: uint64(i)}.put(payload)
		p := &mqttclient.Publish{Topic: topic(i), Payload: payload, QoS: max(1, c.QoS), Retain: retain}
		if tokens[i], err = client.PublishAsync(ctx, p); err != nil {
			return err
		}
		sent.Add(1)
	}
	for _, t := range tokens {
		if _, err := t.Wait(ctx); err != nil {
			return err
		}
	}
	r.Sent, r.Expected = uint64(c.Count), uint64(c.Count)
	r.setUp(time.Since(begin), c.Count)
	return nil
}

// clearRetained takes the retained messages away again, as far as the broker lets it.
func clearRetained(ctx context.Context, c *Config, topic func(int) string) {
	ctx, cancel := context.WithTimeout(ctx, cleanupTime)
	defer cancel()
	client, err := mqttclient.Open(ctx, clientOptions(c))
	if err != nil {
		return
	}
	for i := range c.Count {
		if _, err := client.PublishAsync(ctx, &mqttclient.Publish{Topic: topic(i), QoS: 1, Retain: true}); err != nil {
			break
		}
	}
	_ = client.Disconnect(ctx, nil)
}

func clientOptions(c *Config) mqttclient.Options {
	return mqttclient.Options{
		Target: c.Target, Dial: mqttclient.DialOptions{TLS: c.TLS}, Version: c.Version,
		Username: c.Username, Password: c.Password, Inflight: c.Window,
	}
}

// collect calls begin and then takes stored messages until all Count have come or none
// has for quietAfter, and sets what was received in which time.
func collect(ctx context.Context, c *Config, r *Result, l *link, begin func() error, add func(seq uint64)) error {
	s := newSubscriber(l, newClock(), []*publisher{{wake: make(chan struct{}, 1)}})
	s.onMessage = func(m stamp) error {
		if m.seq >= uint64(c.Count) {
			return fmt.Errorf("%w: a payload that we did not send", mqttclient.ErrProtocol)
		}
		add(m.seq)
		return nil
	}
	defer watch(c, func() (uint64, uint64) { return r.Sent, s.received.Load() })()
	if err := begin(); err != nil {
		return err
	}
	failed := make(chan error, 1)
	go func() { failed <- s.read() }()
	untilQuiet(ctx, func() (uint64, bool) {
		n := s.received.Load()
		return n, n >= uint64(c.Count) || len(failed) > 0
	})
	_ = l.Close()
	if err := <-failed; err != nil {
		return err
	}
	r.Received = s.received.Load()
	r.took(time.Duration(s.last.Load()))
	return ctx.Err()
}
