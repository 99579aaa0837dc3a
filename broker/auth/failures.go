package auth

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// ErrTooMany says that wrong attempts of before have to be waited out; nothing was
// looked at. It wraps [ErrRefused].
var ErrTooMany = fmt.Errorf("%w: too many wrong attempts, wait", ErrRefused)

// errReplayed says that a signature is right and somebody has used it before. It wraps
// [ErrRefused].
var errReplayed = fmt.Errorf("%w: the signature was used before", ErrRefused)

// errBusy says that the server has too much to check already.
var errBusy = errors.New("auth: too many password checks are waiting")

// Refusal is why a method refuses credentials. It wraps [ErrRefused], or [ErrTooMany].
// It is for the log and not for the client: it may tell whether a user exists. What a client
// may be told is [Told].
type Refusal struct {
	// Method is the method's name.
	Method string
	// User is who the client claims to be, if that is known; no secret.
	User string
	// Why says what was wrong, without secrets.
	Why string

	// tell is what the client may be told. It is set if the client has shown the right
	// secret, and only something else is wrong: it has expired, was revoked, was used before.
	// Such a refusal is no wrong attempt, or one device with an old token would lock out
	// everybody behind its address.
	tell string
	err  error // ErrRefused if nil
}

// Error puts all of it on one line.
func (r *Refusal) Error() string {
	if r.User != "" {
		return fmt.Sprintf("%s: %.100q is refused: %s", r.Method, r.User, r.Why)
	}
	return fmt.Sprintf("%s: refused: %s", r.Method, r.Why)
}

// Unwrap is ErrRefused or ErrTooMany.
func (r *Refusal) Unwrap() error {
	if r.err != nil {
		return r.err
	}
	return ErrRefused
}

func refuse(method, user, format string, args ...any) error {
	return &Refusal{Method: method, User: user, Why: fmt.Sprintf(format, args...)}
}

// refuseGenuine refuses somebody who has shown the right secret, and may know the reason.
func refuseGenuine(method, user, format string, args ...any) error {
	why := fmt.Sprintf(format, args...)
	return &Refusal{Method: method, User: user, Why: why, tell: why}
}

// genuine reports the refusal of somebody who has shown the right secret.
func genuine(err error) bool { return Told(err) != "" }

// Told is what a client may be told of why it was refused, so that it can do something
// about it; empty if nothing. Whoever has not shown the right secret is told nothing.
func Told(err error) string {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return r.tell
	}
	return ""
}

// failureLog writes down refusals: a few in every interval, and how many there were
// besides.
type failureLog struct {
	log zerolog.Logger
	now func() time.Time

	mu      sync.Mutex
	since   time.Time
	written int
	held    int
}

// How much is written.
const (
	logInterval = 10 * time.Second
	logBurst    = 10
)

// take reports whether a line may be written now, and how many were not before it.
func (l *failureLog) take() (held int, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := l.now(); now.Sub(l.since) >= logInterval {
		l.since, l.written = now, 0
	}
	if l.written >= logBurst {
		l.held++
		return 0, false
	}
	l.written++
	held, l.held = l.held, 0
	return held, true
}

// refused writes down a refusal.
func (l *failureLog) refused(c *Credentials, err error) {
	held, ok := l.take()
	if !ok {
		return
	}
	e := l.log.Warn().Stringer("remote", c.Remote).Stringer("via", c.Via)
	if c.ClientID != "" {
		e = e.Str("client", cut(c.ClientID))
	}
	var r *Refusal
	switch {
	case errors.As(err, &r):
		e = e.Str("method", r.Method).Str("why", r.Why)
		if r.User != "" {
			e = e.Str("user", cut(r.User))
		}
	case errors.Is(err, ErrTooMany):
		e = e.Str("why", "too many wrong attempts from this address, it has to wait")
	default:
		why := "it shows nothing that a configured method knows"
		if more, ok := strings.CutPrefix(err.Error(), ErrNotMine.Error()+": "); ok {
			why = more
		}
		e = e.Str("why", why)
	}
	if held > 0 {
		e = e.Int("not_logged", held)
	}
	e.Msg("credentials refused")
}

// flush tells how many refusals have not been told.
func (l *failureLog) flush() {
	l.mu.Lock()
	held := l.held
	l.held = 0
	l.mu.Unlock()
	if held > 0 {
		l.log.Warn().Int("not_logged", held).Msg("credentials refused")
	}
}

// cut bounds what a client chose before it is logged.
func cut(s string) string {
	const most = 100
	if len(s) > most {
		return strings.ToValidUTF8(s[:most], "") + "..."
	}
	return s
}
