package emulator

import (
	"errors"
	"fmt"
	"time"
)

// What Invoke returns when the function did not run. A failure of the function itself
// is no error here: it is a [Result] with FunctionError set.
var (
	// ErrThrottled: no process was free in time. Carried by [*ThrottledError].
	ErrThrottled = errors.New("emulator: too many requests")
	// ErrUnavailable: the code cannot run on this machine as things are. Carried by
	// [*UnavailableError], which says what to do.
	ErrUnavailable = errors.New("emulator: function unavailable")
	// ErrPayloadTooLarge: the event exceeds [MaxPayload].
	ErrPayloadTooLarge = errors.New("emulator: the event is larger than the 6 MB an invocation takes")
	// ErrClosed: the function has been shut down.
	ErrClosed = errors.New("emulator: function closed")
)

// ThrottledError refuses an invocation for want of a free process; AWS's counterpart
// is TooManyRequestsException. It is [ErrThrottled].
type ThrottledError struct {
	// Function is the function's name.
	Function string
	// Reason is AWS's: ReservedFunctionConcurrentInvocationLimitExceeded.
	Reason string
	// Waited is how long the invocation had queued; 0 if the queue was full.
	Waited time.Duration
	// Off says that the function's reserved concurrency has been set to 0.
	Off bool
}

// reasonConcurrency is AWS's word for a function that is at its reserved concurrency.
const reasonConcurrency = "ReservedFunctionConcurrentInvocationLimitExceeded"

// Error says which function, and which settings to change.
func (e *ThrottledError) Error() string {
	if e.Off {
		return fmt.Sprintf("emulator: too many requests: the reserved concurrency of function %q was set to 0; raise it with PutFunctionConcurrency", e.Function)
	}
	if e.Waited == 0 {
		return fmt.Sprintf("emulator: too many requests: the queue of function %q is full; raise its max_queue or concurrency", e.Function)
	}
	return fmt.Sprintf("emulator: too many requests: no process of function %q was free within %s; raise its concurrency or max_wait",
		e.Function, e.Waited.Round(time.Millisecond))
}

// Is makes it an [ErrThrottled].
func (e *ThrottledError) Is(target error) bool { return target == ErrThrottled }

// UnavailableError says why a function cannot run now: its runtime is not installed,
// its code is missing, or it does not build. It is [ErrUnavailable]. Once the cause
// is gone the function works, without a restart.
type UnavailableError struct {
	// Function is the function's name.
	Function string
	// Problem is what is wrong, for instance the compiler's output.
	Problem string
	// Remedy is what to do about it; may be empty.
	Remedy string
}

// Error is the problem, and the remedy if there is one.
func (e *UnavailableError) Error() string {
	text := fmt.Sprintf("emulator: function %q is unavailable: %s", e.Function, e.Problem)
	if e.Remedy != "" {
		text += "; " + e.Remedy
	}
	return text
}

// Is makes it an [ErrUnavailable].
func (e *UnavailableError) Is(target error) bool { return target == ErrUnavailable }
