package grip

import (
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// limitedLog writes warnings that may come by the thousand: of each kind a few a
// second, and the others are counted, which the next line tells.
type limitedLog struct {
	log zerolog.Logger

	mu    sync.Mutex
	kinds map[string]*logCount // as many as there are in the code
}

type logCount struct {
	since               time.Time
	written, suppressed int
}

// How much is written.
const (
	logInterval = time.Second
	logBurst    = 5
)

func newLimitedLog(log zerolog.Logger) *limitedLog {
	return &limitedLog{log: log, kinds: make(map[string]*logCount)}
}

// warn writes a line, unless there have been too many of its kind. Further arguments
// are names and values.
func (l *limitedLog) warn(kind string, err error, text string, more ...string) {
	if l.log.GetLevel() > zerolog.WarnLevel {
		return
	}
	suppressed, ok := l.take(kind, time.Now())
	if !ok {
		return
	}
	e := l.log.Warn().Err(err)
	for i := 0; i+1 < len(more); i += 2 {
		e = e.Str(more[i], more[i+1])
	}
	if suppressed > 0 {
		e = e.Int("suppressed", suppressed)
	}
	e.Msg(text)
}

func (l *limitedLog) take(kind string, now time.Time) (suppressed int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	c := l.kinds[kind]
	if c == nil {
		c = &logCount{since: now}
		l.kinds[kind] = c
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

// flush tells what has been suppressed and not been told.
func (l *limitedLog) flush() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for kind, c := range l.kinds {
		if c.suppressed > 0 {
			l.log.Warn().Str("kind", kind).Int("suppressed", c.suppressed).Msg("more of the same")
			c.suppressed = 0
		}
	}
}
