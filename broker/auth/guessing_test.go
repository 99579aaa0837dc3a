package auth_test

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/topicwire/topicwire/broker/auth"
)

// counted is the value of a counter without labels.
func counted(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	t.Fatalf("there is no metric %s", name)
	return 0
}

const hashes = "topicwire_auth_password_hashes_total"

// The password of the first user, whose hash stands in for those of unknown users, is not
// found out by asking for an unknown user twice: no attempt is quicker than the other.
func TestUnknownUsersTellNothingOfOthers(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	b := start(t, passwordConfig(passwords(t, "ada", "right")), auth.Options{Metrics: metrics})
	for n := range 3 {
		b.refuses(login("nobody", "right"), auth.ErrRefused)
		if got := counted(t, metrics, hashes); got != float64(n+1) {
			t.Errorf("attempt %d: %v hashes were computed", n+1, got)
		}
	}
	b.lets(login("ada", "right"), "ada")
}

// Guesses that come all at once are no more than those that come one after the other: who
// has waited for a hash is not looked at if there were too many meanwhile.
func TestGuessesAllAtOnce(t *testing.T) {
	t.Parallel()
	metrics := prometheus.NewRegistry()
	b := start(t, passwordConfig(passwords(t, "ada", "right")), auth.Options{Metrics: metrics})
	var wg sync.WaitGroup
	for n := range 200 {
		wg.Go(func() {
			b.refuses(from(fmt.Sprintf("198.51.100.%d", n), "ada", fmt.Sprintf("guess%d", n)), auth.ErrRefused)
		})
	}
	wg.Wait()
	if got, most := counted(t, metrics, hashes), float64(10+max(1, runtime.GOMAXPROCS(0)/2)-1); got > most {
		t.Errorf("%v guesses were looked at, want at most %v", got, most)
	}
}

// Policies that are wrong are no guess of whoever they came with.
func TestBadDocumentsAreNoGuesses(t *testing.T) {
	t.Parallel()
	bad := errors.New("the policies are wrong")
	b := start(t, passwordConfig(passwords(t, "ada", "right")), auth.Options{Authorize: refuseAll(bad)})
	for range 30 {
		b.refuses(login("ada", "right"), bad)
	}
	if _, err := b.Authenticate(t.Context(), login("ada", "right")); errors.Is(err, auth.ErrTooMany) {
		t.Error("policies that are wrong count as wrong attempts")
	}
}
