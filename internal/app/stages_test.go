package app

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/google/go-cmp/cmp"
)

func TestStagesEndLastFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var order []string
		part := func(name string) stage {
			return stage{name, func(ctx context.Context) error {
				<-ctx.Done()
				order = append(order, name)
				return ctx.Err()
			}}
		}
		ctx, cancel := context.WithCancel(t.Context())
		result := make(chan error)
		go func() { result <- runStages(ctx, part("functions"), part("broker"), part("http")) }()
		synctest.Wait()
		cancel()
		if err := <-result; err != nil {
			t.Errorf("an orderly end gave %v", err)
		}
		if diff := cmp.Diff([]string{"http", "broker", "functions"}, order); diff != "" {
			t.Error(diff)
		}
	})
}

func TestStagesEndWhenOneFails(t *testing.T) {
	boom := errors.New("boom")
	ended := false
	err := runStages(t.Context(),
		stage{"patient", func(ctx context.Context) error { <-ctx.Done(); ended = true; return nil }},
		stage{"broken", func(context.Context) error { return boom }},
	)
	if !errors.Is(err, boom) || !strings.Contains(err.Error(), "broken") || !ended {
		t.Errorf("err = %v, the other ended: %v", err, ended)
	}
}

func TestStagesEndWhenOneReturnsUnasked(t *testing.T) {
	err := runStages(t.Context(), stage{"short", func(context.Context) error { return nil }})
	if err == nil {
		t.Error("a stage that ended unasked is not reported")
	}
}
