package bridge

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// limitedLog writes warnings that may come by the thousand: for each kind and key it
// writes a few a second and counts the others, which the next line tells.
type limitedLog struct {
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

func newLimitedLog(log zerolog.Logger) *limitedLog {
	return &limitedLog{log: log, now: time.Now, keys: make(map[logKey]*logCount)}
}

// line is a warning in the making; nil if it is suppressed.
type line struct {
	fields zerolog.Context
	text   string
}

// warn begins a line about something that is counted by kind and key.
func (l *limitedLog) warn(kind, key string, err error, text string) *line {
	if l.log.GetLevel() > zerolog.WarnLevel {
		return nil
	}
	suppressed, ok := l.take(logKey{kind, key})
	if !ok {
		return nil
	}
	c := l.log.With()
	if err != nil {
		c = c.Err(err)
	}
	if suppressed > 0 {
		c = c.Int("suppressed", suppressed)
	}
	return &line{c, text}
}

func (l *limitedLog) take(k logKey) (suppressed int, ok bool) {
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
func (l *limitedLog) forget(now time.Time) {
	for k, c := range l.keys {
		if now.Sub(c.since) >= logInterval && c.suppressed == 0 {
			delete(l.keys, k)
		}
	}
	if len(l.keys) >= logKeys {
		clear(l.keys)
	}
}

// flush tells what has been suppressed and not been told.
func (l *limitedLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for k, c := range l.keys {
		if c.suppressed > 0 {
			l.log.Warn().Str("kind", k.kind).Str("key", k.key).Int("suppressed", c.suppressed).Msg("more of the same")
			c.suppressed = 0
		}
	}
}

func (e *line) str(key, value string) *line {
	if e != nil && value != "" {
		e.fields = e.fields.Str(key, value)
	}
	return e
}

func (e *line) send() {
	if e != nil {
		log := e.fields.Logger()
		log.Warn().Msg(e.text)
	}
}
