package bench

import (
	"context"

	"golang.org/x/sys/unix"
)

// sleepSlice bounds one sleep, in nanoseconds, so that a cancelled context is seen.
const sleepSlice = 10_000_000

// sleepUntil sleeps until the clock shows due. Go's own timers may fire a millisecond
// late when the program is otherwise idle, which is more than a broker takes; the
// kernel's are exact to a few µs, see exactSleeps.
func (f *flow) sleepUntil(ctx context.Context, due int64) {
	for ctx.Err() == nil {
		left := due - f.clock.now()
		if left <= 0 {
			return
		}
		t := unix.NsecToTimespec(min(left, sleepSlice))
		_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &t, nil) // woken early: the loop sleeps again
	}
}

// exactSleeps takes the 50 µs of slack from the sleeps of the calling thread that the
// kernel gives them, which would count as the broker's latency. undo gives them back.
func exactSleeps() (undo func()) {
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	if err != nil || unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) != nil {
		return func() {}
	}
	return func() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(slack), 0, 0, 0) }
}
