package emulator

import "time"

// Hops is how many rules and functions have passed what a process is working on: the
// most of its invocations in progress, or that of its last one, because what a function
// leaves running behind its answer goes on when it is invoked again. token is the one
// that Options.EnvFor was given; false if no such process lives.
func (f *Function) Hops(token string) (uint8, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for e := range f.all {
		if e.token != token {
			continue
		}
		if len(e.active) == 0 {
			return e.lastHops, true
		}
		var most uint8
		for _, k := range e.active {
			most = max(most, k.inv.Hops)
		}
		return most, true
	}
	return 0, false
}

// SetConcurrency changes how many invocations may run at once, from 0, which refuses
// all, to what the configuration says; it holds until the function ends. Processes that
// are now too many finish what they have begun. It returns the number that holds.
func (f *Function) SetConcurrency(n int) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n = max(0, min(n, f.cfg.Concurrency))
	f.allowed = n
	f.retireSurplus()
	f.scale(time.Now()) // calls may have waited for more
	return n
}

// retireSurplus lets processes go that are too many, idle ones first. f.mu is held.
func (f *Function) retireSurplus() {
	most := f.maxEnvironments()
	for _, idleFirst := range []bool{true, false} {
		for e := range f.all {
			if f.gen == nil || f.gen.live <= most {
				return
			}
			if e.gen == f.gen && e.counted && (!idleFirst || e.busy() == 0) {
				e.retire()
			}
		}
	}
}

// Concurrency is how many invocations may run at once now.
func (f *Function) Concurrency() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.allowed
}

// maxEnvironments is how many processes there may be now. f.mu is held.
func (f *Function) maxEnvironments() int {
	c := f.cfg
	c.Concurrency = f.allowed
	return c.maxEnvironments()
}
