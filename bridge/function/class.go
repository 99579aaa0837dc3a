package function

import (
	"context"
	"errors"
	"net"
	"time"
)

// Class says what kind of failure an invocation ended in, for whoever decides whether
// to try again.
type Class byte

// The classes.
const (
	// OK is no failure.
	OK Class = iota
	// Own: the function was reached and failed, took too long, answered what cannot be
	// used, or cannot run here as it stands. The same may happen again.
	Own
	// Throttled: the function has too much to do; nothing ran.
	Throttled
	// Transient: the function could not be reached, or what is in front of it failed.
	Transient
	// Permanent: the same event will be refused again: 404, 403, 413 and the like.
	Permanent
	// Open: the call was not made, because the breaker is open; see [OpenError].
	Open
)

// Classify tells the class of an error of an invocation.
func Classify(err error) Class {
	var own *Error
	var status *StatusError
	var network net.Error
	var open *OpenError
	switch {
	case err == nil:
		return OK
	case errors.As(err, &open):
		return Open
	case errors.As(err, &own), errors.Is(err, ErrTimeout), errors.Is(err, ErrResponseTooLarge), errors.Is(err, ErrUnavailable):
		return Own
	case errors.Is(err, ErrThrottled):
		return Throttled
	case errors.Is(err, ErrNotFound), errors.Is(err, ErrPayloadTooLarge):
		return Permanent
	case errors.As(err, &status):
		return classOfStatus(status.Status)
	case errors.As(err, &network), errors.Is(err, ErrRetired), errors.Is(err, context.Canceled):
		return Transient
	default:
		return Own // unknown: a few attempts, not hours of them
	}
}

func classOfStatus(status int) Class {
	switch {
	case status >= 500:
		return Transient
	case status == 408, status == 409, status == 425: // time-out, a function being updated, too early
		return Transient
	default:
		return Permanent
	}
}

// RetryAfter is how long the other side asks to wait before the next attempt; 0 if it
// does not.
func RetryAfter(err error) time.Duration {
	if t, ok := errors.AsType[*ThrottledError](err); ok {
		return t.RetryAfter
	}
	if s, ok := errors.AsType[*StatusError](err); ok {
		return s.RetryAfter
	}
	return 0
}
