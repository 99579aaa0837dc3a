package journal_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/topicwire/topicwire/internal/journal"
	"github.com/topicwire/topicwire/internal/natsd"
)

// patience ends a test that waits for what never comes.
const patience = 20 * time.Second

func receive[T any](tb testing.TB, c <-chan T, what string) (v T) {
	tb.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		tb.Fatalf("still no %s after %s", what, patience)
	}
	return v
}

// A journal that is closed while nothing can be written gives up in time, tells those who
// wait, tidying up among them, and says what it could not do.
func TestEndWhileNothingCanBeWritten(t *testing.T) {
	f := &faulty{Server: server(t, t.TempDir()), mend: make(chan struct{})}
	r := mustOpen(t, f, journal.Options{Tidy: 1, Patience: 50 * time.Millisecond})
	for i := range uint64(20) {
		r.set(i, strings.Repeat("x", 1000))
	}
	if err := r.sync(t); err != nil {
		t.Fatal(err)
	}
	f.set(natsd.ErrFull)
	r.set(1, "during")
	waited := make(chan error, 1)
	r.j.Sync(func(err error) { waited <- err })
	<-f.mend
	closed := make(chan error, 1)
	go func() { closed <- r.j.Close() }()
	if err := receive(t, waited, "word for those who wait"); !errors.Is(err, natsd.ErrFull) {
		t.Errorf("they are told %v", err)
	}
	if err := receive(t, closed, "end of Close"); !errors.Is(err, natsd.ErrFull) {
		t.Errorf("Close says %v", err)
	}
	late := make(chan error, 1)
	r.j.Sync(func(err error) { late <- err })
	if err := receive(t, late, "word for who comes too late"); err == nil {
		t.Error("what comes after the end was called durable")
	}
}

// Of a record that spans several messages the server loses the first one after it has
// acknowledged it: the record is written from its beginning.
func TestServerLosesAPiece(t *testing.T) {
	s := server(t, t.TempDir())
	f := &counted{faulty: faulty{Server: s, mend: make(chan struct{})}}
	r := mustOpen(t, f, journal.Options{})
	r.set(1, "small")
	if err := r.sync(t); err != nil {
		t.Fatal(err)
	}
	f.allow(1) // the first piece
	r.set(2, strings.Repeat("large", 4<<20))
	waited := make(chan error, 1)
	r.j.Sync(func(err error) { waited <- err })
	receive(t, f.mend, "failure")
	js, st := stream(t, s)
	if err := js.DeleteStream(t.Context(), st.CachedInfo().Config.Name); err != nil {
		t.Fatal(err)
	}
	f.allow(-1)
	if err := receive(t, waited, "answer"); err != nil {
		t.Fatal(err)
	}
	if err := r.sync(t); err != nil {
		t.Fatal(err)
	}
	want := r.texts()
	if err := r.j.Close(); err != nil {
		t.Fatal(err)
	}
	if !cmp.Equal(want, mustOpen(t, s, journal.Options{}).texts()) {
		t.Error("they do not come back as they were")
	}
}

// counted lets so many writes through, and fails those after them; all of them if it is
// allowed a negative number.
type counted struct {
	faulty
	left    int
	limited bool
}

func (c *counted) remaining() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.left
}

func (c *counted) allow(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.left = n
	c.limited = n >= 0
}

func (c *counted) Room(n int, _ bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n == 0 || !c.limited {
		return nil
	}
	if c.left == 0 {
		return errors.New("the disk makes trouble")
	}
	c.left--
	return nil
}

// While more has been dropped than is written anew nobody is told that anything is durable.
func TestNothingIsDurableBeforeWhatWasDropped(t *testing.T) {
	s := server(t, t.TempDir())
	f := &counted{faulty: faulty{Server: s, mend: make(chan struct{})}}
	r := mustOpen(t, f, journal.Options{MaxPending: 4 << 10, Tidy: 1 << 30, Patience: 50 * time.Millisecond})
	const old = 40
	for i := range uint64(old) {
		r.set(i, strings.Repeat("a", 64<<10))
		if err := r.sync(t); err != nil {
			t.Fatal(err)
		}
	}
	f.allow(0)
	r.set(100, "in flight")
	receive(t, f.mend, "failure")
	r.remove(old - 1) // a note, which is dropped
	for n := range 100 {
		r.set(101, fmt.Sprint(n, strings.Repeat("b", 1000)))
	}
	r.set(102, "after")
	told := make(chan error, 1)
	r.j.Sync(func(err error) { told <- err })
	f.allow(2) // what is in flight and what came after
	for f.remaining() > 0 {
		receive(t, f.mend, "failure")
	}
	receive(t, f.mend, "failure")
	select {
	case err := <-told:
		t.Errorf("it was called durable (%v) while a crash brings back what has been removed", err)
	default:
	}
	f.allow(-1)
	if err := receive(t, told, "answer"); err != nil {
		t.Error(err)
	}
	want := r.texts()
	if diff := cmp.Diff(want, mustOpen(t, s, journal.Options{}).texts()); diff != "" { // as after a crash at this moment
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A stream that has reached a limit of its operator's is full, and goes on when that is raised.
func TestStreamAtItsLimit(t *testing.T) {
	s := server(t, t.TempDir())
	r := mustOpen(t, s, journal.Options{})
	js, st := stream(t, s)
	limit := func(bytes int64) {
		t.Helper()
		config := st.CachedInfo().Config
		config.MaxBytes = bytes
		if _, err := js.UpdateStream(t.Context(), config); err != nil {
			t.Fatal(err)
		}
	}
	limit(64 << 10)
	r.set(1, strings.Repeat("x", 256<<10))
	waited := make(chan error, 1)
	r.j.Sync(func(err error) { waited <- err })
	for end := time.Now().Add(patience); r.j.Err() == nil && time.Now().Before(end); {
		<-time.After(time.Millisecond)
	}
	if refusal, ok := errors.AsType[*journal.Refusal](r.j.Err()); !ok || refusal.ReasonCode() != 0x97 {
		t.Errorf("got %v", r.j.Err())
	}
	limit(-1)
	if err := receive(t, waited, "answer"); err != nil {
		t.Error(err)
	}
}

// A stream that throws messages away by itself is no place for a journal.
func TestStreamThatForgets(t *testing.T) {
	for name, change := range map[string]func(*jetstream.StreamConfig){
		"max_age":  func(c *jetstream.StreamConfig) { c.MaxAge = time.Hour },
		"max_msgs": func(c *jetstream.StreamConfig) { c.MaxMsgs, c.Discard = 10, jetstream.DiscardOld },
	} {
		t.Run(name, func(t *testing.T) {
			s := server(t, t.TempDir())
			conn, _ := s.Link()
			js, err := jetstream.New(conn)
			if err != nil {
				t.Fatal(err)
			}
			config := jetstream.StreamConfig{Name: natsd.DefaultStream, Subjects: []string{"topicwire.journal." + natsd.DefaultStream}}
			change(&config)
			if _, err := js.CreateStream(context.Background(), config); err != nil {
				t.Fatal(err)
			}
			if _, err := open(t, s, journal.Options{}); err == nil || !strings.Contains(err.Error(), "throws messages away") || !strings.Contains(err.Error(), "nats stream edit") {
				t.Errorf("got %v", err)
			}
		})
	}
}
