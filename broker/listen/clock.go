package listen

import (
	"sync/atomic"
	"time"
)

// clock ends a connection that is late: with its CONNECT, its keep alive, its
// answers to pings or its last bytes. It is one timer, moved only when it fires:
// a packet that arrives costs one store.
type clock struct {
	conn  *Conn
	base  time.Time
	timer *time.Timer
	last  atomic.Int64 // when bytes last arrived; all times are since base
	pong  atomic.Bool  // a ping has been sent and nothing has arrived since

	// Under the connection's lock; 0 = does not apply.
	connectBy time.Duration
	keepAlive time.Duration
	pingEvery time.Duration
	nextPing  time.Duration
	endBy     time.Duration
	closeBy   time.Duration
}

func (k *clock) start(c *Conn) {
	k.conn, k.base, k.connectBy, k.endBy = c, time.Now(), c.opts.ConnectTimeout, c.opts.MaxLifetime
	c.mu.Lock() // the timer may fire before it is stored
	defer c.mu.Unlock()
	k.timer = time.AfterFunc(k.connectBy, k.tick)
}

func (k *clock) now() time.Duration { return time.Since(k.base) }

// touch notes that bytes have arrived.
func (k *clock) touch() {
	k.last.Store(int64(k.now()))
	if k.pong.Load() {
		k.pong.Store(false)
	}
}

// Established tells that a CONNECT was accepted: the time limit for it is over.
func (c *Conn) Established() {
	c.established.Store(true)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock.connectBy = 0
}

// SetKeepAlive ends the connection when nothing has arrived for d, counted from
// now; 0 = never. MQTT wants one and a half times the client's keep alive here.
// [MQTT-3.1.2-22]
func (c *Conn) SetKeepAlive(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock.keepAlive = max(d, 0)
	c.clock.last.Store(int64(c.clock.now()))
	c.clock.rearm()
}

// setPings makes a WebSocket connection ping its peer, and end when a ping is not
// answered before the next one is due.
func (c *Conn) setPings(every time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.clock.pingEvery, c.clock.nextPing = every, c.clock.now()+every
	c.clock.rearm()
}

// rearm sets the timer to what is due first. Call it with the lock held.
func (k *clock) rearm() {
	next := time.Duration(1<<63 - 1)
	if k.closeBy > 0 {
		next = k.closeBy
	} else {
		if k.connectBy > 0 {
			next = k.connectBy
		}
		if k.keepAlive > 0 {
			next = min(next, time.Duration(k.last.Load())+k.keepAlive)
		}
		if k.pingEvery > 0 {
			next = min(next, k.nextPing)
		}
		if k.endBy > 0 {
			next = min(next, k.endBy)
		}
	}
	if next < 1<<63-1 {
		k.timer.Reset(max(next-k.now(), 0))
	}
}

// tick runs when the timer fires and does what is due.
func (k *clock) tick() {
	c := k.conn
	c.mu.Lock()
	now := k.now()
	ping := false
	switch {
	case k.closeBy > 0:
		if now >= k.closeBy {
			c.cut(ErrClosed)
			c.mu.Unlock()
			return
		}
	case k.connectBy > 0 && now >= k.connectBy:
		c.end(ErrConnectTimeout)
	case k.endBy > 0 && now >= k.endBy:
		c.end(ErrLifetime)
	case k.keepAlive > 0 && now-time.Duration(k.last.Load()) >= k.keepAlive:
		c.end(ErrKeepAlive)
	case k.pingEvery > 0 && now >= k.nextPing:
		if k.pong.Load() {
			c.end(ErrPongTimeout)
			break
		}
		ping = true
		k.pong.Store(true)
		k.nextPing = now + k.pingEvery
	}
	k.rearm()
	c.mu.Unlock()
	if ping {
		_ = c.control(pingFrame())
	}
}

// end makes the reader return err, and cuts the connection should its handler not
// return after that. Call it with the lock held.
func (c *Conn) end(err error) {
	if c.cause == nil {
		c.cause = err
	}
	if c.clock.closeBy == 0 {
		c.clock.closeBy = c.clock.now() + c.opts.Linger
	}
	_ = c.sock.Conn.SetReadDeadline(longAgo())
}

// cut closes the socket at once. Call it with the lock held.
func (c *Conn) cut(err error) {
	if c.cause == nil {
		c.cause = err
	}
	c.closing = true
	_ = c.sock.Conn.Close()
}
