package function

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// The number of invocations that may run at once.
const (
	// DefaultConcurrency holds for lambda and http functions that set none.
	DefaultConcurrency = 64
	maxConcurrency     = 1000
)

// How many calls may wait for a slot, and how long; what is more is refused as throttled.
// Emulated functions have settings for the same.
const (
	maxWaiting = 1000
	maxWait    = 30 * time.Second
)

// instance is one configured function with what surrounds every call: a count of the
// calls in flight, which a reload waits for, a limit on how many run at once, a time
// limit and the size limits. It outlives the Registry that made it when a reload
// finds its configuration unchanged.
type instance struct {
	name    string
	config  Config
	inner   Function
	timeout time.Duration // 0: the function has a limit of its own
	slots   chan struct{} // one token a running call; nil if what is behind it sees to that
	waiting atomic.Int32  // calls that wait for a slot
	metrics *metrics
	health  *Health
	run     func(context.Context) error // what lives behind it; may be nil

	mu      sync.Mutex
	holders int           // registries that use it
	flying  int           // calls begun and not ended
	retired bool          // takes no new calls
	idle    chan struct{} // closed when retired and nothing flies
	stop    context.CancelFunc
	stopped chan struct{} // closed when run has returned; nil if never started
}

func newInstance(name string, c Config, inner Function, run func(context.Context) error, m *metrics) *instance {
	n := c.Concurrency
	if n <= 0 {
		n = DefaultConcurrency
	}
	return &instance{
		name: name, config: c, inner: inner, run: run, metrics: m,
		timeout: c.limit(), slots: make(chan struct{}, n), idle: make(chan struct{}),
		health: newHealth(name, n, m),
	}
}

// Invoke implements [Function]. It waits for a free slot first; the function's time
// limit begins after that.
func (i *instance) Invoke(parent context.Context, payload []byte) (out []byte, err error) {
	if len(payload) > MaxPayload {
		return nil, fmt.Errorf("function %s: %w: it has %d bytes", i.name, ErrPayloadTooLarge, len(payload))
	}
	if !i.begin() {
		return nil, fmt.Errorf("function %s: %w", i.name, ErrRetired)
	}
	defer i.end()
	started := time.Now()
	direct := CallFrom(parent).Direct
	if !direct {
		if err := i.health.begin(started); err != nil {
			i.metrics.observe(i.name, Outcome(err), 0)
			return nil, fmt.Errorf("function %s: %w", i.name, err)
		}
	}
	defer func() {
		if !direct {
			i.health.end(unless(parent, err), started, time.Now())
		}
		i.metrics.observe(i.name, Outcome(err), time.Since(started))
	}()
	if err := i.enter(parent); err != nil {
		return nil, i.failure(parent, parent, err)
	}
	defer i.leave()
	ctx := parent
	if i.timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(parent, i.timeout)
		defer cancel()
	}
	out, err = i.inner.Invoke(ctx, payload)
	if err != nil {
		return nil, i.failure(ctx, parent, err)
	}
	if len(out) > MaxResponse {
		return nil, fmt.Errorf("function %s: %w: it has %d bytes", i.name, ErrResponseTooLarge, len(out))
	}
	return out, nil
}

// enter waits for a slot.
func (i *instance) enter(ctx context.Context) error {
	if i.slots == nil {
		return nil
	}
	select {
	case i.slots <- struct{}{}:
		return nil
	default:
	}
	defer i.waiting.Add(-1)
	if i.waiting.Add(1) > maxWaiting {
		return errBusy()
	}
	limit := time.NewTimer(maxWait)
	defer limit.Stop()
	select {
	case i.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-limit.C:
		return errBusy()
	}
}

func (i *instance) leave() {
	if i.slots != nil {
		<-i.slots
	}
}

// errBusy refuses a call for want of a slot, in AWS's words.
func errBusy() error {
	return &ThrottledError{Reason: "ReservedFunctionConcurrentInvocationLimitExceeded", here: true}
}

func (i *instance) failure(ctx, parent context.Context, err error) error {
	if timedOut(ctx, parent, err) {
		return fmt.Errorf("function %s: %w after %s", i.name, ErrTimeout, i.timeout)
	}
	return fmt.Errorf("function %s: %w", i.name, err)
}

// unless is err, or context.Canceled if the caller has gone: that says nothing of the
// function.
func unless(parent context.Context, err error) error {
	if err != nil && parent.Err() != nil {
		return context.Canceled
	}
	return err
}

// begin counts a call in; false when the instance takes no more.
func (i *instance) begin() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.retired {
		return false
	}
	i.flying++
	return true
}

func (i *instance) end() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.flying--
	if i.retired && i.flying == 0 {
		close(i.idle)
	}
}

// hold adds a registry that uses the instance; false when it is too late.
func (i *instance) hold() bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.retired {
		return false
	}
	if i.holders++; i.holders == 1 {
		i.metrics.targets.add(i.health)
	}
	return true
}

// start runs what lives behind the instance, once. It does not end with the context
// of the registry that started it, because a later registry may have taken it over:
// the last one to release it ends it.
func (i *instance) start(ctx context.Context, report func(name string, err error)) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.run == nil || i.stopped != nil || i.retired {
		return
	}
	ctx, i.stop = context.WithCancel(context.WithoutCancel(ctx))
	stopped := make(chan struct{})
	i.stopped = stopped
	go func() {
		defer close(stopped)
		if err := i.run(ctx); err != nil && ctx.Err() == nil {
			report(i.name, err)
		}
	}()
}

// release takes a registry off. The last one retires the instance: no new calls,
// those in flight have until limit ends, then everything behind it stops, and release
// returns when it has.
func (i *instance) release(limit context.Context) {
	i.mu.Lock()
	i.holders--
	last := i.holders == 0
	if last && !i.retired {
		i.retired = true
		if i.flying == 0 {
			close(i.idle)
		}
	}
	stop, stopped := i.stop, i.stopped
	i.mu.Unlock()
	if !last {
		return
	}
	i.metrics.targets.remove(i.health)
	select {
	case <-i.idle:
	case <-limit.Done():
	}
	if stopped != nil {
		stop()
		<-stopped
	}
}
