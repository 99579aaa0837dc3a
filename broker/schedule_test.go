package broker

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func TestScheduleRunsInOrderOfTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newSchedule()
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { s.run(ctx); close(done) }()
		var got []int
		add := func(n int) *entry {
			start := time.Now()
			return s.after(time.Duration(n)*time.Minute, func() {
				if at := time.Since(start); at != time.Duration(n)*time.Minute {
					t.Errorf("%d ran after %v", n, at)
				}
				got = append(got, n)
			})
		}
		add(300)
		add(2)
		cancelled := add(3)
		add(1)
		add(5)
		s.cancel(cancelled)
		s.cancel(cancelled)
		<-time.After(6 * time.Minute)
		again := add(0)
		<-time.After(6 * time.Hour)
		s.cancel(again) // has run: nothing happens
		cancel()
		<-done
		if !slices.Equal(got, []int{1, 2, 5, 0, 300}) {
			t.Errorf("ran %v", got)
		}
	})
}
