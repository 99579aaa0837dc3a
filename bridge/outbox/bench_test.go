package outbox_test

import (
	"context"
	"testing"

	"github.com/topicwire/topicwire/bridge/outbox"
)

// BenchmarkMemory is one job's way through the outbox: put, handed out, done.
func BenchmarkMemory(b *testing.B) {
	o := openMemory(b, settings{concurrency: func(string) int { return 64 }})
	done := make(chan struct{}, 1024)
	stop := run(b, o, func(context.Context, outbox.Job) error { done <- struct{}{}; return nil })
	j := job("q", 1)
	b.ReportAllocs()
	flying := 0
	for b.Loop() {
		put(b, o, j)
		if flying++; flying == cap(done) {
			<-done
			flying--
		}
	}
	for range flying {
		<-done
	}
	if err := stop(); err != nil {
		b.Fatal(err)
	}
}
