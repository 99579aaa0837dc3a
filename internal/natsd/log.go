package natsd

import (
	"errors"
	"fmt"
	"sync/atomic"
)

// logAdapter takes the built-in server's log. What it calls notices is for those who
// look for something. An error or worse means that it cannot write any more: a stream
// that has failed once stays so until the server starts anew.
type logAdapter struct {
	e    *embedded
	last atomic.Pointer[string]
	over atomic.Bool // the server does not start
}

func (l *logAdapter) trouble(format string, v []any) string {
	text := fmt.Sprintf(format, v...)
	l.last.Store(&text)
	return text
}

// Noticef is a notice.
func (l *logAdapter) Noticef(format string, v ...any) { l.e.s.log.Debug().Msgf(format, v...) }

// Warnf is a warning. One that disables JetStream is about permissions.
func (l *logAdapter) Warnf(format string, v ...any) {
	l.e.s.log.Warn().Msg(l.trouble(format, v))
}

// Fatalf is what ends the server's start.
func (l *logAdapter) Fatalf(format string, v ...any) {
	l.e.s.log.Error().Msg(l.trouble(format, v))
	l.over.Store(true)
}

// Errorf says that something could not be written or read.
func (l *logAdapter) Errorf(format string, v ...any) {
	text := l.trouble(format, v)
	l.e.s.log.Error().Msg(text)
	l.e.s.lost(fmt.Errorf("%w: %w", ErrLost, errors.New(text)))
}

// Debugf is not asked for.
func (l *logAdapter) Debugf(string, ...any) {}

// Tracef is not asked for.
func (l *logAdapter) Tracef(string, ...any) {}
