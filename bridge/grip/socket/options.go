package socket

import (
	"sync/atomic"
	"time"
)

// Policy says what happens to a message for a client whose queue is full.
type Policy string

// The policies.
const (
	// Disconnect ends the connection with code 1013: the client knows that it has
	// missed something and comes back.
	Disconnect Policy = "disconnect"
	// DropNewest drops the message.
	DropNewest Policy = "drop_newest"
)

// Options bound one connection. Zero fields take the default beside them.
type Options struct {
	// MaxMessage is the largest message of the client in bytes; 1 MB. A larger one ends
	// the connection with code 1009.
	MaxMessage int
	// MaxFrame is its largest frame, likewise; 0 = as large as a message.
	MaxFrame int
	// MaxQueued and MaxQueuedMsgs bound what waits to be written, in bytes and frames;
	// 4 MB and 10000. One frame larger than MaxQueued is taken if nothing else waits.
	MaxQueued, MaxQueuedMsgs int
	// Policy says what happens beyond; Disconnect.
	Policy Policy
	// PingInterval is how often the client is pinged; one that does not answer until the
	// next is due is cut. 0 or negative = never.
	PingInterval time.Duration
	// WriteTimeout is how long the client's socket may take nothing before it is cut; 30 s.
	WriteTimeout time.Duration
	// Compress lets a client that offers it compress messages, and compresses for it.
	Compress bool
	// Linger is how long a close may take; 5 s.
	Linger time.Duration
	// Stats counts; may be nil.
	Stats *Stats
	// Writer writes what connections have queued; connections that share one are written
	// by the same few goroutines. nil = one of its own.
	Writer *Writer
}

// Stats counts over connections. It is read by whoever registers metrics.
type Stats struct {
	Open        atomic.Int64 // connections open now
	Opened      atomic.Int64 // connections ever
	Received    atomic.Int64 // messages from clients
	ReceivedB   atomic.Int64 // their bytes
	Sent        atomic.Int64 // frames accepted for clients
	SentB       atomic.Int64 // their payload bytes
	Dropped     atomic.Int64 // frames that found no room, by DropNewest
	Overflowed  atomic.Int64 // connections ended because their queue was full
	Abandoned   atomic.Int64 // frames that were queued when the connection was lost
	Writes      atomic.Int64 // writes to sockets
	QueuedBytes atomic.Int64 // bytes that wait now
	Pings       atomic.Int64 // client pings answered
}

func (o Options) withDefaults() Options {
	setInt := func(p *int, v int) {
		if *p <= 0 {
			*p = v
		}
	}
	setInt(&o.MaxMessage, 1<<20)
	setInt(&o.MaxQueued, 4<<20)
	setInt(&o.MaxQueuedMsgs, 10_000)
	if o.Policy == "" {
		o.Policy = Disconnect
	}
	if o.WriteTimeout <= 0 {
		o.WriteTimeout = 30 * time.Second
	}
	if o.Linger <= 0 {
		o.Linger = 5 * time.Second
	}
	if o.Stats == nil {
		o.Stats = &Stats{}
	}
	if o.Writer == nil {
		o.Writer = NewWriter()
	}
	return o
}
