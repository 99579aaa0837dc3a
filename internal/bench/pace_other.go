//go:build !linux

package bench

import (
	"context"
	"time"
)

// sleepUntil waits until the clock shows due, as exactly as Go's timers are.
func (f *flow) sleepUntil(ctx context.Context, due int64) {
	t := time.NewTimer(time.Duration(due - f.clock.now()))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}

// exactSleeps has nothing to do here.
func exactSleeps() (undo func()) { return func() {} }
