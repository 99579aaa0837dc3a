package outbox_test

import (
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge/action"
	"github.com/topicwire/topicwire/bridge/outbox"
	"github.com/topicwire/topicwire/internal/journal"
	"github.com/topicwire/topicwire/internal/natsd"
	"github.com/topicwire/topicwire/message"
	"github.com/topicwire/topicwire/rules"
)

// journalLog is a JournalLog with what it stands on.
type journalLog struct {
	*outbox.JournalLog
	journal *journal.Journal
	server  *natsd.Server
	config  natsd.Config
}

func openLog(tb testing.TB, c natsd.Config, o journal.Options) *journalLog {
	tb.Helper()
	s, err := natsd.Open(tb.Context(), c, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	j := journal.New(s, o)
	l := &journalLog{outbox.NewJournalLog(j), j, s, c}
	tb.Cleanup(l.end)
	if err := j.Replay(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return l
}

func (l *journalLog) end() {
	_ = l.journal.Close()
	l.server.Close()
}

func TestJournalLog(t *testing.T) {
	testLog(t, openLog(t, natsd.Config{Dir: t.TempDir()}, journal.Options{}), func(t *testing.T, l outbox.Log) outbox.Log {
		t.Helper()
		old, _ := l.(*journalLog)
		old.end()
		return openLog(t, old.config, journal.Options{})
	})
}

// fill sets every field of v to something, so that a field that the codec does not know
// shows.
func fill(v reflect.Value, n int) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1_700_000_000+int64(n), 5).UTC()))
			return
		}
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() && v.Type().Field(i).Name != "Local" {
				fill(v.Field(i), n+i+1)
			}
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), n+1)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		fill(v.Index(0), n+1)
		fill(v.Index(1), n+2)
	case reflect.String:
		v.SetString(fmt.Sprint("s", n))
	case reflect.Int, reflect.Int64, reflect.Int32:
		v.SetInt(int64(n + 1))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(uint64(n + 1))
	case reflect.Bool:
		v.SetBool(true)
	default: // maps and interfaces: of templates, which JSON keeps as it keeps the rest
	}
}

// Every field of an entry comes back.
func TestEntriesComeBackWhole(t *testing.T) {
	var whole, bare outbox.Entry
	fill(reflect.ValueOf(&whole).Elem(), 0)
	whole.Seq, bare.Seq = 1, 2
	l := openLog(t, natsd.Config{Dir: t.TempDir()}, journal.Options{})
	store(t, l, whole, bare)
	l.end()
	got := load(t, openLog(t, l.config, journal.Options{}))
	if diff := cmp.Diff([]outbox.Entry{whole, bare}, got, cmpopts.EquateComparable(message.Origin{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A rule and a specification are in the journal once, however many jobs they have, and
// so is a message.
func TestWhatIsSharedIsStoredOnce(t *testing.T) {
	l := openLog(t, natsd.Config{Dir: t.TempDir()}, journal.Options{})
	source := &outbox.Source{Definition: rules.Definition{Name: "r", SQL: fmt.Sprintf("SELECT '%01000d' FROM 'a'", 0)}}
	spec := action.Spec{Lambda: &action.LambdaSpec{Function: fmt.Sprintf("f%01000d", 0)}}
	var seq uint64
	for range 100 {
		m := &message.Message{Topic: "a", Payload: make([]byte, 1000)}
		var entries []outbox.Entry
		for range 5 {
			seq++
			entries = append(entries, outbox.Entry{Seq: seq, Job: outbox.Job{
				Task: action.Task{ID: "i", Rule: "r", Message: m, Payload: m.Payload, Spec: spec}, Source: source,
			}})
		}
		store(t, l, entries...)
	}
	if s := l.journal.Stats(); s.LiveBytes > 100*(1000+400)+3000 {
		t.Errorf("%d bytes for 100 messages of 1000", s.LiveBytes)
	}
	l.end()
	l = openLog(t, l.config, journal.Options{})
	entries := load(t, l)
	if first, last := entries[0].Job, entries[len(entries)-1].Job; len(entries) != 500 || first.Source != last.Source || first.Spec != last.Spec {
		t.Error("what was shared is not shared any more")
	}
}

// The end of its journal refuses what is put, and forgets it.
func TestLogThatTakesNothing(t *testing.T) {
	l := openLog(t, natsd.Config{Dir: t.TempDir()}, journal.Options{})
	store(t, l, outbox.Entry{Seq: 1})
	l.end()
	_, err := l.Put([]outbox.Entry{{Seq: 2}}, false)
	r, ok := errors.AsType[*outbox.Refusal](err)
	if !ok || r.ReasonCode() != 0x83 || !errors.Is(err, journal.ErrClosed) {
		t.Errorf("got %v", err)
	}
	if got := load(t, l); len(got) != 1 {
		t.Errorf("%d entries", len(got))
	}
}

func FuzzReplay(f *testing.F) {
	for _, seed := range [][]byte{{}, {1}, {3, 1, 0, 1, 5, 0}, {4, 1, '{', '}'}, {5, 1, 2, 3}, {3, 2}, {9}, {3, 1, 31, 0, 1, 'x', 9, 1, 8, 0, 0, 0, 1, 1, 1, 0}} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		j := journal.New(nil, journal.Options{})
		l := outbox.NewJournalLog(j)
		if l.Replay(b) == nil {
			_ = l.Replay(b)
			_ = l.Replayed()
		}
	})
}

// BenchmarkJournalLog is the life of one job, beside the same in memory.
func BenchmarkJournalLog(b *testing.B) {
	for _, d := range []natsd.Durability{"memory", natsd.Interval, natsd.Fsync} {
		b.Run(string(d), func(b *testing.B) {
			var l outbox.Log = &memoryLog{entries: map[uint64]outbox.Entry{}}
			if d != "memory" {
				l = openLog(b, natsd.Config{Dir: b.TempDir(), Durability: d}, journal.Options{})
			}
			source := &outbox.Source{Definition: rules.Definition{Name: "r", SQL: "SELECT * FROM 'a'"}}
			spec := action.Spec{Lambda: &action.LambdaSpec{Function: "f"}}
			payload := make([]byte, 256)
			window := make(chan struct{}, 1024)
			b.ReportAllocs()
			var seq uint64
			for b.Loop() {
				seq++
				m := &message.Message{Topic: "a", Payload: payload, ID: "0f8fad5b-d9cb-469f-a165-70867728950e", From: message.Origin{ClientID: "client"}}
				window <- struct{}{}
				p, err := l.Put([]outbox.Entry{{Seq: seq, Job: outbox.Job{
					Task:  action.Task{ID: "7c9e6679-7425-40de-944b-e07fc1f90ae7", Rule: "r", Message: m, Payload: payload, Spec: spec},
					Stage: outbox.Act, Queue: "lambda/f", Accepted: time.Unix(1, 2), Source: source,
				}}}, false)
				if err != nil {
					b.Fatal(err)
				}
				done := func(error) {
					l.Delete(seq)
					<-window
				}
				if p == nil {
					done(nil)
				} else {
					p.Then(done)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
		})
	}
}
