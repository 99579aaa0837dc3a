// Package limitedlog writes warnings that may come by the thousand without drowning the
// log in them.
package limitedlog

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Log writes, for each kind and key, a few warnings a second and counts the others, which
// the next line tells. It is safe for concurrent use.
type Log struct {
	log zerolog.Logger
	now func() time.Time

	mu   sync.Mutex
	keys map[logKey]*logCount
}

type logKey struct{ kind, key string }

type logCount struct {
	since      time.Time
	written    int
	suppressed int
}

// How much is written: a burst per key and interval, for so many keys.
const (
	logInterval = time.Second
	logBurst    = 5
	logKeys     = 1024
)

// New returns a Log that writes to log.
func New(log zerolog.Logger) *Log {
	return &Log{log: log, now: time.Now, keys: make(map[logKey]*logCount)}
}

// Warn writes a line about something that is counted by kind and key, unless there have
// been too many of them. err may be nil. The further arguments are names and values;
// values that are empty are left out.
func (l *Log) Warn(kind, key string, err error, text string, more ...string) {
	if l.log.GetLevel() > zerolog.WarnLevel {
		return
	}
	suppressed, ok := l.take(logKey{kind, key})
	if !ok {
		return
	}
	e := l.log.Warn().Err(err)
	for i := 0; i+1 < len(more); i += 2 {
		if more[i+1] != "" {
			e = e.Str(more[i], more[i+1])
		}
	}
	if suppressed > 0 {
		e = e.Int("suppressed", suppressed)
	}
	e.Msg(text)
}

func (l *Log) take(k logKey) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	c := l.keys[k]
	if c == nil {
		if len(l.keys) >= logKeys {
			l.forget(now)
		}
		c = &logCount{since: now}
		l.keys[k] = c
	}
	if now.Sub(c.since) >= logInterval {
		c.since, c.written = now, 0
	}
	if c.written >= logBurst {
		c.suppressed++
		return 0, false
	}
	c.written++
	suppressed, c.suppressed = c.suppressed, 0
	return suppressed, true
}

// forget makes room: the keys that are quiet go, or all of them.
func (l *Log) forget(now time.Time) {
	for k, c := range l.keys {
		if now.Sub(c.since) >= logInterval && c.suppressed == 0 {
			delete(l.keys, k)
		}
	}
	if len(l.keys) >= logKeys {
		clear(l.keys)
	}
}

// Flush tells what has been suppressed and not been told.
func (l *Log) Flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, c := range l.keys {
		if c.suppressed > 0 {
			l.log.Warn().Str("kind", k.kind).Str("key", k.key).Int("suppressed", c.suppressed).Msg("more of the same")
			c.suppressed = 0
		}
	}
}
