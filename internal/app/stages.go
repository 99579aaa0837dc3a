package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// stage is one long-lived part of the program. Its run returns when its context ends,
// after it has finished what it owes.
type stage struct {
	name string
	run  func(ctx context.Context) error
}

// runStages runs stages side by side until ctx ends or one of them returns, then ends
// them one after the other, the last first, and waits for each: what stands later in
// the list leans on what stands before it. It returns the first failure.
func runStages(ctx context.Context, stages ...stage) error {
	type running struct {
		cancel context.CancelFunc
		done   chan struct{}
		err    error
	}
	parts := make([]*running, len(stages))
	ended := make(chan int, len(stages))
	for i, s := range stages {
		// Each has a context of its own, so that the end of the program reaches them in
		// order and not all at once.
		own, cancel := context.WithCancel(context.WithoutCancel(ctx))
		r := &running{cancel: cancel, done: make(chan struct{})}
		parts[i] = r
		go func() {
			if err := s.run(own); err != nil && !errors.Is(err, context.Canceled) {
				r.err = fmt.Errorf("%s: %w", s.name, err)
			}
			close(r.done)
			ended <- i
		}()
	}
	var failure error
	select {
	case <-ctx.Done():
	case i := <-ended:
		failure = parts[i].err
		if failure == nil {
			failure = fmt.Errorf("%s ended unasked", stages[i].name)
		}
	}
	for _, part := range slices.Backward(parts) {
		part.cancel()
		<-part.done
		if failure == nil {
			failure = part.err
		}
	}
	return failure
}
