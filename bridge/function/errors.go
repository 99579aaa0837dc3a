package function

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// What can go wrong before or around a function's own code. Errors wrap one of these
// or are one of the types below.
var (
	// ErrNotFound: no function of that name is declared, or AWS knows none.
	ErrNotFound = errors.New("no such function")
	// ErrUnavailable: the function exists and cannot be run here, for instance
	// because its runtime is not installed. The message says what to do.
	ErrUnavailable = errors.New("function unavailable")
	// ErrTimeout: the function did not answer in the time it was given.
	ErrTimeout = errors.New("function timed out")
	// ErrThrottled: the function has too much to do; see [ThrottledError].
	ErrThrottled = errors.New("function throttled")
	// ErrPayloadTooLarge: the event is larger than [MaxPayload]; nothing was sent.
	ErrPayloadTooLarge = errors.New("the event exceeded maximum allowed payload size (6291456 bytes)")
	// ErrResponseTooLarge: the answer is larger than [MaxResponse].
	ErrResponseTooLarge = errors.New("the answer exceeded maximum allowed payload size (6291556 bytes)")
	// ErrRetired: the instance has been replaced by a reload; look the function up
	// again.
	ErrRetired = errors.New("function was replaced by a newer configuration")
)

// Error is a function's own failure: its code ran and threw, or its process died or
// overstayed. It is data, not a transport failure, and a retry may well do the same
// again.
type Error struct {
	// Type is the errorType of Lambda's error document, for instance "TypeError"
	// or "Runtime.ExitError"; may be empty.
	Type string
	// Message is the errorMessage; may be empty.
	Message string
	// Payload is the whole error document as the function gave it.
	Payload []byte
}

// Error says type and message in one line.
func (e *Error) Error() string {
	switch {
	case e.Type != "" && e.Message != "":
		return e.Type + ": " + e.Message
	case e.Message != "":
		return e.Message
	case e.Type != "":
		return e.Type
	default:
		return "the function failed: " + excerpt(e.Payload)
	}
}

// Is makes the time-out that Lambda reports as the function's own failure also an
// [ErrTimeout].
func (e *Error) Is(target error) bool {
	return target == ErrTimeout &&
		(e.Type == "Sandbox.Timedout" || strings.Contains(e.Message, "Task timed out after"))
}

// parseError reads Lambda's error document. A document of another form is kept whole
// and its beginning becomes the message.
func parseError(payload []byte) *Error {
	var doc struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	e := &Error{Payload: payload}
	if json.Unmarshal(payload, &doc) == nil {
		e.Type, e.Message = doc.Type, doc.Message
	}
	return e
}

// ThrottledError says that a function refused an invocation because it has too many.
// It is an [ErrThrottled].
type ThrottledError struct {
	// Reason is what the function's host gave, for instance
	// "ReservedFunctionConcurrentInvocationLimitExceeded"; may be empty.
	Reason string
	// RetryAfter is how long the host asks to wait; 0 if it did not say.
	RetryAfter time.Duration

	here bool // refused on this side, so it says nothing of the function
}

// Error names the reason and the wait.
func (e *ThrottledError) Error() string {
	s := ErrThrottled.Error()
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	if e.RetryAfter > 0 {
		s += fmt.Sprintf(" (retry after %s)", e.RetryAfter)
	}
	return s
}

// Unwrap is ErrThrottled.
func (e *ThrottledError) Unwrap() error { return ErrThrottled }

// StatusError is an HTTP status other than success, from an HTTP function or from
// Lambda's own interface.
type StatusError struct {
	// Status is the HTTP status code.
	Status int
	// Code is the error's name in Lambda's interface, for instance
	// "AccessDeniedException"; empty for HTTP functions.
	Code string
	// Message is what the host said, shortened.
	Message string
	// RetryAfter is how long the host asks to wait, with 503; 0 if it did not say.
	RetryAfter time.Duration
}

// Error says status, code and message in one line.
func (e *StatusError) Error() string {
	s := "HTTP status " + strconv.Itoa(e.Status)
	if t := http.StatusText(e.Status); t != "" {
		s += " " + t
	}
	if e.Code != "" {
		s += ": " + e.Code
	}
	if e.Message != "" {
		s += ": " + e.Message
	}
	return s
}

// Is makes 404 from Lambda's own interface an [ErrNotFound].
func (e *StatusError) Is(target error) bool {
	return target == ErrNotFound && e.Code == "ResourceNotFoundException"
}

// Outcome names what became of an invocation, for metrics and logs.
func Outcome(err error) string {
	var own *Error
	var open *OpenError
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &open):
		return "breaker_open"
	case errors.Is(err, ErrTimeout):
		return "timeout"
	case errors.As(err, &own):
		return "function_error"
	case errors.Is(err, ErrThrottled):
		return "throttled"
	case errors.Is(err, ErrNotFound):
		return "not_found"
	}
	var status *StatusError
	var network net.Error
	switch {
	case errors.As(err, &status):
		return "refused"
	case errors.As(err, &network), errors.Is(err, ErrUnavailable):
		return "unreachable"
	default:
		return "failed"
	}
}

// parseRetryAfter reads a Retry-After header (RFC 9110, section 10.2.3): seconds or
// an HTTP date. It returns 0 for anything else and for the past.
func parseRetryAfter(value string, now time.Time) time.Duration {
	if s, err := strconv.ParseUint(strings.TrimSpace(value), 10, 31); err == nil {
		return time.Duration(s) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil && at.After(now) {
		return at.Sub(now)
	}
	return 0
}

// excerpt shortens a body for an error message.
func excerpt(body []byte) string {
	const most = 200
	s := strings.TrimSpace(strings.ToValidUTF8(string(body[:min(len(body), most)]), "?"))
	if len(body) > most {
		s += "..."
	}
	return s
}
