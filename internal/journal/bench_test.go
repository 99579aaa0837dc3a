package journal_test

import (
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/internal/journal"
	"github.com/topicwire/topicwire/internal/natsd"
)

// ignore is an owner that keeps nothing.
type ignore struct{}

func (ignore) Replay([]byte) error { return nil }
func (ignore) Replayed() error     { return nil }

// BenchmarkAppend is one record of 256 bytes that somebody waits for, 1024 at a time.
func BenchmarkAppend(b *testing.B) {
	for _, d := range []natsd.Durability{natsd.Fast, natsd.Interval, natsd.Fsync} {
		b.Run(string(d), func(b *testing.B) {
			s, err := natsd.Open(b.Context(), natsd.Config{Dir: b.TempDir(), Durability: d}, zerolog.Nop())
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			j := journal.New(s, journal.Options{})
			j.Join(journal.Store, ignore{})
			if err := j.Replay(b.Context()); err != nil {
				b.Fatal(err)
			}
			record := make([]byte, 256)
			window := make(chan struct{}, 1024)
			var wg sync.WaitGroup
			done := func(err error) {
				if err != nil {
					b.Error(err)
				}
				<-window
				wg.Done()
			}
			b.ReportAllocs()
			for b.Loop() {
				window <- struct{}{}
				wg.Add(1)
				j.Lock()
				j.End(append(j.Begin(journal.Store), record...))
				n := j.Last()
				j.Unlock()
				j.After(n, done)
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "records/s")
			if err := j.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}
