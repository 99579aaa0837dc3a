package broker

import "time"

// quota is what one client may send and receive a second. Most brokers have none, and
// a connection then has none either.
type quota struct {
	messages *bucket // PUBLISH packets in both directions
	bytes    *bucket // in both directions
}

func newQuota(l *RateLimits) *quota {
	if l.PublishRatePerClient <= 0 && l.ThroughputPerClient <= 0 {
		return nil
	}
	return &quota{messages: newBucket(l.PublishRatePerClient), bytes: newBucket(float64(l.ThroughputPerClient))}
}

// pause is how long the client's next message has to wait, in either direction.
func (q *quota) pause(now time.Time) time.Duration {
	return max(q.messages.wait(1, now), q.bytes.wait(0, now))
}

// sent counts a packet to the client.
func (q *quota) sent(p []byte, now time.Time) {
	if p[0]>>4 == typePublish {
		q.messages.spend(1, now)
	}
	q.bytes.spend(len(p), now)
}

// pace is how long reading has to wait: what has been read is handled, and what would
// follow at once is too much.
func (c *connection) pace() time.Duration { return c.quota.bytes.wait(0, time.Now()) }

// exhausted reports that the client may be sent nothing for a while; when it may, its
// session goes on.
func (c *connection) exhausted() bool {
	if c.quota == nil {
		return false
	}
	pause := c.quota.pause(time.Now())
	if pause <= 0 {
		return false
	}
	c.stall.Lock()
	defer c.stall.Unlock()
	if c.stall.resume == nil {
		c.stall.resume = c.b.schedule.after(pause, c.goOn)
	}
	return true
}

// goOn continues delivery.
func (c *connection) goOn() {
	c.stall.Lock()
	c.stall.resume = nil
	c.stall.Unlock()
	c.sub.session.Drained(c)
}

// tooManyPublishes reports whether a PUBLISH is beyond what the client, or all
// clients together, may send a second.
func (c *connection) tooManyPublishes() bool {
	if c.quota != nil && !c.quota.messages.take(c.now) {
		return true
	}
	return !c.b.rates.publishes.take(c.now)
}

// discard drops a message that is too much. Before MQTT 5 a client cannot be told
// why; it gets no acknowledgement, and sends the message again when it connects again.
func (c *connection) discard(p *publish) error {
	c.b.metrics.throttled.Add(1)
	if c.version >= 5 || p.qos == 0 {
		return c.refuse(p, reasonQuotaExceeded, "", false)
	}
	if p.qos == 2 {
		c.sub.session.Arrived(p.id, byte(reasonQuotaExceeded))
	}
	return nil
}
