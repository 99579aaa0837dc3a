package store_test

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/topicwire/topicwire/broker/store"
	"github.com/topicwire/topicwire/message"
)

// Every implementation of Store has to pass. open makes an empty store, reopen one
// with what the last one has kept.
func testStore(t *testing.T, open func(*testing.T) store.Store, reopen func(*testing.T, store.Store) store.Store) {
	t.Helper()
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	msg := func(text string) *message.Message {
		return &message.Message{Topic: "a/" + text, Payload: []byte(text), QoS: 1, Received: at, Props: message.Properties{
			ContentType: "text/plain", HasExpiry: true, Expiry: 7, User: []message.UserProperty{{Key: "k", Value: "v"}},
		}}
	}
	enqueue := func(seq uint64, text string) store.Change {
		return store.Change{Kind: store.Enqueue, Client: "c", Seq: seq, Delivery: store.Delivery{Message: msg(text), QoS: 1, IDs: []uint32{3}, Share: "$share/g/a"}}
	}
	put := store.Change{Kind: store.SessionPut, Client: "c", Session: store.Session{Expiry: 60, Principal: "ada"}}
	for _, c := range []struct {
		name         string
		append, want []store.Change
	}{
		{"nothing", nil, nil},
		{"session", []store.Change{put}, []store.Change{put}},
		{
			"session changed",
			[]store.Change{put, {Kind: store.SessionPut, Client: "c", Session: store.Session{Expiry: 5, Left: at}}},
			[]store.Change{{Kind: store.SessionPut, Client: "c", Session: store.Session{Expiry: 5, Left: at}}},
		},
		{
			"subscriptions",
			[]store.Change{
				put,
				{Kind: store.SubscriptionPut, Client: "c", Filter: "gone"},
				{Kind: store.SubscriptionPut, Client: "c", Filter: "a", Subscription: store.Subscription{QoS: 1}},
				{Kind: store.SubscriptionPut, Client: "c", Filter: "a", Subscription: store.Subscription{QoS: 2, NoLocal: true, ID: 9, Replaying: true}},
				{Kind: store.SubscriptionDelete, Client: "c", Filter: "gone"},
			},
			[]store.Change{put, {Kind: store.SubscriptionPut, Client: "c", Filter: "a", Subscription: store.Subscription{QoS: 2, NoLocal: true, ID: 9, Replaying: true}}},
		},
		{
			"deliveries in order",
			[]store.Change{
				put, enqueue(1, "1"), enqueue(2, "2"), enqueue(3, "3"), enqueue(10, "10"),
				{Kind: store.Sent, Client: "c", Seq: 1, PacketID: 4},
				{Kind: store.Sent, Client: "c", Seq: 2, PacketID: 5},
				{Kind: store.Received, Client: "c", Seq: 1, PacketID: 4},
				{Kind: store.Complete, Client: "c", Seq: 3},
			},
			[]store.Change{
				put, enqueue(1, "1"),
				{Kind: store.Received, Client: "c", Seq: 1, PacketID: 4},
				enqueue(2, "2"),
				{Kind: store.Sent, Client: "c", Seq: 2, PacketID: 5},
				enqueue(10, "10"),
			},
		},
		{
			"inbound identifiers",
			[]store.Change{put, {Kind: store.InboundPut, Client: "c", PacketID: 1}, {Kind: store.InboundPut, Client: "c", PacketID: 2}, {Kind: store.InboundDelete, Client: "c", PacketID: 1}},
			[]store.Change{put, {Kind: store.InboundPut, Client: "c", PacketID: 2}},
		},
		{
			"a session that ends takes everything with it",
			[]store.Change{
				put, enqueue(1, "1"),
				{Kind: store.SubscriptionPut, Client: "c", Filter: "a"},
				{Kind: store.InboundPut, Client: "c", PacketID: 1},
				{Kind: store.SessionDelete, Client: "c"},
				{Kind: store.Complete, Client: "c", Seq: 1},
				put,
			},
			[]store.Change{put},
		},
		{
			"a will outlives the session",
			[]store.Change{put, {Kind: store.WillPut, Client: "c", Will: &store.Will{Message: msg("w"), At: at}}, {Kind: store.SessionDelete, Client: "c"}},
			[]store.Change{{Kind: store.WillPut, Client: "c", Will: &store.Will{Message: msg("w"), At: at}}},
		},
		{
			"a will that another one has replaced",
			[]store.Change{
				{Kind: store.WillPut, Client: "c", Will: &store.Will{Message: msg("w")}},
				{Kind: store.WillDelete, Client: "c", Will: &store.Will{Message: msg("w")}}, // alike, but not the same
			},
			[]store.Change{{Kind: store.WillPut, Client: "c", Will: &store.Will{Message: msg("w")}}},
		},
		{"a will that is gone", []store.Change{{Kind: store.WillPut, Client: "c", Will: &store.Will{Message: msg("w")}}, {Kind: store.WillDelete, Client: "c"}}, nil},
		{
			"retained",
			[]store.Change{
				{Kind: store.RetainedPut, Delivery: store.Delivery{Message: msg("r")}},
				{Kind: store.RetainedPut, Delivery: store.Delivery{Message: msg("s")}},
				{Kind: store.RetainedDelete, Topic: "a/r"},
			},
			[]store.Change{{Kind: store.RetainedPut, Delivery: store.Delivery{Message: msg("s")}}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := open(t)
			for _, change := range c.append {
				s.Append(change)
			}
			done := make(chan error, 1)
			s.Sync(func(err error) { done <- err })
			if err := <-done; err != nil {
				t.Fatal(err)
			}
			s = reopen(t, s)
			var got []store.Change
			if err := s.Load(t.Context(), func(c store.Change) error { got = append(got, c); return nil }); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateComparable(netip.AddrPort{})); diff != "" {
				t.Errorf("loaded (-want +got):\n%s", diff)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("Load stops at an error", func(t *testing.T) {
		s := open(t)
		s.Append(put)
		stop := errors.New("stop")
		if err := s.Load(t.Context(), func(store.Change) error { return stop }); !errors.Is(err, stop) {
			t.Errorf("got %v", err)
		}
	})
}
