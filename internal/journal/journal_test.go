package journal_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/internal/journal"
	"github.com/topicwire/topicwire/internal/natsd"
	"github.com/topicwire/topicwire/message"
)

// register is an owner of numbered values: the simplest there can be.
type register struct {
	j      *journal.Journal
	values map[uint64]*value
}

type value struct {
	journal.Record
	key  uint64
	text []byte
}

func (v *value) AppendTo(b []byte) []byte {
	return append(binary.AppendUvarint(append(b, 1), v.key), v.text...)
}

func (r *register) set(key uint64, text string) {
	r.j.Lock()
	defer r.j.Unlock()
	v := r.values[key]
	if v == nil {
		v = &value{key: key}
		v.Init(journal.Store, v)
		r.values[key] = v
	}
	v.text = []byte(text)
	r.j.Put(&v.Record)
}

func (r *register) remove(key uint64) {
	r.j.Lock()
	defer r.j.Unlock()
	if v := r.values[key]; v != nil {
		delete(r.values, key)
		r.j.Drop(&v.Record)
		r.j.End(binary.AppendUvarint(append(r.j.Begin(journal.Store), 2), key))
	}
}

func (r *register) Replay(b []byte) error {
	key, n := binary.Uvarint(b[1:])
	if b[0] == 2 {
		if v := r.values[key]; v != nil {
			r.j.Drop(&v.Record)
			delete(r.values, key)
		}
		return nil
	}
	v := r.values[key]
	if v == nil {
		v = &value{key: key}
		v.Init(journal.Store, v)
		r.values[key] = v
	}
	v.text = bytes.Clone(b[1+n:])
	r.j.Restored(&v.Record)
	return nil
}

func (r *register) Replayed() error { return nil }

func (r *register) texts() map[uint64]string {
	out := map[uint64]string{}
	for k, v := range r.values {
		out[k] = string(v.text)
	}
	return out
}

func (r *register) sync(tb testing.TB) error {
	tb.Helper()
	done := make(chan error, 1)
	r.j.Sync(func(err error) { done <- err })
	return <-done
}

// open opens a journal with a register on s.
func open(tb testing.TB, s journal.Server, o journal.Options) (*register, error) {
	tb.Helper()
	r := &register{j: journal.New(s, o), values: map[uint64]*value{}}
	r.j.Join(journal.Store, r)
	if err := r.j.Replay(tb.Context()); err != nil {
		return nil, err
	}
	tb.Cleanup(func() { _ = r.j.Close() })
	return r, nil
}

