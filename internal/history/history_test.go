package history_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"

	"github.com/topicwire/topicwire/bridge/grip"
	"github.com/topicwire/topicwire/bridge/grip/wire"
	"github.com/topicwire/topicwire/internal/history"
	"github.com/topicwire/topicwire/internal/natsd"
	"github.com/topicwire/topicwire/message"
)

func open(t *testing.T, dir string, c grip.HistoryConfig) (*history.Stream, func()) {
	t.Helper()
	server, err := natsd.Open(t.Context(), natsd.Config{Dir: dir}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	s, err := history.Open(t.Context(), server, history.Options{Config: c})
	if err != nil {
		t.Fatal(err)
	}
	return s, func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		server.Close()
	}
}

func after(t *testing.T, s *history.Stream, seq uint64) (list []string, complete bool) {
	t.Helper()
	kept, complete, err := s.After(t.Context(), []string{"feed/#"}, seq, 10_000)
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kept {
		e := string(k.Message.Payload)
		if k.Item != nil {
			e += "/" + string(k.Item.Stream.Content)
		}
		list = append(list, e)
	}
	return list, complete
}

func TestHistorySurvivesTheServer(t *testing.T) {
	dir := t.TempDir()
	s, end := open(t, dir, grip.HistoryConfig{MaxMessages: 5})
	var places []uint64
	for i := range 4 {
		m := &message.Message{Topic: "feed/a", Payload: fmt.Append(nil, i), Received: now()}
		var item *wire.Item
		if i == 2 {
			item = &wire.Item{Channel: "feed/a", Stream: &wire.ItemStream{Action: wire.Send, Content: []byte("item")}}
		}
		seq, err := s.Append(t.Context(), m, item)
		if err != nil {
			t.Fatal(err)
		}
		places = append(places, seq)
	}
	end()

	s, end = open(t, dir, grip.HistoryConfig{MaxMessages: 5})
	list, complete := after(t, s, places[0])
	if diff := cmp.Diff([]string{"1", "2/item", "3"}, list); diff != "" || !complete {
		t.Error(diff, complete)
	}
	for i := 4; i < 8; i++ {
		seq, err := s.Append(t.Context(), &message.Message{Topic: "feed/b", Payload: fmt.Append(nil, i), Received: now()}, nil)
		if err != nil || seq <= places[len(places)-1] {
			t.Fatal(seq, err)
		}
		places = append(places, seq)
	}
	end()

	// Only so many are kept, and who has missed more is told.
	s, end = open(t, dir, grip.HistoryConfig{MaxMessages: 5})
	defer end()
	list, complete = after(t, s, places[0])
	if diff := cmp.Diff([]string{"3", "4", "5", "6", "7"}, list); diff != "" || complete {
		t.Error(diff, complete)
	}
	if list, complete = after(t, s, places[7]); len(list) != 0 || !complete {
		t.Error(list, complete)
	}
}

func now() time.Time { return time.Now() }
