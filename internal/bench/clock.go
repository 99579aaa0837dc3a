package bench

import "time"

// clock counts nanoseconds since a run began; monotonic, never 0.
type clock struct{ start time.Time }

func newClock() *clock { return &clock{start: time.Now()} }

func (c *clock) now() int64 { return int64(time.Since(c.start)) + 1 }
