package listen

import (
	"crypto/tls"
	"time"

	"github.com/rs/zerolog"
)

// The defaults of Options.
const (
	// DefaultConnectTimeout is how long a connection may take to get a CONNECT accepted.
	DefaultConnectTimeout = 10 * time.Second
	// DefaultWriteTimeout is how long a socket may take nothing before it is cut.
	DefaultWriteTimeout = 30 * time.Second
	// DefaultLinger is how long Close waits for the last bytes to leave and the peer to hang up.
	DefaultLinger = 5 * time.Second
	// DefaultDrain is how long Serve waits for its connections after its context has ended.
	DefaultDrain = 10 * time.Second
	// DefaultWriteLimit bounds the bytes queued for one connection.
	DefaultWriteLimit = 4 << 20
	// DefaultHighWater and DefaultLowWater are the marks of Congested and OnDrain.
	DefaultHighWater = 256 << 10
	// DefaultLowWater is a quarter of the high-water mark.
	DefaultLowWater = 64 << 10
)

// Handler runs one connection to its end. When it returns, what was written is
// flushed and the connection closed; a panic is recovered, logged and counted.
type Handler func(c *Conn)

// Options are what listeners need. The zero value works: every zero field takes
// the default beside it. Listeners that share a Limiter, Metrics or Flusher are
// counted, measured and flushed together.
type Options struct {
	// Name of the listener in logs, metrics and Info.Listener.
	Name string
	// TLS makes a TCP listener a TLS one.
	TLS *tls.Config
	// Limiter counts connections and refuses those that are too many; nil = no limits.
	Limiter *Limiter
	// Metrics counts connections and bytes; nil = nothing is counted.
	Metrics *Metrics
	// Flusher writes what connections have queued; nil = the listener has its own.
	Flusher *Flusher
	// Log gets refusals (debug), panics and failing accepts (error).
	Log zerolog.Logger

	// ConnectTimeout: see DefaultConnectTimeout.
	ConnectTimeout time.Duration
	// WriteTimeout: see DefaultWriteTimeout.
	WriteTimeout time.Duration
	// Linger: see DefaultLinger.
	Linger time.Duration
	// Drain: see DefaultDrain.
	Drain time.Duration
	// MaxLifetime ends connections that last longer: ErrLifetime; 0 = none does.
	MaxLifetime time.Duration
	// WriteLimit in bytes: see DefaultWriteLimit. A single packet above it is
	// accepted when nothing else is queued.
	WriteLimit int
	// HighWater and LowWater in bytes: see DefaultHighWater.
	HighWater, LowWater int
	// MaxPacketSize in bytes that a connection starts with; 0 = what MQTT allows.
	// See Conn.SetMaxPacketSize.
	MaxPacketSize int
}

func (o Options) withDefaults() Options {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.ConnectTimeout, DefaultConnectTimeout)
	set(&o.WriteTimeout, DefaultWriteTimeout)
	set(&o.Linger, DefaultLinger)
	set(&o.Drain, DefaultDrain)
	if o.WriteLimit <= 0 {
		o.WriteLimit = DefaultWriteLimit
	}
	if o.HighWater <= 0 {
		o.HighWater = min(DefaultHighWater, o.WriteLimit/2)
	}
	if o.LowWater <= 0 || o.LowWater > o.HighWater {
		o.LowWater = o.HighWater / 4
	}
	if o.Name == "" {
		o.Name = "mqtt"
	}
	if o.Flusher == nil {
		o.Flusher = NewFlusher()
	}
	return o
}
