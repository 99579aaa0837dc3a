package listen

import (
	"errors"
	"net/netip"
	"sync"
	"time"
)

// Limits bound the connections of all listeners together. Zero or less = no limit.
type Limits struct {
	MaxConnections           int     `yaml:"max_connections" jsonschema:"minimum=0,example=50000" jsonschema_description:"Connections open at the same time on all listeners together; 0 or absent = no limit."`
	MaxConnectionsPerAddress int     `yaml:"max_connections_per_address" jsonschema:"minimum=-1,example=1000" jsonschema_description:"Connections open at the same time from one address (an IPv6 /64 counts as one), loopback excepted; 10000 by default, -1 = no limit."`
	ConnectRatePerAddress    float64 `yaml:"connect_rate_per_address" jsonschema:"minimum=-1,example=100" jsonschema_description:"New connections a second from one address, loopback excepted; twice as many may come at once. 1000 by default, -1 = no limit."`
}

// Check reports negative limits.
func (l Limits) Check(report func(path, problem, remedy string)) {
	if l.MaxConnections < 0 {
		report("max_connections", "is negative", "write a positive number, or 0 for no limit")
	}
	const remedy = "write a positive number, or -1 for no limit"
	if l.MaxConnectionsPerAddress < -1 {
		report("max_connections_per_address", "is negative", remedy)
	}
	if r := l.ConnectRatePerAddress; r < 0 && r != -1 {
		report("connect_rate_per_address", "is negative", remedy)
	}
}

// Why a Limiter refuses a connection.
var (
	// ErrTooMany: MaxConnections are open.
	ErrTooMany = errors.New("listen: too many connections")
	// ErrTooManyFromAddress: MaxConnectionsPerAddress are open from that address.
	ErrTooManyFromAddress = errors.New("listen: too many connections from this address")
	// ErrTooFast: that address connects faster than ConnectRatePerAddress.
	ErrTooFast = errors.New("listen: this address connects too fast")
)

// Limiter counts connections by address and says which are too many. One Limiter
// serves all listeners. A nil *Limiter allows everything.
type Limiter struct {
	mu     sync.Mutex
	limits Limits
	open   int
	from   map[netip.Addr]*visitor
	sweep  int // addresses known at which forget runs
	now    func() time.Time
}

// visitor is one address: its open connections and its token bucket.
type visitor struct {
	open   int
	tokens float64
	at     time.Time // when tokens was true
}

// NewLimiter makes a Limiter.
func NewLimiter(l Limits) *Limiter {
	return &Limiter{limits: l, from: map[netip.Addr]*visitor{}, sweep: forgetAt, now: time.Now}
}

// SetLimits replaces the limits; connections that are open stay.
func (l *Limiter) SetLimits(limits Limits) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.limits = limits
}

// Open is the number of connections counted now.
func (l *Limiter) Open() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.open
}

// Acquire counts a connection from addr, or says why it must be refused. Every
// success must be followed by one Release.
func (l *Limiter) Acquire(addr netip.Addr) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limits.MaxConnections > 0 && l.open >= l.limits.MaxConnections {
		return ErrTooMany
	}
	if v := l.visitor(addr); v != nil {
		if most := l.limits.MaxConnectionsPerAddress; most > 0 && v.open >= most {
			return ErrTooManyFromAddress
		}
		if l.limits.ConnectRatePerAddress > 0 {
			if v.tokens < 1 {
				return ErrTooFast
			}
			v.tokens--
		}
		v.open++
	}
	l.open++
	return nil
}

// Release gives back what Acquire counted.
func (l *Limiter) Release(addr netip.Addr) {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if v := l.from[network(addr)]; v != nil {
		v.open--
	}
}

// visitor finds or makes the entry of addr, its bucket filled up to now; nil for
// addresses without limits: loopback and what is no IP address.
func (l *Limiter) visitor(addr netip.Addr) *visitor {
	if !addr.IsValid() || addr.Unmap().IsLoopback() {
		return nil
	}
	now, rate := l.now(), l.limits.ConnectRatePerAddress
	v := l.from[network(addr)]
	if v == nil {
		if len(l.from) >= l.sweep {
			l.forget(now)
		}
		v = &visitor{tokens: burst(rate), at: now}
		l.from[network(addr)] = v
	}
	v.tokens, v.at = v.filled(now, rate), now
	return v
}

func (v *visitor) filled(now time.Time, rate float64) float64 {
	return min(burst(rate), v.tokens+rate*now.Sub(v.at).Seconds())
}

// burst is how many connections may come at once.
func burst(rate float64) float64 { return max(1, 2*rate) }

// forgetAt is the least number of addresses at which those that no longer matter
// are forgotten.
const forgetAt = 10_000

// forget drops every address without connections whose bucket is full again, and,
// should few be left by that, all without connections: limits per address do not
// hold somebody who has tens of thousands of them, and memory has to be bounded.
func (l *Limiter) forget(now time.Time) {
	rate := l.limits.ConnectRatePerAddress
	for _, full := range []bool{true, false} {
		for addr, v := range l.from {
			if v.open == 0 && (!full || v.filled(now, rate) >= burst(rate)) {
				delete(l.from, addr)
			}
		}
		if len(l.from) < forgetAt/2 {
			break
		}
	}
	l.sweep = max(forgetAt, 2*len(l.from))
}

// network is what counts as one address: an IPv4 address or an IPv6 /64.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if addr.Is4() {
		return addr
	}
	p, err := addr.WithZone("").Prefix(64)
	if err != nil {
		return addr
	}
	return p.Addr()
}
