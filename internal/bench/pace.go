package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"
)

// openLoop sends at a fixed rate from one thread, message k through publisher k modulo
// their number. Every message carries the moment at which it was due: if the
// broker or the generator stalls, the delay counts for all that should have gone
// out meanwhile.
func (f *flow) openLoop(ctx context.Context) error {
	runtime.LockOSThread() // the pacer sleeps in the kernel: see sleepUntil
	defer runtime.UnlockOSThread()
	defer exactSleeps()()
	begin := f.clock.now()
	warm := begin + int64(min(f.cfg.Duration/10, 500*time.Millisecond))
	for _, s := range f.subscribers {
		s.from = warm
	}
	gap := float64(time.Second) / f.cfg.Rate
	total := uint64(f.cfg.Messages) * uint64(len(f.publishers))
	for k := uint64(0); ctx.Err() == nil && (total == 0 || k < total); k++ {
		due := begin + int64(float64(k)*gap)
		if now := f.clock.now(); now < due {
			f.sleepUntil(ctx, due)
		}
		if late := time.Duration(f.clock.now() - due); due >= warm && late > f.late {
			f.late = late
		}
		if f.late > time.Minute {
			return fmt.Errorf("%w: a message went out a minute late; lower --rate", errGenerator)
		}
		p := f.publishers[k%uint64(len(f.publishers))]
		if err := ended(p.send(1, due)); err != nil {
			return who("publisher", int(k)%len(f.publishers), err)
		}
	}
	return nil
}
