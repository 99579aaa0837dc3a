package store_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/internal/journal"
	"github.com/topicwire/topicwire/internal/natsd"
	"github.com/topicwire/topicwire/message"
)

// durable is a Durable with what it stands on.
type durable struct {
	*store.Durable
	journal *journal.Journal
	server  *natsd.Server
	dir     string
}

func openDurable(tb testing.TB, dir string, o journal.Options) *durable {
	tb.Helper()
	s, err := natsd.Open(tb.Context(), natsd.Config{Dir: dir}, zerolog.New(zerolog.NewTestWriter(tb)).Level(zerolog.WarnLevel))
	if err != nil {
		tb.Fatal(err)
	}
	j := journal.New(s, o)
	d := &durable{store.NewDurable(j), j, s, dir}
	tb.Cleanup(d.end)
	if err := j.Replay(tb.Context()); err != nil {
		tb.Fatal(err)
	}
	return d
}

func (d *durable) end() {
	_ = d.journal.Close()
	d.server.Close()
}

func (d *durable) sync(tb testing.TB) {
	tb.Helper()
	done := make(chan error, 1)
	d.Sync(func(err error) { done <- err })
	if err := <-done; err != nil {
		tb.Fatal(err)
	}
}

func TestDurable(t *testing.T) {
	testStore(t,
		func(t *testing.T) store.Store {
			t.Helper()
			return openDurable(t, t.TempDir(), journal.Options{})
		},
		func(t *testing.T, s store.Store) store.Store {
			t.Helper()
			d, _ := s.(*durable)
			d.end()
			return openDurable(t, d.dir, journal.Options{})
		})
}

// What is old and still needed does not keep everything after it: it is written anew,
// and the state is the same however often the journal was tidied up.
func TestDurableAfterTidying(t *testing.T) {
	const sessions, waiting, rounds = 20, 50, 200
	dir := t.TempDir()
	d := openDurable(t, dir, journal.Options{Tidy: 64 << 10})
	text := strings.Repeat("x", 300)
	retain := func(round int) {
		d.Append(store.Change{Kind: store.RetainedPut, Delivery: store.Delivery{Message: &message.Message{
			Topic: fmt.Sprint("r/", round%7), Payload: fmt.Append(nil, round, text), Retain: true,
		}}})
	}
	seq := uint64(0)
	for s := range sessions {
		d.Append(store.Change{Kind: store.SessionPut, Client: fmt.Sprint("c", s), Session: store.Session{Expiry: 60}})
		d.Append(store.Change{Kind: store.SubscriptionPut, Client: fmt.Sprint("c", s), Filter: "#", Subscription: store.Subscription{QoS: 1}})
	}
	d.Append(store.Change{Kind: store.WillPut, Client: "w", Will: &store.Will{Message: &message.Message{Topic: "will"}, Delay: time.Hour}})
	for round := range rounds {
		for range waiting {
			seq++
			m := &message.Message{Topic: "t", Payload: fmt.Append(nil, seq, " ", text), QoS: 1}
			for s := range sessions {
				d.Append(store.Change{Kind: store.Enqueue, Client: fmt.Sprint("c", s), Seq: seq, Delivery: store.Delivery{Message: m, QoS: 1}})
				if s > 0 { // the first one never takes anything, beyond every hundredth
					d.Append(store.Change{Kind: store.Sent, Client: fmt.Sprint("c", s), Seq: seq, PacketID: uint16(seq)})
				}
				if s > 0 && seq > waiting {
					d.Append(store.Change{Kind: store.Complete, Client: fmt.Sprint("c", s), Seq: seq - waiting})
				}
			}
			if seq%100 != 0 {
				d.Append(store.Change{Kind: store.Complete, Client: "c0", Seq: seq})
			}
		}
		retain(round)
		d.sync(t)
	}
	for limit := time.Now().Add(30 * time.Second); ; d.sync(t) { // it goes on in the background
		stats := d.journal.Stats()
		if stats.StoredBytes < 4*stats.LiveBytes+256<<10 {
			break
		}
		if time.Now().After(limit) {
			t.Fatalf("%d bytes are stored for %d that are needed", stats.StoredBytes, stats.LiveBytes)
		}
	}
	want := summary(t, d.Durable)
	d.end()
	d = openDurable(t, dir, journal.Options{})
	if got := summary(t, d.Durable); got != want {
		t.Errorf("after a restart:\n%s\nwant\n%s", got, want)
	}
	if n := strings.Count(want, "c0 Enqueue"); n != rounds*waiting/100 {
		t.Errorf("%d old deliveries are left, want %d", n, rounds*waiting/100)
	}
}

// summary is the state as text.
func summary(t *testing.T, d *store.Durable) string {
	t.Helper()
	lines := map[string][]string{}
	err := d.Load(t.Context(), func(c store.Change) error {
		line := fmt.Sprint(c.Client, " ", c.Kind, " ", c.Seq, " ", c.PacketID, " ", c.Filter)
		if c.Kind == store.Enqueue {
			line = fmt.Sprint(c.Client, " Enqueue ", c.Seq)
		}
		if m := c.Delivery.Message; m != nil {
			line += fmt.Sprintf(" %s %.12q %d", m.Topic, m.Payload, len(m.Payload))
		}
		if c.Will != nil {
			line += " " + c.Will.Message.Topic
		}
		lines[c.Client] = append(lines[c.Client], line)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, client := range sortedKeys(lines) {
		if client == "" {
			lines[client] = sorted(lines[client])
		}
		all = append(all, lines[client]...)
	}
	return strings.Join(all, "\n")
}

func BenchmarkDurable(b *testing.B) {
	for _, d := range []natsd.Durability{natsd.Interval, natsd.Fsync} {
		b.Run(string(d), func(b *testing.B) {
			s, err := natsd.Open(b.Context(), natsd.Config{Dir: b.TempDir(), Durability: d}, zerolog.Nop())
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			j := journal.New(s, journal.Options{})
			st := store.NewDurable(j)
			if err := j.Replay(b.Context()); err != nil {
				b.Fatal(err)
			}
			st.Append(store.Change{Kind: store.SessionPut, Client: "c"})
			benchmarkDelivery(b, st)
			if err := j.Close(); err != nil {
				b.Error(err)
			}
		})
	}
}

// A store with 10,000 sessions and 100,000 messages, as after a restart.
func BenchmarkReplay(b *testing.B) {
	dir := b.TempDir()
	d := openDurable(b, dir, journal.Options{})
	for s := range 10_000 {
		client := fmt.Sprint("client-", s)
		d.Append(store.Change{Kind: store.SessionPut, Client: client, Session: store.Session{Expiry: 3600}})
		d.Append(store.Change{Kind: store.SubscriptionPut, Client: client, Filter: "devices/" + client, Subscription: store.Subscription{QoS: 1}})
		for seq := range 10 {
			m := &message.Message{Topic: "devices/" + client, Payload: make([]byte, 256), QoS: 1}
			d.Append(store.Change{Kind: store.Enqueue, Client: client, Seq: uint64(seq + 1), Delivery: store.Delivery{Message: m, QoS: 1}})
		}
	}
	d.end()
	for b.Loop() {
		d := openDurable(b, dir, journal.Options{})
		n := 0
		if err := d.Load(b.Context(), func(store.Change) error { n++; return nil }); err != nil || n != 120_000 {
			b.Fatal(n, err)
		}
		d.end()
	}
}

func sorted(s []string) []string { slices.Sort(s); return s }

func sortedKeys(m map[string][]string) []string { return slices.Sorted(maps.Keys(m)) }