func mustOpen(tb testing.TB, s journal.Server, o journal.Options) *register {
	tb.Helper()
	r, err := open(tb, s, o)
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

func server(tb testing.TB, dir string) *natsd.Server {
	tb.Helper()
	s, err := natsd.Open(tb.Context(), natsd.Config{Dir: dir}, zerolog.Nop())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// A record may be larger than a message of the stream, also between others, and the
// space of all comes back.
func TestLargeRecords(t *testing.T) {
	dir := t.TempDir()
	s := server(t, dir)
	r := mustOpen(t, s, journal.Options{Tidy: 1 << 10})
	for round := range 3 {
		for i, size := range []int{1, 20 << 20, 2, 9 << 20, 8<<20 - 1024, 3} {
			r.set(uint64(i), strings.Repeat(fmt.Sprint(round), size))
		}
		if err := r.sync(t); err != nil {
			t.Fatal(err)
		}
	}
	want := r.texts()
	if err := r.j.Close(); err != nil {
		t.Fatal(err)
	}
	r = mustOpen(t, s, journal.Options{Tidy: 1 << 10})
	if !cmp.Equal(want, r.texts()) {
		t.Error("they do not come back as they were")
	}
	for i := range uint64(6) {
		r.remove(i)
	}
	for limit := time.Now().Add(30 * time.Second); r.j.Stats().StoredBytes > 1<<10; {
		r.set(7, "x")
		if err := r.sync(t); err != nil || time.Now().After(limit) {
			t.Fatalf("%d bytes are still stored: %v", r.j.Stats().StoredBytes, err)
		}
	}
}

func TestMessages(t *testing.T) {
	for _, m := range []*message.Message{
		{},
		{Topic: "a", Payload: []byte{}, Props: message.Properties{Correlation: []byte{}}},
		{
			ID: "i", Topic: "t/ü", Payload: []byte("p"), QoS: 2, Retain: true, Hops: 3, Received: time.Unix(1, 2),
			From:  message.Origin{ClientID: "c", Principal: "p", Rule: "r", Via: message.ViaWill},
			Props: message.Properties{Format: message.FormatUTF8, ContentType: "x", ResponseTopic: "y", Correlation: []byte("z"), Expiry: 7, HasExpiry: true, User: []message.UserProperty{{Key: "k", Value: "v"}, {Key: "k"}}},
		},
	} {
		b := journal.AppendMessage(nil, m)
		got, err := journal.NewReader(b).Message()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(m, got, cmpopts.EquateComparable(message.Origin{})); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for n := range b {
			if _, err := journal.NewReader(b[:n]).Message(); err == nil {
				t.Errorf("%d of %d bytes are no message", n, len(b))
			}
		}
	}
}

func FuzzMessage(f *testing.F) {
	f.Add(journal.AppendMessage(nil, &message.Message{Topic: "a", Payload: []byte("b"), Props: message.Properties{User: []message.UserProperty{{Key: "k"}}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := journal.NewReader(b).Message()
		if err != nil {
			return
		}
		again, err := journal.NewReader(journal.AppendMessage(nil, m)).Message()
		if err != nil || !cmp.Equal(m, again, cmpopts.EquateComparable(message.Origin{})) {
			t.Errorf("%+v became %+v: %v", m, again, err)
		}
	})
}

// stream is the journal's stream, for those who damage it.
func stream(t *testing.T, s *natsd.Server) (jetstream.JetStream, jetstream.Stream) {
	t.Helper()
	conn, _ := s.Link()
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	st, err := js.Stream(t.Context(), natsd.DefaultStream)
	if err != nil {
		t.Fatal(err)
	}
	return js, st
}

func TestDamagedJournal(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, js jetstream.JetStream, st jetstream.Stream)
		want   error
	}{
		{"a message is missing", func(t *testing.T, _ jetstream.JetStream, st jetstream.Stream) {
			t.Helper()
			if err := st.DeleteMsg(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
		}, journal.ErrCorrupt},
		{"rubbish", func(t *testing.T, js jetstream.JetStream, _ jetstream.Stream) {
			t.Helper()
			publish(t, js, append([]byte{1, 0}, make([]byte, 20)...))
		}, journal.ErrCorrupt},
		{"too short", func(t *testing.T, js jetstream.JetStream, _ jetstream.Stream) {
			t.Helper()
			publish(t, js, []byte{1})
		}, journal.ErrCorrupt},
		{"a newer version", func(t *testing.T, js jetstream.JetStream, _ jetstream.Stream) {
			t.Helper()
			publish(t, js, append([]byte{2, 0}, make([]byte, 20)...))
		}, journal.ErrVersion},
		{"an owner of a newer version", func(t *testing.T, js jetstream.JetStream, _ jetstream.Stream) {
			t.Helper()
			publish(t, js, append(append([]byte{1, 0}, make([]byte, 16)...), 1, 0, 0, 0, 77))
		}, journal.ErrVersion},
		{"the end of a record without its beginning", func(t *testing.T, js jetstream.JetStream, _ jetstream.Stream) {
			t.Helper()
			publish(t, js, append([]byte{1, 3}, make([]byte, 20)...))
		}, journal.ErrCorrupt},
		{"the beginning of a record without its end", func(t *testing.T, js jetstream.JetStream, _ jetstream.Stream) {
			t.Helper()
			publish(t, js, append([]byte{1, 1}, make([]byte, 20)...))
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := server(t, t.TempDir())
			r := mustOpen(t, s, journal.Options{})
			for i := range uint64(3) {
				r.set(i, "x")
				if err := r.sync(t); err != nil {
					t.Fatal(err)
				}
			}
			if err := r.j.Close(); err != nil {
				t.Fatal(err)
			}
			js, st := stream(t, s)
			c.damage(t, js, st)
			if _, err := open(t, s, journal.Options{}); !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
		})
	}
}

func publish(t *testing.T, js jetstream.JetStream, data []byte) {
	t.Helper()
	if _, err := js.Publish(t.Context(), "topicwire.journal."+natsd.DefaultStream, data); err != nil {
		t.Fatal(err)
	}
}

// A bit that has changed on the disk is found.
func TestBitRot(t *testing.T) {
	dir := t.TempDir()
	s := server(t, dir)
	r := mustOpen(t, s, journal.Options{})
	for i := range uint64(3) {
		r.set(i, strings.Repeat("rot", 100))
		if err := r.sync(t); err != nil {
			t.Fatal(err)
		}
	}
	_ = r.j.Close()
	s.Close()
	files, _ := filepath.Glob(filepath.Join(dir, "jetstream/*/streams/*/msgs/*.blk"))
	if len(files) != 1 {
		t.Fatalf("files %v", files)
	}
	data, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	data[bytes.Index(data, []byte("rotrot"))+400] ^= 1
	if err := os.WriteFile(files[0], data, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := open(t, server(t, dir), journal.Options{}); err == nil {
		t.Error("it was not noticed")
	} else {
		t.Log(err)
	}
}

// Whoever opens a stream takes it over, at once: the one before writes no more and says so.
func TestTwoWriters(t *testing.T) {
	s := server(t, t.TempDir())
	first := mustOpen(t, s, journal.Options{})
	first.set(1, "first")
	if err := first.sync(t); err != nil {
		t.Fatal(err)
	}
	second := mustOpen(t, s, journal.Options{})
	if err := second.sync(t); err != nil { // it has nothing to write
		t.Fatal(err)
	}
	first.set(1, "too late")
	err := first.sync(t)
	if r, ok := errors.AsType[*journal.Refusal](err); !ok || !errors.Is(err, journal.ErrTakenOver) || r.ReasonCode() != 0x83 {
		t.Errorf("got %v", err)
	}
	if !errors.Is(first.j.Err(), journal.ErrTakenOver) {
		t.Error("it takes more")
	}
	if got := mustOpen(t, s, journal.Options{}).texts(); !cmp.Equal(got, map[uint64]string{1: "first"}) {
		t.Errorf("got %v", got)
	}
}

// faulty is a server that fails on demand.
type faulty struct {
	*natsd.Server
	mu   sync.Mutex
	room error
	mend chan struct{}
	// synced is what Sync returns, each time one; nil: Sync is the server's.
	synced chan error
}

func (f *faulty) Sync() error {
	if f.synced == nil {
		return f.Server.Sync()
	}
	return <-f.synced
}

func (f *faulty) Room(_ int, _ bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.room
}

func (f *faulty) Mend(context.Context) {
	select {
	case f.mend <- struct{}{}:
	default:
	}
}

func (f *faulty) set(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.room = err
}

// While nothing can be written, nothing new is taken, who waits goes on waiting, and
// what was appended is written afterwards, in its order.
func TestWritingFailsForAWhile(t *testing.T) {
	s := server(t, t.TempDir())
	f := &faulty{Server: s, mend: make(chan struct{})}
	r := mustOpen(t, f, journal.Options{})
	r.set(1, "before")
	if err := r.sync(t); err != nil {
		t.Fatal(err)
	}
	f.set(fmt.Errorf("%w: no room", natsd.ErrFull))
	r.set(1, "during")
	r.set(2, "during")
	waited := make(chan error, 1)
	r.j.Sync(func(err error) { waited <- err })
	<-f.mend // it has failed
	if ref, ok := errors.AsType[*journal.Refusal](r.j.Err()); !ok || ref.ReasonCode() != 0x97 {
		t.Errorf("got %v", r.j.Err())
	}
	r.remove(2)
	select {
	case err := <-waited:
		t.Fatalf("answered while nothing could be written: %v", err)
	case <-f.mend:
	}
	f.set(nil)
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	if err := r.sync(t); err != nil || r.j.Err() != nil {
		t.Fatal(err, r.j.Err())
	}
	_ = r.j.Close()
	if got := mustOpen(t, s, journal.Options{}).texts(); !cmp.Equal(got, map[uint64]string{1: "during"}) {
		t.Errorf("got %v", got)
	}
}

// More changes than may wait are dropped; the state they lead to is written anew.
func TestTooMuchWaits(t *testing.T) {
	s := server(t, t.TempDir())
	f := &faulty{Server: s, mend: make(chan struct{})}
	r := mustOpen(t, f, journal.Options{MaxPending: 4 << 10, Tidy: 1 << 30})
	for i := range uint64(50) {
		r.set(i, strings.Repeat("a", 100))
	}
	if err := r.sync(t); err != nil {
		t.Fatal(err)
	}
	f.set(natsd.ErrFull)
	r.set(0, "zero")
	waited := make(chan error, 1)
	r.j.Sync(func(err error) { waited <- err })
	<-f.mend
	r.set(1, "one")
	lost := make(chan error, 1)
	r.j.Sync(func(err error) { lost <- err })
	for round := range uint64(20) {
		for i := range uint64(50) {
			r.set(i, fmt.Sprint(round, strings.Repeat("b", 100)))
		}
	}
	for i := range uint64(40) {
		r.remove(i)
	}
	if err := <-lost; err == nil {
		t.Error("what was dropped was called durable")
	}
	want := r.texts()
	f.set(nil)
	if err := <-waited; err != nil {
		t.Fatal(err)
	}
	// In the background: then what stood before it, without what became of it, goes.
	_, st := stream(t, s)
	for limit := time.Now().Add(30 * time.Second); ; {
		info, err := st.Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if info.State.FirstSeq > 2 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("still there: %+v", info.State)
		}
	}
	_ = r.j.Close()
	if diff := cmp.Diff(want, mustOpen(t, s, journal.Options{}).texts()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// A server that has lost what it had acknowledged gets it again.
func TestServerLosesItsEnd(t *testing.T) {
	s := server(t, t.TempDir())
	f := &faulty{Server: s, mend: make(chan struct{})}
	r := mustOpen(t, f, journal.Options{})
	for i := range uint64(10) {
		r.set(i, "x")
		if err := r.sync(t); err != nil {
			t.Fatal(err)
		}
	}
	js, st := stream(t, s)
	name := st.CachedInfo().Config.Name
	if err := js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	r.set(3, "y")
	go func() {
		for range 5 {
			select {
			case <-f.mend:
			case <-t.Context().Done():
				return
			}
		}
	}()
	if err := r.sync(t); err != nil {
		t.Fatal(err)
	}
	r.set(4, "z")
	if err := r.sync(t); err != nil {
		t.Fatal(err)
	}
	want := r.texts()
	_ = r.j.Close()
	if diff := cmp.Diff(want, mustOpen(t, s, journal.Options{}).texts()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// What is appended in a group is there as a whole or not at all: it is in one message.
func TestGroups(t *testing.T) {
	s := server(t, t.TempDir())
	r := mustOpen(t, s, journal.Options{})
	var wg sync.WaitGroup
	for i := range uint64(200) {
		wg.Go(func() {
			r.j.Group(func() {
				r.set(2*i, "half")
				r.set(2*i+1, "half")
			})
			if err := r.sync(t); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	_, st := stream(t, s)
	for seq := uint64(1); seq <= st.CachedInfo().State.LastSeq; seq++ {
		m, err := st.GetMsg(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		if n := bytes.Count(m.Data, []byte("half")); n%2 != 0 {
			t.Fatalf("message %d has half a group", seq)
		}
	}
}
