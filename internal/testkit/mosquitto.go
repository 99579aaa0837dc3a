package testkit

import (
	"errors"
	"testing"

	"github.com/topicwire/topicwire/internal/bench"
)

// Mosquitto starts mosquitto, a broker that is not ours, until the test ends. Without
// it the test does what [Need] does.
func Mosquitto(tb testing.TB) *bench.Broker {
	tb.Helper()
	b, err := bench.StartMosquitto(tb.Context(), tb.TempDir(), -1)
	if errors.Is(err, bench.ErrNoBroker) {
		Missing(tb, err.Error())
	}
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := b.Stop(); err != nil {
			tb.Error(err)
		}
	})
	return b
}
