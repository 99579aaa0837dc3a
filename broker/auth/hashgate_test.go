package auth

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// A flood takes no more than the slots that there are, and no more wait than a line takes.
// Whoever has logged in from there before goes first.
func TestHashGate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newHashGate(newMetrics(nil))
		g.free = 1
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		if err := g.enter(ctx, lineOfStrangers); err != nil {
			t.Fatal(err)
		}
		order := make(chan string, 2*maxHashesWaiting)
		wait := func(ctx context.Context, line int, name string) {
			go func() {
				if err := g.enter(ctx, line); err != nil {
					order <- "gone: " + name
					return
				}
				order <- name
				g.leave()
			}()
			synctest.Wait()
		}
		gone, leave := context.WithCancel(ctx)
		wait(gone, lineOfStrangers, "impatient")
		for range maxHashesWaiting - 1 {
			wait(ctx, lineOfStrangers, "stranger")
		}
		if err := g.enter(ctx, lineOfStrangers); !errors.Is(err, errBusy) {
			t.Errorf("one too many: %v", err)
		}
		wait(ctx, lineOfFriends, "friend") // whose line is empty
		leave()
		synctest.Wait()
		if got := <-order; got != "gone: impatient" {
			t.Errorf("%s came first", got)
		}
		g.leave()
		synctest.Wait()
		if got := <-order; got != "friend" {
			t.Errorf("%s came first, want the friend", got)
		}
		for range maxHashesWaiting - 1 {
			if got := <-order; got != "stranger" {
				t.Errorf("%s, want the strangers", got)
			}
		}
		if g.free != 1 || len(g.lines[lineOfFriends])+len(g.lines[lineOfStrangers]) != 0 {
			t.Errorf("%d slots are free at the end, and %d wait", g.free, len(g.lines[lineOfStrangers]))
		}
	})
}
