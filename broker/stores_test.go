package broker_test

import (
	"slices"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/broker"
	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/internal/journal"
	"github.com/topicwire/topicwire/internal/natsd"
)

// keeping are the stores that a broker may be restarted on: each gives a func that opens
// the store anew, with what the one before has kept.
var keeping = map[string]func(t *testing.T) func() store.Store{ //nolint:gochecknoglobals // a table
	"memory": func(*testing.T) func() store.Store {
		kept := store.NewMemory()
		return func() store.Store { return kept }
	},
	"durable": func(t *testing.T) func() store.Store {
		t.Helper()
		s, err := natsd.Open(t.Context(), natsd.Config{Dir: t.TempDir()}, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Close)
		var last *journal.Journal
		return func() store.Store {
			if last != nil {
				_ = last.Close() // the process before writes no more
			}
			j := journal.New(s, journal.Options{})
			last = j
			d := store.NewDurable(j)
			if err := j.Replay(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = j.Close() })
			return d
		}
	},
}

// Retained messages that a crash has kept from a client reach it after that.
func TestReplayThatACrashInterrupts(t *testing.T) {
	for name, stores := range keeping {
		t.Run(name, func(t *testing.T) {
			next := stores(t)
			dies := serve(t, setup{opts: broker.Options{Store: next()}})
			pub := dies.connect(5, "pub")
			topics := []string{"r/1", "r/2", "r/3", "r/4"}
			for _, topic := range topics {
				pub.publish(topic, "kept", retain)
			}
			c := dies.connect(5, "c", persistent, receiveMaximum(2))
			c.subscribe("r/#", 1)
			c.wantMessage("r/1", "kept")
			c.wantMessage("r/2", "kept") // and no more: none is acknowledged

			c = serve(t, setup{opts: broker.Options{Store: next()}}).connect(5, "c", persistent, receiveMaximum(10))
			if !c.wantMessage("r/1", "kept").FixedHeader.Dup || !c.wantMessage("r/2", "kept").FixedHeader.Dup {
				t.Error("sent again without DUP")
			}
			// Once more from the start: what was sent is not known. No order is promised between
			// topics.
			var got []string
			for range topics {
				m := c.want(packets.Publish)
				if string(m.Payload) != "kept" || !m.FixedHeader.Retain || m.FixedHeader.Dup {
					t.Errorf("%s: %q, RETAIN %v, DUP %v", m.TopicName, m.Payload, m.FixedHeader.Retain, m.FixedHeader.Dup)
				}
				got = append(got, m.TopicName)
			}
			if slices.Sort(got); !slices.Equal(got, topics) {
				t.Errorf("got %q, want each of %q once", got, topics)
			}
			c.quiet()
		})
	}
}
