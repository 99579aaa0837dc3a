package auth

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// hashGate bounds how many hashes are computed at once, so that a flood of wrong
// passwords leaves the other processors (and memory) to those who are connected, and how
// many wait for that. Users who come from where they have logged in before have a line of
// their own and go first: a flood of strangers does not hold them up.
type hashGate struct {
	metrics *metrics

	mu    sync.Mutex
	free  int                        // slots that nobody has; 0 while somebody waits
	lines [hashLines][]chan struct{} // who waits, in order; closing a channel hands a slot over
}

// The lines, the one that goes first first.
const (
	lineOfFriends = iota
	lineOfStrangers
	hashLines
)

// maxHashesWaiting is how many checks may wait in a line; one beyond is turned away at once.
const maxHashesWaiting = 256

func newHashGate(m *metrics) *hashGate {
	return &hashGate{free: max(1, runtime.GOMAXPROCS(0)/2), metrics: m}
}

// enter waits in a line until a hash may be computed. Whoever gets in has to leave.
func (g *hashGate) enter(ctx context.Context, line int) error {
	g.mu.Lock()
	if g.free > 0 {
		g.free--
		g.mu.Unlock()
		return nil
	}
	if len(g.lines[line]) >= maxHashesWaiting {
		g.mu.Unlock()
		return errBusy
	}
	turn := make(chan struct{})
	g.lines[line] = append(g.lines[line], turn)
	g.mu.Unlock()
	g.metrics.waiting.Inc()
	defer g.metrics.waiting.Dec()
	select {
	case <-turn:
		return nil
	case <-ctx.Done():
	}
	g.mu.Lock()
	i := slices.Index(g.lines[line], turn)
	if i >= 0 {
		g.lines[line] = slices.Delete(g.lines[line], i, i+1)
	}
	g.mu.Unlock()
	if i < 0 { // it was handed over meanwhile
		g.leave()
	}
	return fmt.Errorf("%w: %w", errBusy, ctx.Err())
}

// leave hands the slot to whoever waits.
func (g *hashGate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, line := range g.lines {
		if len(line) > 0 {
			close(line[0])
			g.lines[i] = slices.Delete(line, 0, 1)
			return
		}
	}
	g.free++
}
