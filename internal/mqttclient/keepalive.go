package mqttclient

import (
	"context"
	"time"
)

// keepAlive pings. It asks at three quarters of the interval, so that the server hears
// from us in time whatever else is or is not sent.
func (c *Client) keepAlive() {
	tick := time.NewTicker(c.opts.KeepAlive * 3 / 4)
	defer tick.Stop()
	for {
		select {
		case <-c.done:
			return
		case <-tick.C:
		}
		if c.stalled.Load() {
			continue // an answer may have come; nobody reads it
		}
		if c.awaiting.Swap(true) {
			c.end(ErrNoPong)
			return
		}
		ctx, cancel := context.WithTimeout(context.Background(), c.opts.KeepAlive/4)
		err := c.send(ctx, &Ping{Kind: PINGREQ})
		cancel()
		if err != nil {
			c.end(err)
			return
		}
	}
}
